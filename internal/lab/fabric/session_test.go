package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/router"
)

// routers are the ways to start one, by name.
func routers() map[string]func(context.Context, *lab.Host, router.Peering) (router.Router, error) {
	return map[string]func(context.Context, *lab.Host, router.Peering) (router.Router, error){"FRR": FRR, "BIRD": BIRD}
}

func TestSessions(t *testing.T) {
	fast := router.BFD{Interval: 100 * time.Millisecond, Multiplier: 3}
	const bfd = "bfd: {enabled: true, transmit: 100ms, receive: 100ms}"
	secret := passwordFile(t)
	rows := []struct {
		name string
		opts Options
	}{
		{"with TTL security, a hold time of 3 s and AS numbers of four bytes", Options{
			Neighbor: []string{"hold_time: 3s"}, Peering: router.Peering{TTLSecurity: true},
			ASN: func(i int) uint32 { return 4200000000 + uint32(i) },
		}},
		{"over IPv6, with BFD and a password", Options{
			IPv6Sessions: true, VIPs: []netip.Addr{VIP6()}, Neighbor: []string{bfd, "password_file: " + secret},
			Peering: router.Peering{BFD: &fast, Password: password},
		}},
		{"of both families over IPv4, with graceful restart", Options{
			VIPs: []netip.Addr{VIP4(), VIP6()}, Neighbor: []string{"graceful_restart: 10s"}, Peering: router.Peering{GracefulRestart: true},
		}},
		{"of both families over IPv6", Options{IPv6Sessions: true, VIPs: []netip.Addr{VIP6(), VIP4()}}},
		{"of one AS, with BFD and a password", Options{
			OneAS: true, Neighbor: []string{bfd, "password_file: " + secret}, Peering: router.Peering{BFD: &fast, Password: password},
		}},
		{"of one AS over IPv6, both families", Options{OneAS: true, IPv6Sessions: true, VIPs: []netip.Addr{VIP6(), VIP4()}}},
	}
	t.Run("BIRD at another port", func(t *testing.T) {
		s := open(t, Options{Start: BIRD, Hosts: 1, BGP: []string{quick}, Neighbor: []string{"port: 1179"}, Peering: router.Peering{Port: 1179}}, "bird")
		s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
	})
	for name, start := range routers() {
		for _, row := range rows {
			t.Run(name+" "+row.name, func(t *testing.T) {
				opts := row.opts
				opts.Start, opts.BGP, opts.Hosts = start, []string{quick}, 2
				s := open(t, opts, "bird")
				for _, vip := range s.opts.VIPs {
					s.must(s.AwaitPaths(s.ctx(), vip, s.Lab.Hosts...))
				}
				if opts.Peering.BFD != nil {
					s.awaitBFD(s.Lab.Hosts[0], bgp.BFDUp)
				}
				if frr, is := s.Router.(*router.FRR); is && slices.Contains(opts.Neighbor, "hold_time: 3s") {
					hold, keepalive, err := frr.Timers(s.ctx(), s.Lab.Hosts[0].Addr4)
					if err != nil || hold != 3*time.Second || keepalive != time.Second {
						t.Errorf("agreed on: hold time %v, keepalive %v (%v)", hold, keepalive, err)
					}
				}
			})
		}
	}
}

// neighbours are those of a host's vipd.
func (s *stage) neighbours(h *lab.Host) []agent.NeighborStatus {
	s.t.Helper()
	client := control.NewClient(s.Vipd.Socket(h))
	defer client.Close()
	status, err := client.Status(s.ctx())
	s.must(err)
	return status.BGP.Neighbors
}

func (s *stage) awaitBFD(h *lab.Host, want bgp.BFDState) {
	s.t.Helper()
	s.await(fmt.Sprintf("BFD of %s to be %s", h, want), func() error {
		for _, n := range s.neighbours(h) {
			if n.BFD != want {
				return fmt.Errorf("%v: BFD %s, %s", n.Address, n.BFD, n.Error)
			}
		}
		return nil
	})
}

