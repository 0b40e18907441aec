package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
)

// With unicast adverts a joining node hears nothing as long as the others do not
// list it.
func TestJoinerThatNobodyLists(t *testing.T) {
	members := []netip.Addr{netip.MustParseAddr("10.77.0.11"), netip.MustParseAddr("10.77.0.12")}
	joining := netip.MustParseAddr("10.77.0.13")
	all := append(slices.Clone(members), joining)
	var started []*lab.Host
	s := open(t, setup{
		config: func(h *lab.Host) config {
			return config{keys: []string{"vrrp: {peers_file: " + peersFile(h) + "}"}}
		},
		before: func(h *lab.Host) error {
			if h.Addr4 == joining {
				return errors.Join(list(h, all), awaitHolder(t, started))
			}
			started = append(started, h)
			return list(h, members)
		},
	})
	joiner := s.Lab.Hosts[2]
	s.awaitState(joiner, agent.StateBackup, election.VIPAnswered)
	owner := s.settle()
	if owner == joiner {
		s.t.Fatalf("%s owns the VIP, which it heard another answer for", joiner)
	}

	s.part("once listed it is a backup like the others", func(s *stage) {
		for _, h := range s.others(joiner) {
			s.must(list(h, all))
		}
		s.awaitGroup(joiner, "a backup that hears the owner", func(v agent.VIPStatus) bool {
			return v.State == agent.StateBackup && v.Owner == owner.Addr4.String()
		})
		s.settleOn(owner)
	})
	s.part("it takes over when the others leave", func(s *stage) {
		for _, h := range s.others(joiner) {
			s.exits(0, h, "drain")
		}
		s.settleOn(joiner)
	})
}

func peersFile(h *lab.Host) string { return filepath.Join(h.Dir(), "peers") }

// list replaces the host's peers file as an editor does: at once.
func list(h *lab.Host, peers []netip.Addr) error {
	var b strings.Builder
	for _, p := range peers {
		fmt.Fprintln(&b, p)
	}
	next := peersFile(h) + ".new"
	if err := os.WriteFile(next, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(next, peersFile(h))
}
