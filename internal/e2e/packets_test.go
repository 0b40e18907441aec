package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mdlayher/ndp"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

// tshark's two ways to sum a VRRPv3 advert over IPv4: RFC 9568 leaves the
// pseudo-header out; keepalived, and tshark by default, do not.
const (
	withPseudoHeader    = "vrrp.v3_checksum_as_in_v2:FALSE"
	withoutPseudoHeader = "vrrp.v3_checksum_as_in_v2:TRUE"
)

// What vipd sends from its start on, in takeovers and drains, by both families.
func TestPackets(t *testing.T) {
	const control = "arp or ip proto 112 or ip6 proto 112 or icmp6"
	second := group{name: "second", addresses: []netip.Addr{lab.VIP6().Next(), lab.VIP4().Next()}}
	s := open(t, setup{
		hosts:    2,
		vips:     []netip.Addr{lab.VIP4(), lab.VIP6()},
		config:   func(*lab.Host) config { return config{others: []group{second}} },
		programs: []string{"tcpdump", "tshark"},
	})
	for _, h := range s.Lab.Hosts {
		s.stop(h, syscall.SIGTERM)
	}
	capture := s.capture(s.Lab.Switch, control)
	for _, h := range s.Lab.Hosts {
		s.must(s.StartDaemon(h))
	}
	for _, trial := range []scene.Trial{scene.SilentCut(), s.drain(), scene.PlannedStop()} {
		o := s.try(trial)
		s.mend(o)
		s.settle()
	}
	s.must(capture.Stop())

	solicited, err := ndp.SolicitedNodeMulticast(lab.VIP6())
	s.must(err)
	for _, sent := range []string{
		"vrrp && ip.dst == 224.0.0.18", "vrrp && ipv6.dst == ff02::12",
		"arp.isgratuitous && arp.opcode == 1", "arp.isgratuitous && arp.opcode == 2",
		"icmpv6.type == 136 && icmpv6.nd.na.flag.s == 0 && icmpv6.nd.na.flag.o == 1",
		// The questions before the first claim: an ARP probe (RFC 5227 2.1.1), and a
		// solicitation to the solicited-node group (RFC 4861 4.3) that is not
		// duplicate address detection.
		fmt.Sprintf("eth.dst == ff:ff:ff:ff:ff:ff && arp.opcode == 1 && arp.src.proto_ipv4 == 0.0.0.0 && arp.dst.hw_mac == 00:00:00:00:00:00 && "+
			"arp.dst.proto_ipv4 == %s && eth.src == arp.src.hw_mac", lab.VIP4()),
		fmt.Sprintf("icmpv6.type == 135 && icmpv6.nd.ns.target_address == %s && ipv6.dst == %s && ipv6.src != :: && icmpv6.opt.linkaddr == eth.src", lab.VIP6(), solicited),
	} {
		s.seen(capture, sent, withoutPseudoHeader)
	}
	bad, err := capture.Malformed(s.ctx(), "vrrp", "arp", "icmpv6")
	s.must(err)
	if len(bad) > 0 {
		s.t.Errorf("malformed or with a wrong checksum:\n%s", strings.Join(bad, "\n"))
	}
	s.unseen(capture, "vrrp && vrrp.checksum.status == 0", withoutPseudoHeader)
	s.unseen(capture, "(vrrp && ip && ip.ttl != 255) || ((vrrp || icmpv6.type in {135, 136}) && ipv6 && ipv6.hlim != 255)", withoutPseudoHeader)
}

// capture starts a capture that ends with the lab, if not before.
func (s *stage) capture(on *lab.Host, filter string) *lab.Capture {
	s.t.Helper()
	c, err := on.Capture(s.ctx(), filter)
	s.must(err)
	return c
}

// frames are those of a capture that match a display filter, under a preference of
// tshark.
func (s *stage) frames(c *lab.Capture, filter, preference string) []string {
	s.t.Helper()
	out := s.run(s.Lab.Switch, "tshark", "-n", "-r", c.File, "-o", preference, "-Y", filter)
	return slices.Collect(strings.Lines(out))
}

// seen makes sure that there are such frames.
func (s *stage) seen(c *lab.Capture, filter, preference string) {
	s.t.Helper()
	if len(s.frames(c, filter, preference)) == 0 {
		s.t.Errorf("no frame matches %s", filter)
	}
}

// unseen makes sure that there are none.
func (s *stage) unseen(c *lab.Capture, filter, preference string) {
	s.t.Helper()
	if frames := s.frames(c, filter, preference); len(frames) > 0 {
		s.t.Errorf("%d frames match %s; the first: %s", len(frames), filter, frames[0])
	}
}
