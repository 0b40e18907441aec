package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// link is an interface with its addresses.
func link(name string, prefixes ...string) Interface {
	i := Interface{Name: name}
	for _, p := range prefixes {
		i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(p))
	}
	return i
}

func TestResolveInterface(t *testing.T) {
	host := []Interface{
		link("lo", "127.0.0.1/8", "203.0.113.1/24"),
		link("eth0", "192.0.2.11/24", "2001:db8::11/64", "fe80::1/64"),
		link("eth1", "192.0.2.130/25", "192.0.2.10/32"),
		link("eth2", "192.0.2.131/25"),
		link("tun0"),
	}
	for _, row := range []struct {
		name string
		file string
		want string
		ok   bool
	}{
		{"the subnet that holds the address", "{addresses: [192.0.2.10]}", "eth0", true},
		{"the longest of two subnets, the first of two equal ones", "{addresses: [192.0.2.200]}", "eth1", true},
		{"an IPv6 subnet", "{addresses: [\"2001:db8::10\"]}", "eth0", true},
		{"the first address decides", "{addresses: [\"2001:db8::10\", 192.0.2.200]}", "eth0", true},
		{"a named interface, though the subnet is elsewhere", "{addresses: [192.0.2.10], interface: tun0}", "tun0", true},
		{"a named interface that does not exist", "{addresses: [192.0.2.10], interface: eth9}", "eth9", true},
		{"no subnet", "{addresses: [198.51.100.10]}", "", false},
		{"a subnet of the loopback interface does not count", "{addresses: [203.0.113.10]}", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := ResolveInterface(parsed(t, "vips: ["+row.file+"]").VIPs[0], host)
			if got != row.want || ok != row.ok {
				t.Errorf("got %q, %v; want %q, %v", got, ok, row.want, row.ok)
			}
		})
	}
}

func TestCheckHost(t *testing.T) {
	for _, row := range []struct {
		name string
		file string
		host []Interface
		want string
	}{
		{
			"a VIP in the subnet, left behind on the interface as a host address",
			"vips: [{addresses: [192.0.2.10]}]",
			[]Interface{link("eth0", "192.0.2.11/24", "192.0.2.10/32")},
			"",
		},
		{
			"a VIP that is the node's own address, on whatever interface",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [192.0.2.20, \"2001:db8::11\"]}]",
			[]Interface{link("eth0", "192.0.2.11/24", "192.0.2.20/24"), link("eth1", "2001:db8::11/64")},
			"vips[1].addresses[0]: 192.0.2.20 is this node's own address on eth0; a VIP must be an address that no node has\n" +
				"vips[1].addresses[1]: 2001:db8::11 is this node's own address on eth1; a VIP must be an address that no node has",
		},
		{
			"the ends of an IPv4 subnet",
			"vips: [{addresses: [192.0.2.128]}, {addresses: [192.0.2.255]}]",
			[]Interface{link("eth0", "192.0.2.129/25")},
			"vips[0].addresses[0]: 192.0.2.128 is the network or broadcast address of 192.0.2.128/25 on eth0\n" +
				"vips[1].addresses[0]: 192.0.2.255 is the network or broadcast address of 192.0.2.128/25 on eth0",
		},
		{
			"a /31 has no such ends, and neither has IPv6",
			"vips: [{addresses: [192.0.2.129]}, {addresses: [\"2001:db8::ff\"]}]",
			[]Interface{link("eth0", "192.0.2.128/31", "2001:db8::fe/126")},
			"",
		},
		{
			"a VRID twice on the interface that is found",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [192.0.2.20], interface: eth0, vrrp: {vrid: 10}}]",
			[]Interface{link("eth0", "192.0.2.11/24")},
			"vips[1].vrrp.vrid: 10 is also the VRID of vips[0] on eth0; write another",
		},
		{
			"the same VRID on two interfaces",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [198.51.100.10], interface: eth1}]",
			[]Interface{link("eth0", "192.0.2.11/24"), link("eth1", "198.51.100.11/24")},
			"",
		},
		{
			"the same VRID for two families",
			"vips: [{addresses: [192.0.2.16]}, {addresses: [\"2001:db8::10\"]}]",
			[]Interface{link("eth0", "192.0.2.11/24", "2001:db8::1/64")},
			"",
		},
		{
			"no interface yet",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [198.51.100.10], interface: eth1}]",
			nil,
			"",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ""
			if err := CheckHost(parsed(t, row.file), row.host); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, row := range []struct {
		name string
		file string
		host []Interface
		want []string
	}{
		{
			"nothing to warn of",
			"vips: [{addresses: [192.0.2.10], track_interfaces: [eth1]}]",
			[]Interface{link("eth0", "192.0.2.11/24"), link("eth1")},
			nil,
		},
		{
			"interfaces that may appear later",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [198.51.100.11], interface: eth1, track_interfaces: [eth0, eth2]}]",
			[]Interface{link("eth0", "203.0.113.1/24")},
			[]string{
				"vips[0].interface: no interface has a subnet with 192.0.2.10; the group waits for one",
				"vips[1].interface: eth1 does not exist; the group waits for it",
				"vips[1].track_interfaces[1]: eth2 does not exist; the group waits for it",
			},
		},
		{
			"an interface without an address of the adverts' family",
			"vips: [{addresses: [192.0.2.10], interface: eth0}]",
			[]Interface{link("eth0", "2001:db8::1/64", "192.0.2.99/32")},
			[]string{"vips[0].interface: eth0 has no IPv4 address of its own; the group waits for one"},
		},
		{
			"two interfaces with the same subnet",
			"vips: [{addresses: [192.0.2.10]}, {addresses: [192.0.2.20], interface: eth1}]",
			[]Interface{link("eth0", "192.0.2.11/24"), link("eth1", "192.0.2.12/24")},
			[]string{"vips[0].interface: eth0 and eth1 have the same subnet with 192.0.2.10; eth0 is taken unless you write one"},
		},
		{
			"guarantees given up",
			"vips: [{addresses: [192.0.2.10], fence: 0s, health: []}, {addresses: [192.0.2.11], fence: 1s, health: [{insecure: true}]}]",
			[]Interface{link("eth0", "192.0.2.1/24")},
			[]string{
				"vips[0].fence: 0s leaves the addresses on a node whose daemon died or hangs",
				"vips[0].health: no checks; the group counts as healthy whatever becomes of the service",
				"vips[1].fence: 1s is lost by a host that is busy for a second; use 2s or more",
				"vips[1].health[0].insecure: the server is not verified",
			},
		},
		{
			"several VIPs elected by etcd, some named by their place",
			"vips: [{addresses: [192.0.2.10], election: etcd}, {addresses: [192.0.2.20], election: etcd, name: web}, {addresses: [192.0.2.30]}]",
			[]Interface{link("eth0", "192.0.2.11/24")},
			[]string{"vips[0].name: vip1 is the VIP's place in the file, and has to mean the same addresses on all nodes with election: etcd; write a name of its own, such as apiserver, on all of them"},
		},
		{
			"a single VIP elected by etcd has one place everywhere",
			"vips: [{addresses: [192.0.2.10], election: etcd}]",
			[]Interface{link("eth0", "192.0.2.11/24")},
			nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Warnings(parsed(t, row.file), row.host)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			for _, w := range got {
				if strings.Contains(w, "\n") {
					t.Errorf("%q is more than one line", w)
				}
			}
		})
	}
}
