package etcd

import (
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// outcome is what must become of the VIP while a fault lasts.
type outcome uint8

const (
	// stays: the owner goes on.
	stays outcome = iota
	// moves: another host answers.
	moves
	// ends: nobody answers.
	ends
)

// Whatever happens to the owner, to etcd and to the ways between them, never do two
// stations answer for the VIP at one time.
func TestNeverTwoAnswer(t *testing.T) {
	e := elect(t)
	for _, row := range []struct {
		name string
		// harm does it to the present owner, and returns what undoes it.
		harm func(e *electorate, owner *lab.Host) (mend func() error, err error)
		then outcome
	}{
		{"the owner's daemon does not reach etcd: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.cutFromEtcd(owner), nil
		}, moves},
		{"the owner is cut off from all but clients: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.Break(lab.Partition([]*lab.Host{owner}, e.others(owner)))
		}, moves},
		{"the owner, which leads etcd, is cut off from all but clients: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			if err := e.etcd.Lead(e.ctx, owner); err != nil {
				return nil, err
			}
			return e.Break(lab.Partition([]*lab.Host{owner}, e.others(owner)))
		}, moves},
		{"a backup is cut off from all but clients: nothing moves", func(e *electorate, owner *lab.Host) (func() error, error) {
			backup := e.others(owner)[0]
			return e.Break(lab.Partition([]*lab.Host{backup}, e.others(backup)))
		}, stays},
		{"each host is cut off from the others: nobody holds the VIP", func(e *electorate, _ *lab.Host) (func() error, error) {
			return e.Break(lab.Partition(e.Hosts[:1], e.Hosts[1:2], e.Hosts[2:]))
		}, ends},
		{"the owner's daemon is frozen just after a renewal: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.end(owner, syscall.SIGSTOP, justAfterARenewal)
		}, moves},
		{"the owner's daemon is frozen between two renewals: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.end(owner, syscall.SIGSTOP, betweenRenewals)
		}, moves},
		{"the owner's daemon is frozen late after a renewal: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.end(owner, syscall.SIGSTOP, lateAfterARenewal)
		}, moves},
		{"the owner's daemon is killed late after a renewal: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.end(owner, syscall.SIGKILL, lateAfterARenewal)
		}, moves},
		{"the owner's member is frozen: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return func() error { return e.etcd.Thaw(owner) }, e.etcd.Freeze(owner)
		}, moves},
		{"the owner's member dies, which leads etcd: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			if err := e.etcd.Lead(e.ctx, owner); err != nil {
				return nil, err
			}
			return func() error { return e.etcd.Run(e.ctx, owner) }, e.etcd.Kill(e.ctx, owner)
		}, moves},
		{"etcd's leader, on another host, dies: nothing moves", func(e *electorate, owner *lab.Host) (func() error, error) {
			leader := e.others(owner)[0]
			if err := e.etcd.Lead(e.ctx, leader); err != nil {
				return nil, err
			}
			return func() error { return e.etcd.Run(e.ctx, leader) }, e.etcd.Kill(e.ctx, leader)
		}, stays},
		{"all of etcd is down: nobody holds the VIP", func(e *electorate, _ *lab.Host) (func() error, error) {
			var err error
			for _, h := range e.Hosts {
				err = errors.Join(err, e.etcd.Kill(e.ctx, h))
			}
			return func() error { return e.etcd.Run(e.ctx, e.Hosts...) }, err
		}, ends},
		{"all of etcd is down, and the owner is drained: it says why it serves on, until its lease is over", func(e *electorate, owner *lab.Host) (func() error, error) {
			var err error
			for _, h := range e.Hosts {
				err = errors.Join(err, e.etcd.Kill(e.ctx, h))
			}
			e.refusesDrain(owner)
			return func() error { return e.etcd.Run(e.ctx, e.Hosts...) }, err
		}, ends},
		{"the owner's daemon does not reach etcd, and is drained: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			mend := e.cutFromEtcd(owner)
			e.command(owner, "drain")
			return func() error {
				err := mend()
				e.command(owner, "undrain")
				return err
			}, nil
		}, moves},
		{"the owner's daemon does not reach etcd, and is stopped: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			mend := e.cutFromEtcd(owner)
			e.stop(owner)
			return func() error {
				err := mend()
				e.vipd(owner)
				return err
			}, nil
		}, moves},
		{"etcd is slow: nothing moves", func(e *electorate, _ *lab.Host) (func() error, error) {
			return e.slow(150*time.Millisecond, e.Hosts...), nil
		}, stays},
		{"etcd is slow for the owner alone: nothing moves", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.slow(400*time.Millisecond, owner), nil
		}, stays},
		{"etcd hears the owner, whose daemon learns no answer in time: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return e.slow(time.Second, owner), nil
		}, moves},
		{"etcd is too slow to be asked: nobody holds the VIP", func(e *electorate, _ *lab.Host) (func() error, error) {
			return e.slow(time.Second, e.Hosts...), nil
		}, ends},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := e.in(t)
			owner := e.together()
			w := e.watchAll()
			e.awaitAnswerOf(w, owner)
			mend, err := row.harm(e, owner)
			e.must(err)
			mend = sync.OnceValue(mend)
			t.Cleanup(func() { _ = mend() }) // for the next row, if this one fails
			switch row.then {
			case moves:
				e.awaitAnswer(w, "another host to answer", func(by []string) bool { return len(by) == 1 && by[0] != owner.Name })
			case ends:
				e.awaitAnswer(w, "nobody to answer", func(by []string) bool { return len(by) == 0 })
			case stays:
				time.Sleep(ttl) // as long as a lease lasts that nobody renews
			}
			e.must(mend())
			for _, g := range e.groups {
				e.settled(g)
			}
			e.awaitAnswer(w, "one host to answer", func(by []string) bool { return len(by) == 1 })
			if row.then == stays {
				e.stayed(w, owner)
			} else {
				e.judgeAll(w)
			}
		})
	}
	t.Run("without_etcd: keep: the owner goes on while etcd is down", func(t *testing.T) {
		e := e.in(t)
		for i := range e.groups {
			e.groups[i].keys = append(e.groups[i].keys, "etcd: {without_etcd: keep}")
		}
		for _, h := range e.Hosts {
			e.configure(h)
			e.command(h, "reload")
		}
		owner := e.together()
		w := e.watchAll()
		for _, h := range e.Hosts {
			e.must(e.etcd.Kill(e.ctx, h))
		}
		time.Sleep(ttl)
		e.must(e.etcd.Run(e.ctx, e.Hosts...))
		for _, g := range e.groups {
			e.settled(g)
		}
		e.stayed(w, owner)
	})
}

// cutFromEtcd has a host's daemon not reach etcd, until mend is called or the row is
// over.
func (e *electorate) cutFromEtcd(h *lab.Host) (mend func() error) {
	relay := e.relays[h]
	relay.Cut()
	e.t.Cleanup(relay.Mend)
	return func() error { relay.Mend(); return nil }
}

// refusesDrain makes sure that an owner that cannot pass its VIPs on says why, with
// the exit code for no successor.
func (e *electorate) refusesDrain(owner *lab.Host) {
	e.t.Helper()
	const noSuccessor = 3
	_, err := owner.Run(e.ctx, e.binary, "drain", "--timeout", "2s", "--socket", socket(owner))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != noSuccessor || !strings.Contains(err.Error(), "the lease could not be passed on: ask etcd at ") {
		e.t.Errorf("drain: got %v, want exit code %d, and that etcd did not answer", err, noSuccessor)
	}
}
