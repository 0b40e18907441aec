package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Both sides of a partition have an owner. When it heals, the higher address
// wins (RFC 9568 6.4.3), and clients may know only the other one's.
func TestPartitionHeals(t *testing.T) {
	s := open(t, setup{})
	loser, better := s.Lab.Hosts[0], s.Lab.Hosts[1:]

	s.part("the client knew only the loser: it is led to the winner", func(s *stage) {
		s.makeOwner(loser)
		heal := s.partition([]*lab.Host{loser, s.Lab.Client}, better)
		s.awaitTwoOwners(loser)
		s.servedBy(loser, 20)

		since := time.Now()
		s.must(heal())
		winner := s.settle()
		if winner == loser {
			s.t.Fatalf("%s owns the VIP although a higher address claimed it too", winner)
		}
		s.unbroken(since)
	})
	s.part("the client knew only the winner: it notices nothing", func(s *stage) {
		s.makeOwner(loser)
		heal := s.partition([]*lab.Host{loser}, append(slices.Clone(better), s.Lab.Client))
		winner := s.awaitTwoOwners(loser)
		s.servedBy(winner, 20)

		since := time.Now()
		s.must(heal())
		s.settleOn(winner)
		s.unbroken(since)
	})
}

func (s *stage) partition(sides ...[]*lab.Host) (heal func() error) {
	s.t.Helper()
	heal, err := s.Lab.Break(lab.Partition(sides...))
	s.must(err)
	return heal
}

// awaitTwoOwners waits until another host than the first owner holds the VIP too,
// and returns that.
func (s *stage) awaitTwoOwners(first *lab.Host) (second *lab.Host) {
	s.t.Helper()
	s.await("an owner on each side", func() error {
		holders, err := s.holders(s.VIP().Addr())
		if err != nil {
			return err
		}
		if len(holders) != 2 || holders[0] != first {
			return fmt.Errorf("held by %v", holders)
		}
		second = holders[1]
		return nil
	})
	return second
}
