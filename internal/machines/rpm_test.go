package machines

import "github.com/vipd/vipd/internal/lab"

// rpmPackage tells the same of the other package, on the machine that the first
// one has left. Debian's rpm knows of no systemd that is installed, hence
// --nodeps.
func rpmPackage(r *rack) {
	m := r.without("/usr/bin/vipd")
	r.run(m, "rpm", "--install", "--nodeps", packageFile(oldVersion, rpm))
	r.write(m, configFile, oneLine(), 0o644)
	r.run(m, "systemctl", "enable", "--now", "vipd")
	r.makeOwner(m)

	r.unbroken(r.span(func() { r.run(m, "rpm", "--upgrade", "--nodeps", packageFile(newVersion, rpm)) }))
	r.moved(m)
	status, err := m.status(r.ctx())
	r.must(err)
	if status.Version != newVersion {
		r.t.Errorf("%s runs on %s after the upgrade", status.Version, m)
	}

	r.makeOwner(m)
	r.unbroken(r.span(func() { r.run(m, "rpm", "--erase", "vipd") }))
	if holds, err := m.holds(lab.VIP4()); err != nil || holds {
		r.t.Errorf("%s holds the VIP after the removal: %t, %v", m, holds, err)
	}
	r.gone(m, "/usr/bin/vipd", "/run/vipd", "/usr/lib/systemd/system/vipd.service", "/etc/systemd/system/multi-user.target.wants/vipd.service")
}

// without is the machine that does not have a file.
func (r *rack) without(path string) *Machine {
	r.t.Helper()
	for _, m := range r.machines {
		if _, err := m.Run(r.ctx(), "test", "-e", path); err != nil {
			return m
		}
	}
	r.t.Fatalf("%s is on each machine", path)
	return nil
}
