package interop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// group is one virtual router of a row.
type group struct {
	vrid uint8
	vips []netip.Addr
	// other are VIPs of the other family, which move along.
	other []netip.Addr
}

// program is what runs on one of the two hosts.
type program interface {
	// start starts it; the first process is the one that resigns at SIGTERM.
	start(h *lab.Host) ([]*lab.Proc, error)
	// ready returns nil when it takes part in the election.
	ready(ctx context.Context, h *lab.Host, p []*lab.Proc) error
}

// keepalived is keepalived 2.2 with a configuration of keepalived.conf(5).
type keepalived struct {
	// global and instance are lines of the global_defs and of each
	// vrrp_instance.
	global, instance string
	// more stands before the instances.
	more   string
	groups []group
}

func (k keepalived) start(h *lab.Host) ([]*lab.Proc, error) {
	dir := filepath.Join(h.Dir(), "keepalived")
	// A reboot would empty /run: files of a killed daemon keep the next one from
	// starting.
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(k.config(h)), 0o600); err != nil {
		return nil, err
	}
	p, err := h.Start("keepalived", "keepalived", "--dont-fork", "--vrrp", "--log-console", "--log-detail",
		"--use-file", file, "--pid", filepath.Join(dir, "keepalived.pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	return []*lab.Proc{p}, err
}

func (k keepalived) config(h *lab.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n script_user root\n %s\n}\n%s\n", h, k.global, k.more)
	if len(k.groups) > 1 {
		b.WriteString("vrrp_sync_group all {\n group {\n")
		for _, g := range k.groups {
			fmt.Fprintf(&b, "  g%d\n", g.vrid)
		}
		b.WriteString(" }\n}\n")
	}
	for _, g := range k.groups {
		fmt.Fprintf(&b, "vrrp_instance g%d {\n state BACKUP\n interface %s\n virtual_router_id %d\n %s\n", g.vrid, h.Interface, g.vrid, k.instance)
		addressBlock(&b, "virtual_ipaddress", g.vips)
		addressBlock(&b, "virtual_ipaddress_excluded", g.other)
		b.WriteString("}\n")
	}
	return b.String()
}

func addressBlock(b *strings.Builder, name string, vips []netip.Addr) {
	if len(vips) == 0 {
		return
	}
	fmt.Fprintf(b, " %s {\n", name)
	for _, v := range vips {
		fmt.Fprintf(b, "  %s/%d\n", v, v.BitLen())
	}
	b.WriteString(" }\n")
}

// ready goes by the log: each instance has entered a state.
func (k keepalived) ready(_ context.Context, h *lab.Host, p []*lab.Proc) error {
	log := p[0].Log()
	for _, g := range k.groups {
		name := fmt.Sprintf("(g%d) Entering ", g.vrid)
		if !strings.Contains(log, name+"BACKUP STATE") && !strings.Contains(log, name+"MASTER STATE") {
			return fmt.Errorf("keepalived on %s is at:\n%s", h, log)
		}
	}
	return nil
}

// frr is FRR's zebra and vrrpd; virtual routers live on macvlan links.
type frr struct {
	// settings are said of each virtual router: "priority 150".
	settings []string
	// version of the adverts; 0 stands for FRR's default, 3.
	version int
	groups  []group
}

