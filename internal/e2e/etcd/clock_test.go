package etcd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// The wall clock of all daemons jumps each second, by an hour and more. Neither who
// is elected by etcd nor who is elected by VRRP changes by that, and when the owner
// dies another one takes over as ever.
func TestAWallClockThatJumpsMovesNothing(t *testing.T) {
	s := open(t, 3, byEtcd...)
	s.binary = labtest.VipdWithJumps(t)
	byVRRP := group{"second", []netip.Addr{anotherVIP}, nil}
	s.groups = append(s.groups, byVRRP)
	s.must(s.etcd.Start(s.ctx, s.Hosts...))
	owner := s.Hosts[0]
	s.vipd(owner)
	s.awaitLease(owner)
	s.awaitOwnerOf(byVRRP, owner)
	for _, h := range s.others(owner) {
		s.vipd(h)
	}
	s.settle()

	w := s.watchAll()
	s.awaitAnswerOf(w, owner)
	for range 3 { // each takes about as long as a lease lasts that nobody renews
		s.jumps()
	}
	s.stayed(w, owner)

	s.groups = s.groups[:1] // the kernel of an owner by VRRP goes on for its fence, beside its successor
	w = s.watchAll()
	s.kill(owner)
	next := s.settle()
	s.awaitOwnerOf(byVRRP, s.others(owner)...)
	s.awaitAnswerOf(w, next)
	s.judgeAll(w)
}

// jumps waits until each daemon has been seen with each error of its wall clock.
func (s *stage) jumps() {
	s.t.Helper()
	type seen struct {
		host *lab.Host
		jump time.Duration
	}
	missing := map[seen]bool{}
	for _, h := range s.Hosts {
		for _, jump := range labtest.ClockJumps() {
			missing[seen{h, jump}] = true
		}
	}
	s.must(lab.AwaitEvery(s.ctx, labtest.ClockStep/10, "the clocks to jump", func() error {
		for _, h := range s.Hosts {
			status, err := s.nodeStatus(h)
			if err != nil {
				return err
			}
			delete(missing, seen{h, time.Until(status.Time).Round(time.Minute)})
		}
		if len(missing) > 0 {
			return fmt.Errorf("not seen: %v", missing)
		}
		return nil
	}))
}

// awaitOwnerOf waits until one of the hosts owns a group.
func (s *stage) awaitOwnerOf(g group, hosts ...*lab.Host) {
	s.t.Helper()
	s.must(lab.Await(s.ctx, "an owner of "+g.name, func() error {
		owns := func(h *lab.Host) bool {
			v, err := s.statusOf(h, g)
			return err == nil && v.State == agent.StateOwner
		}
		if !slices.ContainsFunc(hosts, owns) {
			return errors.New("none of them is")
		}
		return nil
	}))
}
