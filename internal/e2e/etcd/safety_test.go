package etcd

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
	"github.com/vipd/vipd/internal/lab/relay"
	"github.com/vipd/vipd/internal/lab/wire"
)

// relayPort is where vipd finds etcd in these stories: behind a relay.
const relayPort = 12379

// ttl is the lease's unless a configuration says otherwise.
const ttl = 5 * time.Second

// electorate is three hosts that elect by etcd, each with a relay between vipd and
// its member.
type electorate struct {
	*stage
	relays map[*lab.Host]*relay.Relay
}

// elect builds one and waits for its owner.
func elect(t *testing.T) *electorate {
	t.Helper()
	e := &electorate{stage: open(t, 3, "election: etcd"), relays: map[*lab.Host]*relay.Relay{}}
	e.endpoint = fmt.Sprintf("https://127.0.0.1:%d", relayPort)
	e.must(e.etcd.Start(e.ctx, e.Hosts...))
	for _, h := range e.Hosts {
		r, err := relay.Open(h, fmt.Sprintf("127.0.0.1:%d", relayPort), fmt.Sprintf("127.0.0.1:%d", etcdcluster.ClientPort))
		e.must(err)
		t.Cleanup(func() { _ = r.Close() }) // its lab ends with it
		e.relays[h] = r
		e.vipd(h)
	}
	e.settle()
	return e
}

// in is the electorate for a subtest.
func (e *electorate) in(t *testing.T) *electorate {
	return &electorate{stage: e.stage.in(t), relays: e.relays}
}

// awaitAnswer waits until the wire says what is wanted.
func (e *electorate) awaitAnswer(w *wire.Watcher, what string, wanted func(by []string) bool) {
	e.t.Helper()
	e.must(lab.AwaitEvery(e.ctx, 20*time.Millisecond, what, func() error {
		if by := w.Latest(); !wanted(by) {
			return fmt.Errorf("it is %v", by)
		}
		return nil
	}))
}

// slow delays what daemons and etcd say to each other, in each direction.
func (e *electorate) slow(d time.Duration, on ...*lab.Host) (mend func() error) {
	for _, h := range on {
		e.relays[h].Delay(d)
	}
	return func() error {
		for _, h := range on {
			e.relays[h].Delay(0)
		}
		return nil
	}
}

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
			e.relays[owner].Cut()
			return func() error { e.relays[owner].Mend(); return nil }, nil
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
		{"the owner's daemon is frozen: another host takes the VIP", func(e *electorate, owner *lab.Host) (func() error, error) {
			return func() error { return e.running[owner].Signal(syscall.SIGCONT) }, e.running[owner].Signal(syscall.SIGSTOP)
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
			owner := e.settle()
			w := e.watch()
			e.awaitAnswer(w, "the owner to answer", func(by []string) bool { return slices.Equal(by, []string{owner.Name}) })
			mend, err := row.harm(e, owner)
			e.must(err)
			switch row.then {
			case moves:
				e.awaitAnswer(w, "another host to answer", func(by []string) bool { return len(by) == 1 && by[0] != owner.Name })
			case ends:
				e.awaitAnswer(w, "nobody to answer", func(by []string) bool { return len(by) == 0 })
			case stays:
				time.Sleep(ttl) // as long as a lease lasts that nobody renews
			}
			e.must(mend())
			after := e.settle()
			e.awaitAnswer(w, "the owner to answer", func(by []string) bool { return slices.Equal(by, []string{after.Name}) })
			report := e.judge(w)
			if row.then == stays && (after != owner || len(report.None) > 0) {
				t.Errorf("the VIP was with %v and is with %v; not answered: %v", owner, after, report.None)
			}
		})
	}
	t.Run("without_etcd: keep: the owner goes on while etcd is down", func(t *testing.T) {
		e := e.in(t)
		e.group = append(e.group, "etcd: {without_etcd: keep}")
		for _, h := range e.Hosts {
			e.configure(h)
			e.command(h, "reload")
		}
		owner := e.settle()
		w := e.watch()
		for _, h := range e.Hosts {
			e.must(e.etcd.Kill(e.ctx, h))
		}
		time.Sleep(ttl)
		e.must(e.etcd.Run(e.ctx, e.Hosts...))
		after := e.settle()
		if report := e.judge(w); after != owner || len(report.None) > 0 {
			t.Errorf("the VIP was with %v and is with %v; not answered: %v", owner, after, report.None)
		}
	})
}
