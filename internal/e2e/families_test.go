package e2e

import (
	"net/netip"
	"testing"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

func TestIPv6(t *testing.T) {
	s := open(t, setup{hosts: 2, vips: []netip.Addr{lab.VIP6()}, config: withVRID})
	for _, trial := range []scene.Trial{scene.CableCut(), s.drain(), killed()} {
		s.part(trial.Name, func(s *stage) {
			o := s.try(trial)
			s.awaitHeld(lab.VIP6(), o.Successor)
			s.mend(o)
			s.settleOn(o.Successor)
		})
	}
}

// The addresses of a group move together, whichever family carries the adverts.
func TestDualStack(t *testing.T) {
	tests := []struct {
		name string
		vips []netip.Addr
	}{
		{"adverts over IPv4", []netip.Addr{lab.VIP4(), lab.VIP6()}},
		{"adverts over IPv6", []netip.Addr{lab.VIP6(), lab.VIP4()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, setup{hosts: 2, vips: tt.vips, config: withVRID})
			for _, trial := range []scene.Trial{scene.CableCut(), s.drain(), scene.Freeze()} {
				s.part(trial.Name, func(s *stage) {
					o := s.try(trial)
					for _, vip := range tt.vips {
						s.awaitHeld(vip, o.Successor)
						s.awaitAnswer(vip, o.Successor)
					}
					s.mend(o)
					s.settle()
				})
			}
		})
	}
}

func TestUnicastPeers(t *testing.T) {
	var first *lab.Capture
	s := open(t, setup{
		programs: []string{"tcpdump", "tshark"},
		config: func(*lab.Host) config {
			return config{keys: []string{"vrrp: {peers: [10.77.0.11, 10.77.0.12, 10.77.0.13]}"}}
		},
		before: func(h *lab.Host) (err error) {
			if first == nil {
				first, err = h.Capture(t.Context(), "ip proto 112")
			}
			return err
		},
	})
	o := s.try(scene.CableCut())
	s.mend(o)
	s.settleOn(o.Successor)
	s.must(first.Stop())
	if adverts, err := first.Frames(s.ctx(), "vrrp && ip.dst != 224.0.0.18"); err != nil || len(adverts) == 0 {
		s.t.Errorf("%d adverts by unicast, %v", len(adverts), err)
	}
	if adverts, err := first.Frames(s.ctx(), "vrrp && ip.dst == 224.0.0.18"); err != nil || len(adverts) > 0 {
		s.t.Errorf("adverts by multicast: %v, %v", adverts, err)
	}
}
