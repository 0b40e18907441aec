package e2e

import (
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab/scene"
)

func TestOwnerIsLost(t *testing.T) {
	s := open(t, setup{})
	vip := s.VIP().Addr()

	s.part("its cable is cut: it lets go at once, and comes back without a move", func(s *stage) {
		o := s.try(scene.CableCut())
		s.moved(o, agent.StateFault, election.NoCarrier, election.OwnerSilent)
		s.awaitHeld(vip, o.Successor)
		s.mend(o)
		s.settleOn(o.Successor)
	})
	s.part("its frames are lost without notice: after that one owner is left", func(s *stage) {
		o := s.try(scene.SilentCut())
		s.mend(o)
		s.settle()
	})
	s.part("its daemon is killed: the kernel takes the address off", func(s *stage) {
		o := s.try(killed())
		s.awaitHeld(vip, o.Successor)
		s.mend(o)
		s.settleOn(o.Successor)
	})
	s.part("its host loses power and comes back without a move", func(s *stage) {
		o := s.try(scene.Crash())
		s.mend(o)
		s.settleOn(o.Successor)
	})
	s.part("its daemon freezes: the kernel takes the address off, and after it woke there is one owner", func(s *stage) {
		o := s.try(scene.Freeze())
		s.awaitHeld(vip, o.Successor)
		s.mend(o)
		s.settle()
	})
	s.part("its daemon freezes and wakes up with the address in its hands: one owner is left", func(s *stage) {
		o := s.try(scene.Freeze())
		s.mend(o)
		s.settle()
	})
	s.part("metrics show exactly one owner", func(s *stage) {
		owner := s.settle()
		for _, h := range s.Lab.Hosts {
			want := 0.0
			if h == owner {
				want = 1
			}
			if got := s.metric(h, `vipd_vip_owner{vip="apiserver"}`); got != want {
				s.t.Errorf("vipd_vip_owner on %s is %v, want %v", h, got, want)
			}
		}
	})
}
