package moves

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/vipd/vipd/internal/lab"
)

// The nodes' own clients, and pods on them. None hangs; which are kept by a move,
// and what the end of the handover means to those:
func TestLocalClients(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, config: withGrace("10s")})
	former := s.settle()
	next, third := s.others(former)[0], s.others(former)[1]
	pods := map[*lab.Host]*lab.Host{}
	for _, h := range s.Lab.Hosts {
		pod, err := s.Lab.AddPod(s.ctx(), h)
		s.must(err)
		pods[h] = pod
	}
	rows := []struct {
		name  string
		from  *lab.Host
		vip   netip.Addr
		moved fate
	}{
		{"on the former owner, IPv4: stays with the server there", former, lab.VIP4(), kept},
		{"on the former owner, IPv6: stays with the server there", former, lab.VIP6(), kept},
		{"on the new owner, IPv4", next, lab.VIP4(), kept},
		{"on the new owner, IPv6", next, lab.VIP6(), kept},
		{"on a third node, IPv4", third, lab.VIP4(), kept},
		{"on a third node, IPv6", third, lab.VIP6(), kept},
		{"a pod on the former owner, IPv4: stays with the server there", pods[former], lab.VIP4(), kept},
		{"a pod on the former owner, IPv6: stays with the server there", pods[former], lab.VIP6(), kept},
		{"a pod on the new owner, IPv4: its packets come by an interface that is not the VIP's", pods[next], lab.VIP4(), wasReset},
		{"a pod on the new owner, IPv6: its packets come by an interface that is not the VIP's", pods[next], lab.VIP6(), wasReset},
		{"a pod on a third node, IPv4", pods[third], lab.VIP4(), kept},
		{"a pod on a third node, IPv6", pods[third], lab.VIP6(), kept},
	}
	pairs, idle := make([]*pair, len(rows)), make([]*pair, len(rows))
	for i, row := range rows {
		pairs[i], idle[i] = s.pair(row.from, row.vip), s.pair(row.from, row.vip)
	}
	s.moveTo(next)
	moved := s.fates(pairs)
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if moved[i] != row.moved {
				t.Errorf("after the move: %s, want %s", moved[i], row.moved)
			}
		})
	}
	s.part("new connections are answered, wherever they come from", func(s *stage) {
		for _, row := range rows {
			s.keptAll(s.pair(row.from, row.vip))
		}
	})
	s.part("the handover ends: all that were kept by the former owner are told", func(s *stage) {
		s.nothingLeft(former)
		ended := s.fates(pairs)
		for i, row := range rows {
			if ended[i] != wasReset {
				s.t.Errorf("%s: %s, want %s", row.name, ended[i], wasReset)
			}
		}
		var waiting sync.WaitGroup
		for i, row := range rows {
			waiting.Go(func() {
				if err := idle[i].hears(); err != nil {
					s.t.Errorf("%s, and only waits: %v", row.name, err)
				}
			})
		}
		waiting.Wait()
	})
}

// Only clients on the former owner itself are left: it need not go on for them.
func TestOnlyLocalClientsAreLeft(t *testing.T) {
	s := open(t, setup{vips: bothVIPs})
	owner := s.settle()
	pairs := []*pair{s.pair(owner, lab.VIP4()), s.pair(owner, lab.VIP6())}
	s.moveTo(s.others(owner)[0])
	s.nothingLeft(owner)
	for i, got := range s.fates(pairs) {
		if got != wasReset {
			s.t.Errorf("%s: %s, want %s", pairs[i].client.LocalAddr(), got, wasReset)
		}
	}
	s.counts(owner, `vipd_vip_connections_reset_total{cause="local-clients",vip="pairs"}`, 2)
}

// fates finds out about connections all at once.
func (s *stage) fates(pairs []*pair) []fate {
	s.t.Helper()
	all := make([]fate, len(pairs))
	errs := make([]error, len(pairs))
	var asking sync.WaitGroup
	for i, p := range pairs {
		asking.Go(func() { all[i], errs[i] = p.fate() })
	}
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			s.must(fmt.Errorf("connection from %s to %s: %w", pairs[i].from, pairs[i].on, err))
		}
	}
	return all
}
