package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

func TestPreemption(t *testing.T) {
	const better = "cp1"
	preferring := func(rules string) config { return config{keys: []string{"vrrp: {priority: 220" + rules + "}"}} }
	s := open(t, setup{config: func(h *lab.Host) config {
		if h.Name != better {
			return config{}
		}
		return preferring("")
	}})
	preferred, other := s.Lab.Hosts[0], s.Lab.Hosts[1]
	s.makeOwner(preferred)
	s.makeOwner(other) // one that heard another: the first owner there ever was advertises the least of its band for a while

	s.part("preempt band: a higher priority is no reason to move", func(s *stage) {
		s.awaitGroup(preferred, "a backup of priority 220", func(v agent.VIPStatus) bool { return v.Election.Priority == 220 })
		s.settleOn(other)
	})
	s.part("preempt always within preempt_delay: no move yet", func(s *stage) {
		s.reload(preferred, preferring(", preempt: always, preempt_delay: 1h"))
		s.settleOn(other)
	})
	s.part("preempt always: it takes over, and the addresses come first", func(s *stage) {
		from := time.Now()
		s.reload(preferred, preferring(", preempt: always"))
		s.awaitState(preferred, agent.StateOwner, election.HigherPriority)
		s.gaveUp(other, agent.StateBackup, election.HigherPriority)
		s.settleOn(preferred)
		s.unbroken(s.firstClaim(preferred, from))
	})
	s.part("preempt always: when it comes back it takes over again", func(s *stage) {
		o := s.try(scene.CableCut())
		s.mend(o)
		s.awaitState(preferred, agent.StateOwner, election.HigherPriority)
		s.settleOn(preferred)
	})
}

func TestStartupDelay(t *testing.T) {
	s := open(t, setup{hosts: 2, config: func(h *lab.Host) config {
		if h.Name != "cp1" {
			return config{}
		}
		return config{keys: []string{"vrrp: {startup_delay: 1h}"}}
	}})
	hearing, owner := s.Lab.Hosts[0], s.Lab.Hosts[1]
	s.settleOn(owner)
	s.stop(owner, syscall.SIGKILL)
	s.awaitHeld(s.VIP().Addr()) // nobody: the dead host's kernel took it off long after a backup would have taken over
	s.awaitGroup(hearing, "a backup still", func(v agent.VIPStatus) bool { return v.State == agent.StateBackup })
	s.must(s.StartDaemon(owner))
	s.settleOn(owner)
}
