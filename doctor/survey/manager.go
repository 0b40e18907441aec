package survey

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// managers tells who configures the interfaces: systemd-networkd and
// NetworkManager leave a file for each that they know, by its number.
func (r root) managers(all []doctor.Link, numbers map[string]int) []doctor.Manager {
	var found []doctor.Manager
	for _, l := range all {
		number := strconv.Itoa(numbers[l.Name])
		state := assignments(r.read("/run/systemd/netif/links/" + number))
		if file := state["NETWORK_FILE"]; file != "" && state["ADMIN_STATE"] != "unmanaged" {
			found = append(found, doctor.Manager{Interface: l.Name, File: file, Keeps: r.keeps(file)})
		}
		device := assignments(r.read("/run/NetworkManager/devices/" + number))
		if device["managed"] == "true" || device["managed"] == "" && device["connection-uuid"] != "" {
			found = append(found, doctor.Manager{Interface: l.Name, NetworkManager: true})
		}
	}
	return found
}

// keeps tells whether a .network file or one of its drop-ins has networkd leave
// the addresses of others alone (systemd.network(5), KeepConfiguration=). The last
// word counts.
func (r root) keeps(file string) bool {
	files := []string{file}
	for _, dir := range []string{"/usr/lib", "/usr/local/lib", "/run", "/etc"} {
		files = append(files, r.glob(dir+"/systemd/network/"+path.Base(file)+".d/*.conf")...)
	}
	keeps := false
	for _, f := range files {
		if value, ok := assignments(r.read(f))["KeepConfiguration"]; ok {
			keeps = slices.Contains([]string{"yes", "true", "1", "on", "static"}, value)
		}
	}
	return keeps
}

// assignments reads lines of NAME=VALUE.
func assignments(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			all[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return all
}

// networkFiles are patterns of files by which hosts get addresses for good.
func networkFiles() []string {
	return []string{
		"/etc/netplan/*.yaml", "/etc/systemd/network/*.network", "/etc/systemd/network/*.network.d/*.conf",
		"/etc/NetworkManager/system-connections/*", "/etc/network/interfaces", "/etc/network/interfaces.d/*",
		"/etc/sysconfig/network-scripts/ifcfg-*",
	}
}

// mentions finds VIPs in the files that configure the network.
func (r root) mentions(vips []netip.Addr) doctor.Fact[[]doctor.Mention] {
	var all doctor.Fact[[]doctor.Mention]
	for _, pattern := range networkFiles() {
		for _, file := range r.glob(pattern) {
			text, err := os.ReadFile(r.path(file))
			if errors.Is(err, fs.ErrPermission) {
				all.Missing = needsRoot(err)
			}
			for i, line := range strings.Split(withoutComments(string(text), "#;"), "\n") {
				for _, vip := range named(line, vips) {
					all.Value = append(all.Value, doctor.Mention{File: file, Line: i + 1, VIP: vip})
				}
			}
		}
	}
	return all
}
