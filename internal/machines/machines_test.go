package machines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
)

// The story of three hosts: from a bare one to the removal of the package, with
// everything between that operators do and accidents bring.
func TestMachines(t *testing.T) {
	r := open(t)
	r.part("a package without a configuration starts nothing", installPackage)
	r.part("one line of configuration, before kubeadm init: somebody holds the VIP", beforeKubeadm)
	r.part("what runs, runs as a user with two capabilities", unprivileged)
	r.part("kubeadm init: every node gets healthy by itself", kubeadmInit)
	r.part("a command that checks health has no capability at all", harmlessCheck)
	r.part("keys that are root's are read with the drop-in, and those that sign are not", rootsKeys)
	r.plannedMoves()
	r.part("the journal has fields, and no second time", journal)
	r.accidents()
	r.part("a wrong configuration is not tried again and again", wrongConfiguration)
	r.part("removal moves the VIP; purge leaves nothing", removePackage)
	r.part("rpm installs, upgrades and removes it as well", rpmPackage)
}

func installPackage(r *rack) {
	r.each(func(ctx context.Context, m *Machine) error {
		_, err := m.Run(ctx, "dpkg", "--install", packageFile(oldVersion, deb))
		return err
	})
	for _, m := range r.machines {
		r.run(m, "systemctl", "enable", "--now", "vipd")
		for _, unit := range []string{"vipd.service", "vipd-shutdown.service"} {
			if state := r.show(m, unit, "ActiveState"); state != "inactive" {
				r.t.Errorf("%s is %s on %s, without a configuration", unit, state, m)
			}
		}
		if failed := r.run(m, "systemctl", "--failed", "--plain", "--no-legend"); strings.Contains(failed, "vipd") {
			r.t.Errorf("failed on %s: %s", m, failed)
		}
	}
}

// oneLine is the least configuration there is.
func oneLine() string { return fmt.Sprintf("vips: [{addresses: [%s]}]\n", lab.VIP4()) }

func beforeKubeadm(r *rack) {
	for _, m := range r.machines {
		r.write(m, configFile, oneLine(), 0o644)
	}
	r.each(func(ctx context.Context, m *Machine) error {
		_, err := m.Run(ctx, "systemctl", "start", "vipd", "vipd-shutdown")
		return err
	})
	owner := r.agree(false)
	for _, m := range r.machines {
		want := "vip1: backup, owner " + owner.Addr4.String() + ", unhealthy"
		if m == owner {
			want = "vip1: owner, unhealthy"
		}
		r.awaitShown(m, "vipd", "StatusText", want)
	}
}

// unprivileged looks at the process; that it works is seen all the time.
func unprivileged(r *rack) {
	const adminAndRaw = "0000000000003000" // CAP_NET_ADMIN and CAP_NET_RAW, capabilities(7)
	for _, m := range r.machines {
		pid := r.show(m, "vipd", "MainPID")
		status := r.run(m, "cat", "/proc/"+pid+"/status")
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd", "CapAmb"} {
			if got := field(status, set); got != adminAndRaw {
				r.t.Errorf("%s of vipd on %s is %s, want %s", set, m, got, adminAndRaw)
			}
		}
		vipd := r.run(m, "id", "--user", "vipd")
		if got := strings.Fields(field(status, "Uid")); got[0] != vipd || vipd == "0" {
			r.t.Errorf("vipd runs as user %v on %s, want %s", got, m, vipd)
		}
		if got := field(status, "NoNewPrivs"); got != "1" {
			r.t.Errorf("vipd on %s may gain privileges", m)
		}
		if mode := r.run(m, "stat", "--format=%U:%G %a", "/run/vipd/vipd.sock"); mode != "vipd:vipd-admin 660" {
			r.t.Errorf("the control socket on %s is %s", m, mode)
		}
	}
}