func TestAWayThatIsLostIsLeft(t *testing.T) {
	const hold = "hold_time: 3s"
	rows := []struct {
		name   string
		start  func(context.Context, *lab.Host, router.Peering) (router.Router, error)
		opts   Options
		faults []func(*lab.Host) lab.Fault
	}{
		{
			name: "by the hold time, after a silent cut", opts: Options{Neighbor: []string{hold}, Peering: router.Peering{Hold: 3 * time.Second}},
			faults: []func(*lab.Host) lab.Fault{lab.SilentCut},
		},
		{name: "by BFD, after a silent cut and with the cable out", opts: watched(50 * time.Millisecond), faults: []func(*lab.Host) lab.Fault{lab.SilentCut, lab.CableCut}},
		{name: "by BFD of BIRD, after a silent cut", start: BIRD, opts: watched(50 * time.Millisecond), faults: []func(*lab.Host) lab.Fault{lab.SilentCut}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			row.opts.Start, row.opts.BGP, row.opts.Hosts = row.start, []string{quick}, 2
			s := open(t, row.opts, "bird")
			for _, fault := range row.faults {
				s.leaves(fault)
			}
		})
	}
}

// leaves wants the router to leave a host with a fault, and to come back.
func (s *stage) leaves(fault func(*lab.Host) lab.Fault) {
	s.t.Helper()
	hosts := s.Lab.Hosts
	s.must(s.ready(s.ctx()))
	mend, err := s.Lab.Break(fault(hosts[0]))
	s.must(err)
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1]))
	s.served(settled)
	s.await("the node to see that the session is lost", func() error {
		if n := s.neighbours(hosts[0])[0]; n.State == bgp.Established {
			return errors.New("it is established")
		}
		return nil
	})
	s.must(mend())
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
}

// watched is a fabric with BFD on both sides.
func watched(every time.Duration) Options {
	return Options{
		Neighbor: []string{fmt.Sprintf("bfd: {enabled: true, transmit: %v, receive: %v}", every, every)},
		Peering:  router.Peering{BFD: &router.BFD{Interval: every, Multiplier: 3}},
	}
}

func TestPasswords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("right\n")
	s := open(t, Options{
		Hosts: 2, BGP: []string{quick}, Neighbor: []string{"password_file: " + file, "hold_time: 3s"},
		Peering: router.Peering{Password: "right", Hold: 3 * time.Second},
	})
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	for _, row := range []struct{ name, text, says string }{
		{"a wrong one keeps the session down", "wrong\n", "failed to connect"},
		{"an empty one is told, and no session is tried without", "\n", "its first line has 0 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := stage{s.Fabric, t}
			write(row.text)
			_, err := s.Vipd.Command(s.ctx(), hosts[0], "reload")
			s.must(err)
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1]))
			s.await("the reason in the status", func() error {
				if n := s.neighbours(hosts[0])[0]; !strings.Contains(n.Error, row.says) {
					return fmt.Errorf("state %s, error %q", n.State, n.Error)
				}
				return nil
			})
		})
	}
	t.Run("the right one brings it back", func(t *testing.T) {
		s := stage{s.Fabric, t}
		write("right")
		_, err := s.Vipd.Command(s.ctx(), hosts[0], "reload")
		s.must(err)
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	})
}

func TestTwoRoutersLearnOnlyTheVIPs(t *testing.T) {
	s := open(t, Options{
		Hosts: 2, BGP: []string{quick}, Peering: foreign(),
		More: []More{{
			Host:     func(l *lab.Lab) *lab.Host { return l.Client },
			Peering:  router.Peering{ASN: 64501},
			Neighbor: []string{"ttl_security: false"},
		}},
	})
	s.await("the second router to know the VIP by both nodes", func() error {
		hops, err := s.More[0].Routes(s.ctx(), netip.PrefixFrom(VIP4(), 32))
		if err == nil && len(hops) != 2 {
			err = fmt.Errorf("next hops: %v", hops)
		}
		return err
	})
	table, err := s.More[0].Show(s.ctx(), "show bgp ipv4 unicast")
	s.must(err)
	if !strings.Contains(table, VIP4().String()) || strings.Contains(table, "203.0.113") {
		t.Errorf("the second router's table:\n%s", table)
	}
	t.Run("and the loss of one touches the other's session in nothing", func(t *testing.T) {
		s := stage{s.Fabric, t}
		host := s.Lab.Hosts[0]
		before := s.neighbours(host)[0]
		routes, since := s.routes(), s.served(1)
		s.must(s.More[0].Kill())
		s.await("the node to see that the session is lost", func() error {
			if n := s.neighbours(host)[1]; n.State == bgp.Established {
				return errors.New("it is established")
			}
			return nil
		})
		s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
		s.unharmed(since, routes)
		if after := s.neighbours(host)[0]; after.Flaps != before.Flaps || after.State != bgp.Established || routes.any() {
			t.Errorf("before: %+v, after: %+v; its routes changed: %v", before, after, routes.any())
		}
	})
}

