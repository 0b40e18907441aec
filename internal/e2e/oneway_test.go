package e2e

import (
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
)

// Frames get lost in one direction at the host with the highest address, which
// wins each duel that it takes part in.
func TestOneWayLoss(t *testing.T) {
	s := open(t, setup{})
	first, best := s.Lab.Hosts[0], s.Lab.Hosts[2]

	s.part("the owner goes mute: another one serves, and it makes way", func(s *stage) {
		s.makeOwner(best)
		mend := s.breakBy(lab.Mute(best))
		s.gaveUp(best, agent.StateBackup, election.Unheard)
		s.must(mend())
		if s.settle() == best {
			s.t.Error("it owns again, though nobody was to displace anybody")
		}
	})
	s.part("a backup goes deaf and takes over: the owner takes the VIP back", func(s *stage) {
		s.makeOwner(first)
		mend := s.breakBy(lab.Deaf(best))
		s.awaitState(first, agent.StateOwner, election.OwnerDeaf)
		s.servedBy(first, 20)
		s.must(mend())
		s.settle()
	})
	s.part("one backup does not get what the owner sends, and nobody is deaf: the VIP is served", func(s *stage) {
		s.makeOwner(first)
		mend := s.breakBy(lab.OneWay(first, best))
		s.awaitState(best, agent.StateOwner, election.OwnerSilent)
		s.gaveUp(first, agent.StateBackup, election.DuelLost)
		s.servedBy(best, 20)
		s.must(mend())
		s.settleOn(best)
	})
}

func (s *stage) breakBy(f lab.Fault) (mend func() error) {
	s.t.Helper()
	mend, err := s.Lab.Break(f)
	s.must(err)
	return mend
}
