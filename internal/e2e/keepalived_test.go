package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

const (
	// guest is the host that runs keepalived.
	guest = "cp1"
	// guestPriority is in vipd's healthy band, below vipd's own 200.
	guestPriority = 150
)

func TestKeepalivedOwner(t *testing.T) {
	s := open(t, setup{
		hosts:  2,
		guests: map[string]keepalived{guest: {priority: guestPriority}},
		before: firstOf(t, guest),
	})
	kept, ours := s.Lab.Hosts[0], s.Lab.Hosts[1]

	s.part("vipd is a backup and does not displace it", func(s *stage) {
		s.awaitGroup(ours, "a backup of keepalived", func(v agent.VIPStatus) bool {
			return v.State == agent.StateBackup && v.Owner == kept.Addr4.String() && v.Election.OwnerPriority == guestPriority
		})
		s.settleOn(kept)
	})
	s.part("its cable is cut: vipd takes over, and keeps the VIP when it returns", func(s *stage) {
		o := s.try(scene.CableCut())
		s.awaitState(ours, agent.StateOwner, election.OwnerSilent)
		s.mend(o)
		s.settleOn(ours)
	})
	s.part("it stops: vipd takes over from its priority 0", func(s *stage) {
		s.giveTo(kept)
		o := s.try(scene.PlannedStop())
		s.awaitState(ours, agent.StateOwner, election.OwnerResigned)
		s.mend(o)
		s.settleOn(ours)
	})
}

func TestKeepalivedBackup(t *testing.T) {
	tests := []struct {
		name string
		keepalived
	}{
		{"nopreempt", keepalived{priority: guestPriority}},
		{"preempting", keepalived{priority: guestPriority, preempt: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, setup{
				hosts:    2,
				guests:   map[string]keepalived{guest: tt.keepalived},
				before:   firstOf(t, guest),
				programs: []string{"tcpdump", "tshark"},
			})
			kept, ours := s.Lab.Hosts[0], s.Lab.Hosts[1]
			for _, trial := range []scene.Trial{scene.Crash(), scene.PlannedStop(), s.drain()} {
				s.part(trial.Name+": keepalived takes over, and vipd returns as a backup", func(s *stage) {
					s.takeFrom(kept, ours)
					o, err := s.Try(s.ctx(), trial)
					s.must(err)
					s.mend(o)
					s.settleOn(kept)
				})
			}
			s.part("vipd's adverts have the checksum that keepalived understands", func(s *stage) {
				adverts := s.capture(kept, "ip proto 112 and src host "+ours.Addr4.String())
				s.takeFrom(kept, ours)
				s.must(adverts.Stop())
				s.seen(adverts, "vrrp && vrrp.checksum.status == 1", withPseudoHeader)
				s.unseen(adverts, "vrrp && vrrp.checksum.status == 0", withPseudoHeader)
			})
		})
	}
}

// keepalived does not understand the checksum of RFC 9568. It takes the VIP over, vipd
// hears it, and from then on they understand each other.
func TestKeepalivedJoins(t *testing.T) {
	const last = "cp2"
	s := open(t, setup{
		hosts:  2,
		guests: map[string]keepalived{last: {priority: guestPriority}},
		before: firstOf(t, "cp1"),
	})
	s.await("vipd to hear keepalived", func() error {
		if n := s.metric(s.Lab.Hosts[0], `vipd_vrrp_adverts_received_total{vip="apiserver"}`); n == 0 {
			return errors.New("no advert yet")
		}
		return nil
	})
	s.settle()
}

// firstOf lets the named host own before any other starts.
func firstOf(t *testing.T, name string) (before func(h *lab.Host) error) {
	var first *lab.Host
	return func(h *lab.Host) error {
		switch {
		case h.Name == name:
			first = h
			return nil
		case first == nil:
			return fmt.Errorf("%s starts before %s", h, name)
		}
		return awaitHolder(t, []*lab.Host{first})
	}
}

// giveTo moves the VIP to a host that runs keepalived.
func (s *stage) giveTo(kept *lab.Host) {
	s.t.Helper()
	owner := s.settle()
	if owner == kept {
		return
	}
	s.exits(0, owner, "drain")
	s.exits(0, owner, "undrain")
	s.settleOn(kept)
}

// takeFrom moves the VIP from a host that runs keepalived to another.
func (s *stage) takeFrom(kept, to *lab.Host) {
	s.t.Helper()
	if s.settle() == to {
		return
	}
	s.stop(kept, syscall.SIGTERM)
	s.awaitGroup(to, "the owner", func(v agent.VIPStatus) bool { return v.State == agent.StateOwner })
	s.must(s.StartDaemon(kept))
	s.settleOn(to)
}