// field is a line of proc(5) status.
func field(status, name string) string {
	_, value, _ := strings.Cut("\n"+status, "\n"+name+":")
	value, _, _ = strings.Cut(value, "\n")
	return strings.TrimSpace(value)
}

// kubeadmInit lays out what kubeadm would, with its modes, and starts what serves.
func kubeadmInit(r *rack) {
	for _, m := range r.machines {
		made := r.t.TempDir()
		r.must(r.ca.Issue(made, m.Name, m.Addr4, m.Addr6, lab.VIP4()))
		for name, mode := range map[string]os.FileMode{apiserver.CAFile: 0o644, apiserver.CertFile: 0o644, apiserver.KeyFile: 0o600} {
			content, err := os.ReadFile(filepath.Join(made, name))
			r.must(err)
			r.write(m, filepath.Join(pki, name), string(content), mode)
		}
		r.run(m, "systemctl", "enable", "--now", "containerd")
	}
	r.agree(true)
	r.measure()
	r.settle()
}

// harmlessCheck gives a backup a check that is healthy only if its process can do
// nothing. It runs where vipd's own sandbox lets it.
func harmlessCheck(r *rack) {
	backup := r.others(r.settle())[0]
	good, err := os.ReadFile(backup.Path(configFile))
	r.must(err)
	r.write(backup, configFile, fmt.Sprintf(`vips:
  - addresses: [%s]
    health: [{type: exec, name: harmless, interval: 100ms, command: [/bin/sh, -c, "! grep -E '^Cap(Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status"]}]
`, lab.VIP4()), 0o644)
	r.run(backup, "systemctl", "reload", "vipd")
	r.await("a verdict of the command", func(ctx context.Context) error {
		status, err := backup.status(ctx)
		if err != nil {
			return err
		}
		if h := status.VIPs[0].Health; len(h) != 1 || h[0].Name != "harmless" || !h[0].Healthy {
			return fmt.Errorf("checks: %+v", h)
		}
		return nil
	})
	r.write(backup, configFile, string(good), 0o644)
	r.run(backup, "systemctl", "reload", "vipd")
	r.settle()
}

// rootsKeys gives a backup a check with a client's key that only root may read.
func rootsKeys(r *rack) {
	const dropIn, authority = "/etc/systemd/system/vipd.service.d/vipd-keys.conf", pki + "/ca.key"
	backup := r.others(r.settle())[0]
	good, err := os.ReadFile(backup.Path(configFile))
	r.must(err)
	r.write(backup, authority, "the cluster's", 0o600)
	r.write(backup, configFile, fmt.Sprintf(`vips:
  - addresses: [%[1]s]
    health: [{type: https, name: apiserver, url: "https://127.0.0.1:6443/readyz", ca_file: %[2]s/ca.crt, cert_file: %[2]s/apiserver.crt, key_file: %[2]s/apiserver.key}]
`, lab.VIP4(), pki), 0o644)
	r.run(backup, "systemctl", "restart", "vipd")
	r.awaitCheck(backup, func(c agent.CheckStatus) bool {
		return !c.Healthy && strings.Contains(c.Error, "apiserver.key") && strings.Contains(c.Error, "drop-in")
	})
	r.run(backup, "install", "-D", "-m", "644", "/usr/share/vipd/vipd-keys.conf", dropIn)
	r.run(backup, "systemctl", "daemon-reload")
	r.run(backup, "systemctl", "restart", "vipd")
	r.awaitCheck(backup, func(c agent.CheckStatus) bool { return c.Healthy })
	if seen := r.run(backup, "nsenter", "--mount", "--target", r.show(backup, "vipd", "MainPID"), "cat", authority); seen != "" {
		r.t.Errorf("vipd on %s may read %s", backup, authority)
	}
	r.run(backup, "rm", "-r", dropIn, authority)
	r.run(backup, "systemctl", "daemon-reload")
	r.write(backup, configFile, string(good), 0o644)
	r.run(backup, "systemctl", "restart", "vipd")
	r.settle()
}