func (f frr) start(h *lab.Host) ([]*lab.Proc, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, g := range f.groups {
		if err := f.addLink(ctx, h, g); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(runDirectory(h), "vrrpd.conf")
	if err := errors.Join(os.RemoveAll(runDirectory(h)), os.MkdirAll(runDirectory(h), 0o755)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(f.config(h)), 0o644); err != nil {
		return nil, err
	}
	// FRR's daemons run as its own user.
	if _, err := h.Run(ctx, "chown", "-R", "frr:frr", runDirectory(h)); err != nil {
		return nil, err
	}
	argv := func(program, file string) []string {
		return []string{"/usr/lib/frr/" + program, "-N", h.Namespace, "--log", "stdout",
			"-f", file, "-i", filepath.Join(runDirectory(h), program+".pid")}
	}
	zebra, err := h.Start("zebra", argv("zebra", "/dev/null")...)
	if err != nil {
		return nil, err
	}
	// vrrpd gives up, and tries again seconds later, when zebra does not listen yet.
	err = lab.Await(ctx, "zebra to listen on "+h.Name, func() error {
		_, err := os.Stat(filepath.Join(runDirectory(h), "zserv.api"))
		return err
	})
	if err != nil {
		return nil, err
	}
	vrrpd, err := h.Start("vrrpd", argv("vrrpd", file)...)
	return []*lab.Proc{vrrpd, zebra}, err
}

// runDirectory is where the daemons of a host find each other.
func runDirectory(h *lab.Host) string { return filepath.Join("/var/run/frr", h.Namespace) }

// addLink makes the link of a virtual router: its MAC is the one of RFC 9568
// 7.3, by which vrrpd finds it.
func (f frr) addLink(ctx context.Context, h *lab.Host, g group) error {
	family := 1
	if g.vips[0].Is6() {
		family = 2
	}
	name := fmt.Sprintf("vr%d", g.vrid)
	lines := []string{
		fmt.Sprintf("link add %s link %s address 00:00:5e:00:%02x:%02x type macvlan mode bridge", name, h.Interface, family, g.vrid),
	}
	for _, v := range g.vips {
		lines = append(lines, fmt.Sprintf("address add %s/%d dev %s", v, v.BitLen(), name))
	}
	lines = append(lines, fmt.Sprintf("link set %s up", name))
	// A second start finds the link of the first one.
	if _, err := h.Run(ctx, "ip", "link", "show", name); err == nil {
		return nil
	}
	_, err := h.RunInput(ctx, strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
	return err
}

func (f frr) config(h *lab.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "interface %s\n", h.Interface)
	for _, g := range f.groups {
		router := fmt.Sprintf(" vrrp %d", g.vrid)
		if f.version != 0 {
			fmt.Fprintf(&b, "%s version %d\n", router, f.version)
		} else {
			fmt.Fprintf(&b, "%s\n", router)
		}
		for _, s := range f.settings {
			fmt.Fprintf(&b, "%s %s\n", strings.TrimSuffix(router, " "), s)
		}
		for _, v := range g.vips {
			kind := "ip"
			if v.Is6() {
				kind = "ipv6"
			}
			fmt.Fprintf(&b, "%s %s %s\n", router, kind, v)
		}
	}
	return b.String()
}

// ready goes by what vrrpd says of its routers.
func (f frr) ready(ctx context.Context, h *lab.Host, _ []*lab.Proc) error {
	out, err := h.Run(ctx, "vtysh", "-N", h.Namespace, "-d", "vrrpd", "-c", "show vrrp summary")
	if err != nil {
		return err
	}
	if n := strings.Count(out, "Backup") + strings.Count(out, "Master"); n < len(f.groups) {
		return errors.New("its routers are:\n" + out)
	}
	return nil
}

// vipd is ours.
type vipd struct {
	// vrrp are settings of the election of each group.
	vrrp   string
	groups []group
}

func (v vipd) start(h *lab.Host) ([]*lab.Proc, error) {
	if err := os.WriteFile(v.path(h, "yaml"), []byte(v.config(h)), 0o600); err != nil {
		return nil, err
	}
	p, err := h.Start("vipd", vipdBinary(), "run", "--config", v.path(h, "yaml"))
	return []*lab.Proc{p}, err
}

func (v vipd) path(h *lab.Host, kind string) string { return filepath.Join(h.Dir(), "vipd."+kind) }

func (v vipd) config(h *lab.Host) string {
	var b strings.Builder
	b.WriteString("vips:\n")
	for _, g := range v.groups {
		vips := make([]string, 0, len(g.vips))
		for _, a := range slices.Concat(g.vips, g.other) {
			vips = append(vips, fmt.Sprintf("%q", a))
		}
		fmt.Fprintf(&b, "  - {name: g%d, interface: %s, addresses: [%s], health: [], vrrp: {vrid: %d, %s}}\n",
			g.vrid, h.Interface, strings.Join(vips, ", "), g.vrid, v.vrrp)
	}
	fmt.Fprintf(&b, "control: {socket: %s}\nstate_dir: %s\nmetrics: {listen: \"\"}\n", v.path(h, "sock"), v.path(h, "state"))
	return b.String()
}

// ready goes by the status: each group is a backup of somebody, or the owner.
func (v vipd) ready(ctx context.Context, h *lab.Host, _ []*lab.Proc) error {
	out, err := h.Run(ctx, vipdBinary(), "status", "--json", "--socket", v.path(h, "sock"))
	if err != nil {
		return err
	}
	if n := strings.Count(out, `"owner_priority":`); n < len(v.groups) || strings.Contains(out, `"owner":""`) || strings.Contains(out, `"owner": ""`) {
		return errors.New("its status is " + out)
	}
	return nil
}
