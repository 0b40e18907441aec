package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

// A router has one session for each pair of addresses: either speaker may be the
// one that takes another address of the host.
func TestBesideAnotherSpeakerOnTheHost(t *testing.T) {
	guest := router.Node{Address: netip.MustParseAddr("10.77.0.51"), ASN: 64999}
	second := router.Node{Address: netip.MustParseAddr("10.77.0.52"), ASN: 64512}
	s := open(t, Options{Hosts: 2, BGP: []string{quick}, Peering: router.Peering{Guests: []router.Node{guest, second}}}, "bird")
	host := s.Lab.Hosts[0]
	for _, own := range []router.Node{guest, second} {
		_, err := host.Run(s.ctx(), "ip", "address", "add", own.Address.String()+"/24", "dev", host.Interface)
		s.must(err)
	}
	other := netip.MustParsePrefix("198.51.100.0/24")
	_, err := router.StartBIRD(s.ctx(), host, router.Peering{
		ASN: guest.ASN, Source: guest.Address, Connects: true, Networks: []netip.Prefix{other},
		Nodes: []router.Node{{Address: s.Lab.Router.Addr4, ASN: RouterASN}},
	})
	s.must(err)
	s.awaitEstablished(guest.Address, host.Addr4, s.Lab.Hosts[1].Addr4)
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
	s.await("the other speaker's route", func() error {
		hops, err := s.Router.Routes(s.ctx(), other)
		if err == nil && !slices.Equal(hops, []netip.Addr{guest.Address}) {
			err = fmt.Errorf("it goes by %v", hops)
		}
		return err
	})
	t.Run("and from another address of the node", func(t *testing.T) {
		s := stage{s.Fabric, t}
		s.Change(func(o *Options) { o.BGP = append(o.BGP, "local_address: "+second.Address.String()) })
		s.must(s.Configure(host))
		_, err = s.Vipd.Command(s.ctx(), host, "reload")
		s.must(err)
		s.awaitEstablished(guest.Address, second.Address, s.Lab.Hosts[1].Addr4)
	})
}

// awaitEstablished waits until the router has sessions with exactly these.
func (s *stage) awaitEstablished(want ...netip.Addr) {
	s.t.Helper()
	slices.SortFunc(want, netip.Addr.Compare)
	s.await("the router's sessions", func() error {
		got, err := s.Router.Established(s.ctx())
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("established: %v, not %v", got, want)
		}
		return err
	})
}

func TestPacketsAreWellFormed(t *testing.T) {
	both := []netip.Addr{VIP4(), VIP6()}
	external := watched(100 * time.Millisecond)
	external.BGP = []string{`communities: ["64512:100", "64512:1:1"]`}
	internal := watched(100 * time.Millisecond)
	internal.OneAS, internal.IPv6Sessions, internal.Peering.GracefulRestart = true, true, true
	internal.Neighbor = append(internal.Neighbor, "graceful_restart: 10s")
	rows := []struct {
		name string
		opts Options
		// shows are what some frame has to show, as filters of tshark.
		shows map[string]string
		// order has two kinds of frames: all of the first come before all of the second.
		order [2]string
	}{
		{"to another AS, over IPv4", external, map[string]string{
			"a Cease with its reason":            "bgp.notify.major_error == 6 && bgp.notify.communication_length > 0",
			"GRACEFUL_SHUTDOWN":                  "bgp.update.path_attribute.community_wellknown == 0xffff0000",
			"a large community":                  "bgp.large_communities",
			"BFD with TTL 255, from a high port": "bfd && ip.ttl == 255 && udp.srcport >= 49152",
		}, [2]string{
			"ip.src == 10.77.0.11 && (bgp.update.withdrawn_routes.length > 0 || bgp.update.path_attribute.type_code == 15)",
			"ip.src == 10.77.0.11 && bfd.sta == 0 && bfd.diag == 7",
		}},
		{"in one AS, over IPv6, with graceful restart", internal, map[string]string{
			"the worst local preference":               "ipv6 && bgp.update.path_attribute.local_pref == 0",
			"graceful restart":                         "ipv6 && bgp.cap.gr.timers.restart_time == 10",
			"BFD with hop limit 255, from a high port": "bfd && ipv6.hlim == 255 && udp.srcport >= 49152",
		}, [2]string{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			opts := row.opts
			opts.Hosts, opts.BGP, opts.VIPs = 2, append(opts.BGP, quick), both
			s := open(t, opts, "tshark", "tcpdump")
			host := s.Lab.Hosts[0]
			seen, err := s.Lab.Switch.Capture(s.ctx(), "tcp port 179 or udp port 3784")
			s.must(err)
			s.must(s.Daemon(host).Signal(15))
			_, err = s.Daemon(host).Wait(s.ctx())
			s.must(err)
			s.must(s.StartDaemon(host))
			s.must(s.AwaitPaths(s.ctx(), VIP6(), s.Lab.Hosts...))
			s.awaitBFD(host, bgp.BFDUp)
			s.must(seen.Stop())
			bad, err := seen.Malformed(s.ctx(), "bgp", "bfd")
			s.must(err)
			for _, frame := range bad {
				t.Errorf("malformed: %s", frame)
			}
			if row.order[0] != "" {
				withdrawals, ends := s.numbers(seen, row.order[0]), s.numbers(seen, row.order[1])
				if len(withdrawals) == 0 || len(ends) == 0 || slices.Max(withdrawals) > slices.Min(ends) {
					t.Errorf("withdrawals are frames %v, and BFD's admin-down is %v", withdrawals, ends)
				}
			}
			for what, filter := range row.shows {
				frames, err := seen.Frames(s.ctx(), filter)
				s.must(err)
				if len(frames) == 0 {
					t.Errorf("no frame shows %s", what)
				}
			}
		})
	}
}

// numbers are those of frames of a kind.
func (s *stage) numbers(c *lab.Capture, filter string) []int {
	s.t.Helper()
	frames, err := c.Frames(s.ctx(), filter)
	s.must(err)
	all := make([]int, len(frames))
	for i, frame := range frames {
		_, err := fmt.Sscan(frame, &all[i])
		s.must(err)
	}
	return all
}
