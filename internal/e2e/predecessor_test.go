package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
)

// A program that knows nothing of VRRP has put the VIP on a host for good, and
// goes later, as kube-vip does in a migration.
func TestAnotherProgramHadTheVIP(t *testing.T) {
	const leader = "cp1"
	s := open(t, setup{before: func(h *lab.Host) error {
		if h.Name != leader {
			return nil
		}
		_, err := h.Run(context.Background(), "ip", "address", "add", lab.VIP4().String()+"/32", "dev", h.Interface)
		return err
	}})
	owner := s.Lab.Hosts[0]
	s.settleOn(owner)

	s.part("the address has a lifetime now", func(s *stage) {
		s.await("the kernel to hold it for a while only", func() error {
			shown := s.run(owner, "ip", "-oneline", "address", "show", "to", lab.VIP4().String())
			if strings.Contains(shown, "valid_lft forever") {
				return fmt.Errorf("address: %s", shown)
			}
			return nil
		})
	})
	s.part("the program ends and takes the address off: it is put back, and does not move", func(s *stage) {
		before := s.histories()
		s.run(owner, "ip", "address", "delete", lab.VIP4().String()+"/32", "dev", owner.Interface)
		s.awaitHeld(lab.VIP4(), owner)
		s.settleOn(owner)
		if diff := cmp.Diff(before, s.histories()); diff != "" {
			s.t.Errorf("states changed (-before +after):\n%s", diff)
		}
	})
	s.part("it moves like any other", func(s *stage) {
		s.exits(0, owner, "drain")
		s.exits(0, owner, "undrain")
		if next := s.settle(); next == owner {
			s.t.Errorf("%s owns the VIP after its drain", next)
		}
	})
}
