package machines

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// accidents are what happens to the owner's daemon and to its host. Somebody
// serves afterwards, and the daemon is back without anyone's help.
func (r *rack) accidents() {
	for _, a := range []struct{ name, signal string }{
		{"kill -9", "KILL"},
		{"a panic's signal: it is not taken for a wrong configuration", "ABRT"},
		{"a frozen daemon: the watchdog restarts it", "STOP"},
	} {
		r.part(a.name, func(r *rack) {
			owner := r.settle()
			restarts := r.restarts(owner)
			r.run(owner, "systemctl", "kill", "--kill-whom=main", "--signal="+a.signal, "vipd")
			r.awaitRestart(owner, restarts+1)
			r.settle()
		})
	}
	r.part("killed again and again: systemd never gives up", func(r *rack) {
		backup := r.others(r.settle())[0]
		restarts := r.restarts(backup)
		const more = 7 // above systemd's default limit of starts, 5 in 10 s
		for i := range more {
			r.run(backup, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "vipd")
			r.awaitRestart(backup, restarts+i+1)
		}
		r.settle()
	})
	r.part("/run and /var are full", func(r *rack) {
		owner := r.settle()
		mend := r.fill(owner, "/run", "/var/lib/vipd", "/var/log")
		r.unbroken(r.span(func() { r.run(owner, "systemctl", "reload", "vipd") }))
		r.unbroken(r.span(func() {
			r.run(owner, "systemctl", "restart", "vipd")
			r.settle()
		}))
		mend()
		r.settle()
	})
	r.part("journald stands still: nobody waits for it", func(r *rack) {
		owner := r.settle()
		told := r.lossesTold(owner)
		r.run(owner, "systemctl", "kill", "--signal=STOP", "systemd-journald")
		r.unbroken(r.span(func() { r.logMuch(owner) }))
		r.run(owner, "systemctl", "kill", "--signal=CONT", "systemd-journald")
		r.awaitLossTold(owner, told)
		if r.settle() != owner {
			r.t.Error("a journald that stands still moved the VIP")
		}
	})
	r.part("journald is stopped", func(r *rack) {
		owner := r.settle()
		restarts, told := r.restarts(owner), r.lossesTold(owner)
		r.unbroken(r.span(func() {
			r.run(owner, "systemctl", "stop", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald-audit.socket", "systemd-journald")
			r.logMuch(owner)
		}))
		r.run(owner, "systemctl", "start", "systemd-journald")
		r.awaitLossTold(owner, told)
		if after := r.restarts(owner); after != restarts || r.settle() != owner {
			r.t.Errorf("a stopped journald cost %d restarts of vipd; the VIP is on %s", after-restarts, r.settle())
		}
	})
}

func (r *rack) restarts(m *Machine) int {
	r.t.Helper()
	n, err := strconv.Atoi(r.show(m, "vipd", "NRestarts"))
	r.must(err)
	return n
}

// awaitRestart waits until systemd has restarted the daemon so often, and it is
// ready.
func (r *rack) awaitRestart(m *Machine, n int) {
	r.t.Helper()
	r.await(fmt.Sprintf("restart %d of vipd on %s", n, m), func(ctx context.Context) error {
		out, err := m.Run(ctx, "systemctl", "show", "--value", "--property=NRestarts", "--property=ActiveState", "vipd")
		got := strings.Fields(out)
		if err == nil && (len(got) != 2 || got[0] != strconv.Itoa(n) || got[1] != "active") {
			err = fmt.Errorf("it is %v", got)
		}
		return err
	})
}

// fill leaves no byte in some directories of a machine.
func (r *rack) fill(m *Machine, directories ...string) (mend func()) {
	r.t.Helper()
	for _, d := range directories {
		// A small file system of its own where there is none.
		r.run(m, "sh", "-c", `
			mountpoint --quiet "$1" && mount -o remount,size=16M "$1" || mount -t tmpfs -o size=1M,mode=0755 none "$1"
			cat /dev/zero >"$1/full" 2>/dev/null || true
			! echo more >"$1/more" 2>/dev/null || test ! -s "$1/more"`, "fill", d)
	}
	return func() {
		r.t.Helper()
		for _, d := range directories {
			r.run(m, "rm", "-f", d+"/full", d+"/more")
		}
	}
}

// logMuch makes a daemon log more than journald's socket and the daemon's own
// queue hold, which awaitLossTold proves: of one sender's lines the socket takes
// what SO_SNDBUF allows, 167 by default, or net.unix.max_dgram_qlen if that is
// less; the queue takes 1024; a reload logs at least one. Requests are answered in
// between: a vipd that is kept busy goes before the API server on the same machine
// and would starve it.
func (r *rack) logMuch(m *Machine) {
	r.t.Helper()
	const reloads, each, answers = 1250, 10, 5
	for range reloads / each {
		for range each {
			r.must(reload(r.ctx(), m))
		}
		_, err := r.client.AwaitServed(r.ctx(), time.Now(), answers, func(node string) bool { return node == m.Name })
		r.must(err)
	}
}

// lossesTold counts how often a daemon has told the journal that lines were lost.
func (r *rack) lossesTold(m *Machine) int {
	r.t.Helper()
	const warnings = "PRIORITY=4" // syslog(3)
	return strings.Count(r.run(m, "journalctl", "--unit=vipd", "--output=cat", warnings), "log lines were lost")
}

// awaitLossTold waits until a daemon that logs on has told of a loss more.
func (r *rack) awaitLossTold(m *Machine, before int) {
	r.t.Helper()
	r.await("word of the lines that were lost in the journal of "+m.Name, func(ctx context.Context) error {
		if err := reload(ctx, m); err != nil {
			return err
		}
		if told := r.lossesTold(m); told <= before {
			return fmt.Errorf("%d times, as before", told)
		}
		return nil
	})
}
