package machines

import (
	"strings"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/measure"
)

// unbroken holds vipd to what it promises of a planned move.
func (r *rack) unbroken(seen measure.Report) {
	r.t.Helper()
	if seen.Failed > 0 {
		r.t.Errorf("%d of %d requests failed: %v", seen.Failed, seen.Requests, seen.Errors)
	}
	if seen.Broken > 0 {
		r.t.Errorf("%d of %d streams broke", seen.Broken, seen.Streams)
	}
}

// noneFailed is unbroken for an API server that ends: its connections do too.
func (r *rack) noneFailed(seen measure.Report) {
	r.t.Helper()
	seen.Broken = 0
	r.unbroken(seen)
}

// moved checks that another machine owns the VIP.
func (r *rack) moved(from *Machine) {
	r.t.Helper()
	if r.settle() == from {
		r.t.Errorf("%s owns the VIP still", from)
	}
}

// plannedMoves are what operators do to the owner. No request fails.
func (r *rack) plannedMoves() {
	r.part("reload", func(r *rack) {
		owner := r.settle()
		r.unbroken(r.span(func() { r.run(owner, "systemctl", "reload", "vipd") }))
		if r.settle() != owner {
			r.t.Error("a reload moved the VIP")
		}
	})
	r.part("systemctl restart", func(r *rack) {
		owner := r.settle()
		r.unbroken(r.span(func() { r.run(owner, "systemctl", "restart", "vipd") }))
		r.moved(owner)
	})
	r.part("systemctl stop, and start", func(r *rack) {
		owner := r.settle()
		r.unbroken(r.span(func() { r.run(owner, "systemctl", "stop", "vipd") }))
		r.unbroken(r.span(func() { r.run(owner, "systemctl", "start", "vipd") }))
		r.moved(owner)
	})
	r.part("upgrade of the package", func(r *rack) {
		owner := r.settle()
		r.unbroken(r.span(func() { r.run(owner, "dpkg", "--install", packageFile(newVersion, deb)) }))
		r.moved(owner)
		status, err := owner.status(r.ctx())
		r.must(err)
		if status.Version != newVersion {
			r.t.Errorf("%s runs on %s after the upgrade", status.Version, owner)
		}
	})
	r.part("restart of systemd-networkd", func(r *rack) {
		owner := r.settle()
		r.run(owner, "systemctl", "start", "systemd-networkd")
		r.awaitShown(owner, "systemd-networkd", "ActiveState", "active")
		r.settle()
		r.unbroken(r.span(func() {
			r.run(owner, "systemctl", "restart", "systemd-networkd")
			r.awaitShown(owner, "systemd-networkd", "ActiveState", "active")
			r.settle()
		}))
		if r.settle() != owner {
			r.t.Error("systemd-networkd moved the VIP")
		}
		r.run(owner, "systemctl", "stop", "systemd-networkd.socket", "systemd-networkd")
	})
	r.part("systemctl reboot", func(r *rack) {
		owner := r.settle()
		r.noneFailed(r.span(func() {
			r.leave(owner, "reboot")
			r.must(owner.Boot(r.ctx()))
			r.settle()
		}))
		r.moved(owner)
		r.drainedBeforeTheRuntimeStopped(owner)
	})
	r.part("poweroff", func(r *rack) {
		owner := r.settle()
		r.noneFailed(r.span(func() { r.leave(owner, "poweroff") }))
		r.must(owner.Boot(r.ctx()))
		r.moved(owner)
	})
}

// leave ends a machine in order.
func (r *rack) leave(m *Machine, how string) {
	r.t.Helper()
	r.run(m, "systemctl", how)
	r.must(m.AwaitOff(r.ctx(), lab.VIP4()))
}

// drainedBeforeTheRuntimeStopped looks at the journal of the boot before.
func (r *rack) drainedBeforeTheRuntimeStopped(m *Machine) {
	r.t.Helper()
	before := r.run(m, "journalctl", "--boot=-1", "--output=cat")
	drained := strings.Index(before, "Stopped vipd-shutdown.service")
	stopped := strings.Index(before, "Stopping containerd.service")
	if drained < 0 || stopped < drained {
		r.t.Errorf("the runtime was stopped before the VIP had moved (%d, %d):\n%s", drained, stopped, before[max(0, len(before)-4000):])
	}
}
