package moves

import (
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
)

// Every way in which a VIP moves on purpose, with 100 open streams and 500 new
// connections a second.
func TestNothingIsLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		vips []netip.Addr
	}{
		{"IPv4", []netip.Addr{lab.VIP4()}},
		{"IPv6", []netip.Addr{lab.VIP6()}},
		{"dual stack", []netip.Addr{lab.VIP4(), lab.VIP6()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, setup{vips: tt.vips, streams: 100, requests: 500})
			s.part("a partition heals: the loser's clients notice nothing", healedPartition)
			s.part("drain of the owner", func(s *stage) {
				owner := s.anew()
				s.lossless(func() { s.exits(0, owner, "drain") })
				s.awaitGroup(owner, "drained, and carrying", func(v agent.VIPStatus) bool {
					return v.Handover.Shadow && v.Handover.Connections >= s.streams()
				})
			})
			s.part("undrain: nothing moves", func(s *stage) {
				owner := s.anew()
				since := s.now()
				for _, h := range s.Lab.Hosts {
					s.exits(0, h, "undrain")
				}
				after, err := s.Settle(s.ctx()) // without bringing VIPs together
				s.must(err)
				if after != owner {
					s.t.Errorf("the VIP moved from %s to %s", owner, after)
				}
				s.unharmed(since)
			})
			s.part("preempt always: a node of higher priority takes over", func(s *stage) {
				better := s.others(s.anew())[0]
				s.lossless(func() {
					s.reload(better, config{vrrp: []string{"priority: 220", "preempt: always"}})
					s.awaitGroup(better, "owner", func(v agent.VIPStatus) bool {
						return v.State == agent.StateOwner && v.Reason == election.HigherPriority
					})
				})
				s.lossless(func() { s.reload(better, config{}) })
			})
			s.part("the owner becomes unready: a healthier node takes over", func(s *stage) {
				owner := s.anew()
				s.lossless(func() {
					s.must(s.APIServer(owner).SetMode(s.ctx(), apiserver.Unready))
					s.awaitGroup(owner, "no owner", func(v agent.VIPStatus) bool { return v.State != agent.StateOwner })
					s.must(s.APIServer(owner).SetMode(s.ctx(), apiserver.Ready))
				})
			})
			s.part("SIGTERM of the owner's daemon", func(s *stage) {
				owner := s.anew()
				since := s.now()
				s.stop(owner, syscall.SIGTERM)
				s.servedBesides(owner)
				s.unharmed(since)
				s.must(s.StartDaemon(owner))
				s.settle()
				s.unharmed(since)
			})
			s.part("restart of the owner's daemon", func(s *stage) {
				owner := s.anew()
				s.lossless(func() {
					s.stop(owner, syscall.SIGTERM)
					s.must(s.StartDaemon(owner))
				})
			})
			s.part("20 moves in a row, with connections opened before each", func(s *stage) {
				const moves, each = 20, 2
				random := rand.New(rand.NewPCG(1, uint64(len(tt.name)))) // another order for each family, always the same
				var pairs []*pair
				s.anew()
				s.lossless(func() {
					for range moves {
						for _, vip := range tt.vips {
							for range each {
								pairs = append(pairs, s.pair(s.Lab.Client, vip))
							}
						}
						candidates := s.others(s.agree())
						s.moveTo(candidates[random.IntN(len(candidates))])
						s.keptAll(pairs...)
					}
				})
			})
		})
	}
}

// healedPartition makes an owner on each side; the client knows only the one that
// will lose.
func healedPartition(s *stage) {
	loser, better := s.Lab.Hosts[0], s.Lab.Hosts[1:]
	// One announcement at the takeover and no more: one that happens to be sent
	// between the healing and the first advert across leads clients to a node that
	// does not know yet whom to pass on to.
	for _, h := range s.Lab.Hosts {
		s.reload(h, config{keys: []string{"garp: {burst: 1}"}})
		defer s.reload(h, config{})
	}
	s.moveTo(loser)
	s.anew()
	since := s.now()
	heal, err := s.Lab.Break(lab.Partition([]*lab.Host{loser, s.Lab.Client}, better))
	s.must(err)
	s.await("an owner on each side", func() error { return s.holderCount(2) })
	s.must(heal())
	if winner := s.settle(); winner == loser {
		s.t.Errorf("%s owns the VIP although a higher address claimed it too", winner)
	}
	s.unharmed(since)
}

// Without a peer there is nobody to move to: the kernel keeps what is open, and the
// address, until the next start.
func TestRestartOfTheOnlyNode(t *testing.T) {
	const longFence = "fence: 30s" // so that a slow machine restarts within it
	s := open(t, setup{hosts: 1, vips: bothVIPs, streams: 40, config: func(*lab.Host) config {
		return config{keys: []string{longFence}}
	}})
	only := s.Lab.Hosts[0]
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		s.part(sig.String(), func(s *stage) {
			s.lossless(func() {
				s.stop(only, sig)
				s.must(s.StartDaemon(only))
			})
		})
	}
}
