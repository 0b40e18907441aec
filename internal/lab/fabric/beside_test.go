package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab/router"
)

func TestBesideAnotherSpeakerOnTheHost(t *testing.T) {
	guest := router.Node{Address: netip.MustParseAddr("10.77.0.51"), ASN: 64999}
	s := open(t, Options{Hosts: 2, BGP: []string{quick}, Peering: router.Peering{Guests: []router.Node{guest}}}, "bird")
	host := s.Lab.Hosts[0]
	_, err := host.Run(s.ctx(), "ip", "address", "add", "10.77.0.51/24", "dev", host.Interface)
	s.must(err)
	other := netip.MustParsePrefix("198.51.100.0/24")
	_, err = router.StartBIRD(s.ctx(), host, router.Peering{
		ASN: guest.ASN, Source: guest.Address, Connects: true, Networks: []netip.Prefix{other},
		Nodes: []router.Node{{Address: s.Lab.Router.Addr4, ASN: RouterASN}},
	})
	s.must(err)
	s.await("both speakers' sessions", func() error {
		got, err := s.Router.Established(s.ctx())
		if err == nil && (!slices.Contains(got, guest.Address) || !slices.Contains(got, host.Addr4)) {
			err = fmt.Errorf("established: %v", got)
		}
		return err
	})
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
	s.await("the other speaker's route", func() error {
		hops, err := s.Router.Routes(s.ctx(), other)
		if err == nil && !slices.Equal(hops, []netip.Addr{guest.Address}) {
			err = fmt.Errorf("it goes by %v", hops)
		}
		return err
	})
}

func TestPacketsAreWellFormed(t *testing.T) {
	opts := watched(100 * time.Millisecond)
	opts.Hosts, opts.BGP, opts.VIPs = 2, []string{quick, `communities: ["64512:100", "64512:1:1"]`}, []netip.Addr{VIP4(), VIP6()}
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
	for what, filter := range map[string]string{
		"a Cease with its reason":            "bgp.notify.major_error == 6 && bgp.notify.communication_length > 0",
		"GRACEFUL_SHUTDOWN":                  "bgp.update.path_attribute.community_wellknown == 0xffff0000",
		"admin-down after the withdrawal":    "bfd.sta == 0 && bfd.diag == 7",
		"BFD with TTL 255, from a high port": "bfd && ip.ttl == 255 && udp.srcport >= 49152",
	} {
		frames, err := seen.Frames(s.ctx(), filter)
		s.must(err)
		if len(frames) == 0 {
			t.Errorf("no frame shows %s", what)
		}
	}
}
