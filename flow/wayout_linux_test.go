package flow

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// Filters of the host decide of each kind of packet, and nothing leaves.
func TestPasses(t *testing.T) {
	const protocolVRRP = 112
	rows := []struct {
		name  string
		rules string
		// want of advert, hello and copy, for IPv4 and for IPv6.
		want []bool
	}{
		{"without a filter everything passes", "", []bool{true, true, true}},
		{"a stateful firewall drops what it does not know", strings.Replace(stateful, "%ACCEPT%", "", 1), []bool{false, false, false}},
		{"a stateful firewall with the documented rule lets copies pass", strings.Replace(stateful, "%ACCEPT%", AcceptRule(testPort), 1), []bool{false, false, true}},
		{"protocol 112 alone is dropped", "table inet fw { chain out { type filter hook output priority 0; meta l4proto 112 drop; }; }", []bool{false, true, true}},
		{"behind the routing decision it is dropped as well", "table inet fw { chain out { type filter hook postrouting priority 0; meta l4proto udp drop; }; }", []bool{true, false, true}},
		{"sources of others are dropped", "table inet fw { chain out { type filter hook output priority 0; ip saddr 198.51.100.0/24 drop; ip6 saddr 2001:db8::1 drop; }; }", []bool{true, true, false}},
		{"another interface's rule does not matter", "table inet fw { chain out { type filter hook output priority 0; oifname eth1 drop; }; }", []bool{true, true, true}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := newSegment(t)
			h, witness := s.host("a"), s.host("b")
			witness.nft("table inet witness { chain in { type filter hook input priority 0; meta l4proto { 112, udp, tcp } counter; }; }")
			if row.rules != "" {
				h.nft(row.rules)
			}
			for _, vip := range vips {
				own, group := h.addr4, netip.MustParseAddr("224.0.0.18")
				if vip.Is6() {
					own, group = h.addr6, netip.MustParseAddr("ff02::12")
				}
				trials := []Trial{
					{Interface: "eth0", Src: netip.AddrPortFrom(own, 0), Dst: netip.AddrPortFrom(group, 0), Protocol: protocolVRRP},
					{Interface: "eth0", Src: netip.AddrPortFrom(own, 9651), Dst: netip.AddrPortFrom(group, 9651), Protocol: unix.IPPROTO_UDP},
					CopyTrial("eth0", netip.AddrPortFrom(vip, testPort)),
				}
				var got []bool
				for _, fate := range tried(t, h, trials) {
					if fate != nil && !errors.Is(fate, ErrFiltered) {
						t.Fatal(fate)
					}
					got = append(got, fate == nil)
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", vip, diff)
				}
			}
			if left := witness.run("nft", "list", "table", "inet", "witness"); !strings.Contains(left, "counter packets 0 ") {
				t.Errorf("a packet left the host:\n%s", left)
			}
			if tables := h.run("nft", "list", "tables"); strings.Contains(tables, "vipd-trial") {
				t.Errorf("a scratch table is left: %s", tables)
			}
		})
	}
}

// tried tries packets on a host.
func tried(t *testing.T, h host, trials []Trial) (fates []error) {
	t.Helper()
	var err error
	h.do(func() { fates, err = Passes(t.Context(), trials) })
	if err != nil {
		t.Fatal(err)
	}
	return fates
}

// Where no way leads to one destination the others are tried all the same.
func TestPassesWhereThereIsAWay(t *testing.T) {
	h := newSegment(t).host("a")
	h.nft("table inet fw { chain out { type filter hook output priority 0; meta l4proto udp drop; }; }")
	vip := vips[slices.IndexFunc(vips, netip.Addr.Is6)] // for IPv4 a device is way enough
	got := tried(t, h, []Trial{
		CopyTrial("eth0", netip.MustParseAddrPort("[2001:db8:ffff::1]:6443")),
		{Interface: "eth0", Src: netip.AddrPortFrom(h.addr6, 9651), Dst: netip.MustParseAddrPort("[ff02::12]:9651"), Protocol: unix.IPPROTO_UDP},
		CopyTrial("eth0", netip.AddrPortFrom(vip, testPort)),
	})
	want := []error{unix.ENETUNREACH, ErrFiltered, nil}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A host without rules has none of ours, and one that owns a VIP has.
func TestStands(t *testing.T) {
	h := newSegment(t).host("a")
	f := h.flow()
	for _, want := range []bool{false, true} {
		got, err := f.Stands()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("tables stand: %v, want %v", got, want)
		}
		if err := f.Apply(t.Context(), []Group{{Name: "vip", Interface: "eth0", Addresses: vips, Port: testPort, Role: Owner, Lifetime: time.Minute}}); err != nil {
			t.Fatal(err)
		}
	}
}