// awaitCheck waits for a verdict of a machine's only check.
func (r *rack) awaitCheck(m *Machine, is func(c agent.CheckStatus) bool) {
	r.t.Helper()
	r.await("a verdict", func(ctx context.Context) error {
		status, err := m.status(ctx)
		if err != nil {
			return err
		}
		if all := status.VIPs[0].Health; len(all) != 1 || !is(all[0]) {
			return fmt.Errorf("checks of %s: %+v", m, all)
		}
		return nil
	})
}

func wrongConfiguration(r *rack) {
	backup := r.others(r.settle())[0]
	good, err := os.ReadFile(backup.Path(configFile))
	r.must(err)
	r.write(backup, configFile, "vips: [{addresses: [nonsense]}]\n", 0o644)

	// A reload keeps what it has, and says so.
	r.run(backup, "systemctl", "reload", "vipd")
	r.awaitShown(backup, "vipd", "StatusText", "*, owner "+r.settle().Addr4.String()+"; the last reload failed, see vipd check")

	if _, err := backup.Run(r.ctx(), "systemctl", "restart", "vipd"); err == nil {
		r.t.Error("a wrong configuration is no error of systemctl restart")
	}
	r.awaitShown(backup, "vipd", "ActiveState", "failed")
	if got := r.show(backup, "vipd", "ExecMainStatus"); got != "2" {
		r.t.Errorf("vipd ended with %s", got)
	}
	r.write(backup, configFile, string(good), 0o644)
	r.run(backup, "systemctl", "start", "vipd")
	r.settle()
}

func journal(r *rack) {
	for _, m := range r.machines {
		found := r.run(m, "journalctl", "--unit=vipd", "--output=cat", "--output-fields=MESSAGE,VIPD_TO,VIPD_REASON,PRIORITY", "VIPD_VIP=vip1", "VIPD_TO=backup")
		if !strings.Contains(found, "VIP state") {
			r.t.Errorf("no change of state with its fields in the journal of %s:\n%s", m, found)
		}
		all := r.run(m, "journalctl", "--unit=vipd", "--output=cat", "_COMM=vipd")
		for line := range strings.Lines(all) {
			if strings.Contains(line, "time=") || strings.Contains(line, "level=") {
				r.t.Errorf("a time or level of its own in the journal of %s: %s", m, line)
			}
		}
	}
}

func removePackage(r *rack) {
	leaver := r.settle()
	seen := r.span(func() {
		r.run(leaver, "dpkg", "--remove", "vipd")
		if holds, err := leaver.holds(lab.VIP4()); err != nil || holds {
			r.t.Errorf("%s holds the VIP after the removal: %t, %v", leaver, holds, err)
		}
	})
	r.unbroken(seen)
	r.gone(leaver, "/usr/bin/vipd", "/run/vipd", "/usr/lib/systemd/system/vipd.service")
	r.run(leaver, "dpkg", "--purge", "vipd")
	r.gone(leaver, "/etc/vipd", "/var/lib/vipd", "/etc/systemd/system/multi-user.target.wants/vipd.service")
	if listed := r.run(leaver, "systemctl", "list-units", "--all", "--plain", "--no-legend", "vipd*"); strings.Contains(listed, "running") {
		r.t.Errorf("runs still: %s", listed)
	}
}

// gone checks that nothing is left of some files.
func (r *rack) gone(m *Machine, paths ...string) {
	r.t.Helper()
	for _, p := range paths {
		if _, err := m.Run(r.ctx(), "test", "!", "-e", p); err != nil {
			r.t.Errorf("%s is still on %s", p, m)
		}
	}
}

// others are all machines but one.
func (r *rack) others(not *Machine) []*Machine {
	var all []*Machine
	for _, m := range r.machines {
		if m != not {
			all = append(all, m)
		}
	}
	return all
}
