package survey

import (
	"path"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// unitDirs are those of systemd.unit(5), least important first.
func unitDirs() []string {
	return []string{"/lib/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system"}
}

// unit reads vipd.service with its drop-ins.
func (r root) unit() doctor.Unit {
	var u doctor.Unit
	var dropIns []string
	for _, dir := range unitDirs() {
		if file := dir + "/vipd.service"; r.exists(file) {
			u.Path = file
		}
		dropIns = append(dropIns, r.glob(dir+"/vipd.service.d/*.conf")...)
	}
	if u.Path == "" {
		return u
	}
	for _, file := range append([]string{u.Path}, dropIns...) {
		for line := range strings.Lines(withoutComments(r.read(file), "#;")) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch name {
			case "User":
				u.User = value
			case "AmbientCapabilities":
				u.ReadsAll = value != "" && (u.ReadsAll || strings.Contains(value, "CAP_DAC_READ_SEARCH") || strings.Contains(value, "CAP_DAC_OVERRIDE"))
			}
		}
	}
	u.ReadsAll = u.ReadsAll || u.User == "" || u.User == "root"
	wanted := path.Join("/etc/systemd/system/multi-user.target.wants", "vipd.service")
	u.Enabled = r.linked(wanted)
	return u
}
