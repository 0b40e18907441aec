package vip

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var comparePrefixes = cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})

func TestTableTellsDifferences(t *testing.T) {
	own := Address{Prefix: netip.MustParsePrefix("192.0.2.11/24")}
	vip := Address{Prefix: netip.MustParsePrefix("192.0.2.10/32"), Finite: true}
	eth := func(addrs ...Address) Interface {
		return Interface{Name: "eth0", Index: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Up: true, Addrs: addrs}
	}
	down := eth(vip, own)
	down.Up = false
	renamed := eth(vip, own)
	renamed.Name = "lan0"
	remade := Interface{Name: "eth0", Index: 3, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Up: true}
	other := Interface{Name: "eth1", Index: 4, Up: true}

	tests := []struct {
		name string
		was  []Interface
		do   func(table) []Event
		want []Event
	}{
		{"first listing: each interface, by index", nil,
			func(tb table) []Event { return tb.list([]Interface{other, eth(own, vip)}) },
			[]Event{InterfaceChanged{eth(vip, own)}, InterfaceChanged{other}, Synced{}}},
		{"listing without a difference", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.list([]Interface{eth(vip, own)}) },
			[]Event{Synced{}}},
		{"listing without the VIP: removed, then the new state", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.list([]Interface{eth(own)}) },
			[]Event{AddressRemoved{"eth0", vip.Prefix}, InterfaceChanged{eth(own)}, Synced{}}},
		{"listing with the interface made anew: the old one is gone first", []Interface{eth(vip)},
			func(tb table) []Event { return tb.list([]Interface{remade}) },
			[]Event{AddressRemoved{"eth0", vip.Prefix}, InterfaceGone{"eth0", 2}, InterfaceChanged{remade}, Synced{}}},
		{"listing with the interface renamed", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.list([]Interface{renamed}) },
			[]Event{InterfaceGone{"eth0", 2}, InterfaceChanged{renamed}, Synced{}}},

		{"new link", nil,
			func(tb table) []Event { return tb.setLink(other) },
			[]Event{InterfaceChanged{other}}},
		{"link message without a difference", []Interface{eth(own)},
			func(tb table) []Event { return tb.setLink(eth()) }, nil},
		{"carrier lost: the addresses stay", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.setLink(down) },
			[]Event{InterfaceChanged{down}}},
		{"renamed: the old name is gone", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.setLink(renamed) },
			[]Event{InterfaceGone{"eth0", 2}, InterfaceChanged{renamed}}},
		{"link removed", []Interface{eth()},
			func(tb table) []Event { return tb.removeLink(2) },
			[]Event{InterfaceGone{"eth0", 2}}},
		{"unknown link removed", []Interface{eth()},
			func(tb table) []Event { return tb.removeLink(9) }, nil},

		{"address added", []Interface{eth(own)},
			func(tb table) []Event { return tb.setAddress(2, vip) },
			[]Event{InterfaceChanged{eth(vip, own)}}},
		{"refreshed lifetime is no difference", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.setAddress(2, vip) }, nil},
		{"permanent address given a lifetime", []Interface{eth(Address{Prefix: vip.Prefix})},
			func(tb table) []Event { return tb.setAddress(2, vip) },
			[]Event{InterfaceChanged{eth(vip)}}},
		{"address of an unknown link", []Interface{eth(own)},
			func(tb table) []Event { return tb.setAddress(9, vip) }, nil},
		{"address removed: told, then the new state", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.removeAddress(2, vip.Prefix) },
			[]Event{AddressRemoved{"eth0", vip.Prefix}, InterfaceChanged{eth(own)}}},
		{"unknown address removed", []Interface{eth(own)},
			func(tb table) []Event { return tb.removeAddress(2, vip.Prefix) }, nil},
		{"same address, other length: another address", []Interface{eth(own, vip)},
			func(tb table) []Event { return tb.removeAddress(2, netip.MustParsePrefix("192.0.2.10/24")) }, nil},
		{"address of an unknown link removed", []Interface{eth(own)},
			func(tb table) []Event { return tb.removeAddress(9, own.Prefix) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb := table{}
			tb.list(tt.was)
			if diff := cmp.Diff(tt.want, tt.do(tb), comparePrefixes); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestToldStatesDoNotChangeLater(t *testing.T) {
	own := Address{Prefix: netip.MustParsePrefix("192.0.2.11/24")}
	vip := Address{Prefix: netip.MustParsePrefix("192.0.2.10/32")}
	tb := table{}
	tb.setLink(Interface{Name: "eth0", Index: 2})
	tb.setAddress(2, own)
	told := tb.setAddress(2, vip)
	tb.removeAddress(2, vip.Prefix)
	want := []Event{InterfaceChanged{Interface{Name: "eth0", Index: 2, Addrs: []Address{vip, own}}}}
	if diff := cmp.Diff(want, told, comparePrefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
