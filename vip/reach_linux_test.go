package vip

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReach(t *testing.T) {
	four := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, last}) }
	peer4, peer6 := four(20), netip.MustParseAddr("2001:db8::20")
	rows := []struct {
		name   string
		before func(node, peer host)
		of     netip.Addr
		mac    net.HardwareAddr
		third  []netip.Addr
		want   Reached
	}{
		{"IPv4: it answers", nil, peer4, macB, nil, Reached{Hears: true}},
		{"IPv6: it answers", nil, peer6, macB, nil, Reached{Hears: true}},
		{"its adverts come from another MAC than it has the address at", nil, peer4, macOther, nil, Reached{Hears: true}},
		{"nobody answers", nil, four(99), macOther, []netip.Addr{four(98)}, Reached{Asked: 1}},
		{"IPv4: it does not answer, another station does", nil, four(99), macOther, []netip.Addr{peer4, four(98)}, Reached{Asked: 2, Third: 1}},
		{"IPv6: it does not answer, another station does", nil, netip.MustParseAddr("2001:db8::99"), macOther, []netip.Addr{peer6}, Reached{Asked: 1, Third: 1}},
		{"the routers of the interface are asked too", func(node, _ host) {
			node.ip("route", "add", "default", "via", "192.0.2.20")
		}, four(99), macOther, nil, Reached{Asked: 1, Third: 1}},
		{"who is no third station is not asked", nil, four(99), macOther,
			[]netip.Addr{four(99), four(11), peer6, peer4, peer4}, Reached{Asked: 1, Third: 1}},
		{"a proxy answers in its place", func(_, peer host) { peer.proxy(macOther) },
			four(99), net.HardwareAddr{2, 0, 0, 0, 0, 0x55}, []netip.Addr{peer4}, Reached{Unclear: true, Asked: 1, Third: 1}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node, peer := newSegment(t)
			if row.before != nil {
				row.before(node, peer)
			}
			node.do(func() {
				got, err := new(Prober).Reach(t.Context(), "eth0", Station{row.of, row.mac}, row.third)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("reached (-want +got):\n%s", diff)
				}
			})
		})
	}
}