func TestMultihop(t *testing.T) {
	rows := []struct {
		name  string
		start func(context.Context, *lab.Host, router.Peering) (router.Router, error)
		ipv6  bool
	}{{"FRR", FRR, false}, {"BIRD", BIRD, false}, {"FRR over IPv6", FRR, true}}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := open(t, Options{
				Hosts: 2, BGP: []string{quick}, IPv6Sessions: row.ipv6,
				More: []More{{
					Host:     func(l *lab.Lab) *lab.Host { return l.Remote },
					Start:    row.start,
					Peering:  router.Peering{ASN: 64501, Multihop: 2, BFD: &router.BFD{Interval: 100 * time.Millisecond, Multiplier: 3}},
					Neighbor: []string{"multihop: 2", "bfd: {enabled: true, transmit: 100ms, receive: 100ms}"},
				}},
			}, "bird", "tshark", "tcpdump")
			seen, err := s.Lab.Switch.Capture(s.ctx(), "udp port 4784")
			s.must(err)
			s.await("sessions over the router, with BFD", func() error {
				for _, h := range s.Lab.Hosts {
					n := s.neighbours(h)[1]
					if n.State != bgp.Established || n.BFD != bgp.BFDUp {
						return fmt.Errorf("%s: %v is %s, BFD %s, %s", h, n.Address, n.State, n.BFD, n.Error)
					}
				}
				return nil
			})
			ours, ttl := fmt.Sprintf("ip.src == %v && ", s.Lab.Hosts[0].Addr4), "ip.ttl"
			if row.ipv6 {
				ours, ttl = fmt.Sprintf("ipv6.src == %v && ", s.Lab.Hosts[0].Addr6), "ipv6.hlim"
			}
			s.await("RFC 5883 5: port 4784 with TTL 255, from a high port", func() error {
				frames, err := seen.Frames(s.ctx(), ours+"udp.dstport == 4784 && udp.srcport >= 49152 && "+ttl+" == 255")
				if err == nil && len(frames) == 0 {
					err = errors.New("no frame")
				}
				return err
			})
			s.must(seen.Stop())
			s.wellFormed(seen)
			s.frames(seen, "another TTL", ours+ttl+" < 255", false)
		})
	}
}

func TestAnUnhealthyNodeIsLeftByBIRD(t *testing.T) {
	for name, one := range ases() {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{OneAS: one, BGP: []string{quick, `communities: ["64512:100", "64512:1:1"]`}, Start: BIRD}, "bird")
			hosts := s.Lab.Hosts
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
			s.birdKnows(hosts[0], "BGP.med: 100\n", "BGP.community: (64512,100)\n", "BGP.large_community: (64512, 1, 1)\n")
			s.must(s.APIServer(hosts[0]).SetMode(s.ctx(), apiserver.Unready))
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1:]...))
			s.birdKnows(hosts[0], "BGP.med: 1000\n", "BGP.community: (64512,100) (65535,0)\n", "BGP.local_pref: 0\n")
			for _, h := range hosts[1:] {
				s.must(s.APIServer(h).SetMode(s.ctx(), apiserver.Unready))
			}
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
			s.served(settled)
		})
	}
}

// birdKnows wants attributes of the path by a host, in BIRD's words.
func (s *stage) birdKnows(h *lab.Host, attributes ...string) {
	s.t.Helper()
	protocol := fmt.Sprintf("node%d", slices.Index(s.Lab.Hosts, h))
	path, err := s.Router.Show(s.ctx(), "show route all protocol "+protocol+" for "+VIP4().String())
	s.must(err)
	for _, a := range attributes {
		if !strings.Contains(path, a) {
			s.t.Errorf("the path by %s has no %q:\n%s", h, a, path)
		}
	}
}
