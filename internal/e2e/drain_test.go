package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
)

// The pre-drain hook, with its exit codes.
func TestDrain(t *testing.T) {
	s := open(t, setup{})
	vip := s.VIP().Addr()

	s.part("a backup: done at once, nothing moves", func(s *stage) {
		owner := s.settle()
		backup, since := s.others(owner)[0], time.Now()
		s.exits(0, backup, "drain")
		s.awaitState(backup, agent.StateDrained, election.Drain)
		s.settleOn(owner)
		s.unbroken(since)
		s.exits(0, backup, "undrain")
		s.awaitState(backup, agent.StateBackup, election.Undrain)
	})
	s.part("the owner: a healthy node serves when the command ends", func(s *stage) {
		o := s.try(s.drain())
		s.moved(o, agent.StateDrained, election.Drain, election.OwnerDraining)
		s.settleOn(o.Successor)
		s.mend(o)
		s.awaitState(o.Owner, agent.StateBackup, election.Undrain)
		s.settleOn(o.Successor)
	})
	s.part("the mark outlives the daemon, also one that is killed", func(s *stage) {
		owner := s.settle()
		drained := s.others(owner)[0]
		s.exits(0, drained, "drain")
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			s.stop(drained, sig)
			s.must(s.StartDaemon(drained))
			s.awaitGroup(drained, "drained", func(v agent.VIPStatus) bool { return v.State == agent.StateDrained })
		}
		s.settleOn(owner)
		s.exits(0, drained, "undrain")
		s.settleOn(owner)
	})
	s.part("two at once of two that are left: one keeps the VIP", func(s *stage) {
		owner := s.settle()
		out, other := s.others(owner)[0], s.others(owner)[1]
		s.exits(0, out, "drain")
		var codes [2]int
		var both sync.WaitGroup
		both.Go(func() { codes[0], _ = s.command(owner, "drain", "--timeout", "1s") })
		both.Go(func() { codes[1], _ = s.command(other, "drain", "--timeout", "5s") })
		both.Wait()
		if got := slices.Sorted(slices.Values(codes[:])); !slices.Equal(got, []int{0, 3}) {
			s.t.Errorf("exit codes of %s and %s: %v, want one 0 and one 3", owner, other, codes)
		}
		s.awaitOneHolder(vip)
		kept := s.settle()
		s.awaitGroup(kept, "a healthy owner", func(v agent.VIPStatus) bool { return v.Election.Band == "healthy" })
		for _, h := range s.Lab.Hosts {
			s.exits(0, h, "undrain")
		}
		s.settleOn(kept)
	})
	s.part("the last one: 3, and nothing has changed", func(s *stage) {
		owner, since := s.settle(), time.Now()
		for _, h := range s.others(owner) {
			s.exits(0, h, "drain")
		}
		s.exits(3, owner, "drain", "--timeout", "2s")
		s.awaitGroup(owner, "a healthy owner", func(v agent.VIPStatus) bool {
			return v.State == agent.StateOwner && v.Election.Band == "healthy"
		})
		s.settleOn(owner)
		s.unbroken(since)
	})
	s.part("the last one, by force: nobody holds the VIP until a node is undrained", func(s *stage) {
		owner := s.settle()
		s.exits(0, owner, "drain", "--force", "--timeout", "2s")
		s.held(vip)
		s.awaitState(owner, agent.StateDrained, election.Forced)
		next := s.others(owner)[0]
		s.exits(0, next, "undrain")
		s.settleOn(next)
		for _, h := range s.others(next) {
			s.exits(0, h, "undrain")
		}
		s.settleOn(next)
	})
	s.part("what cannot be understood: 2; no daemon: 5", func(s *stage) {
		owner := s.settle()
		backup := s.others(owner)[0]
		s.says(s.exits(2, backup, "drain", "--vip", "nonsense"), "nonsense")
		s.says(s.exits(2, backup, "drain", "--nonsense"), "--nonsense")
		s.stop(backup, syscall.SIGTERM)
		s.says(s.exits(5, backup, "drain"), "not running")
		s.must(s.StartDaemon(backup))
		s.settleOn(owner)
	})
}

func TestDrainOfOneVIPOfTwo(t *testing.T) {
	second := lab.VIP4().Next()
	s := open(t, setup{config: func(*lab.Host) config {
		return config{others: []group{{name: "second", addresses: []netip.Addr{second}}}}
	}})
	first, since := s.settle(), time.Now()

	from := s.awaitOneHolder(second)
	s.exits(0, from, "drain", "--vip", "second")
	to := s.awaitOneHolder(second)
	if to == from {
		s.t.Errorf("%s holds the drained VIP", from)
	}
	s.await("the drained VIP to be drained", func() error {
		if v := s.group(from, "second"); v.State != agent.StateDrained {
			return fmt.Errorf("it is %s on %s", v.State, from)
		}
		return nil
	})
	s.settleOn(first)
	s.unbroken(since)

	s.exits(0, from, "undrain", "--vip", "second")
	s.exits(0, to, "drain")
	if holder := s.awaitOneHolder(second); holder == to {
		s.t.Errorf("%s holds a VIP although it is drained", to)
	}
	if owner := s.settle(); owner == to {
		s.t.Errorf("%s holds a VIP although it is drained", to)
	}
}
