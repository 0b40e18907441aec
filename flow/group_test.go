package flow

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestGroupsThatAreRefused(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	good := Group{Name: "g", Interface: "eth0", Addresses: []netip.Addr{vip4, vip6}, Port: 6443, Role: Owner, Lifetime: time.Second,
		Prev: Node{V4: NextHop{Addr: a4}, V6: NextHop{MAC: mac}}}
	rows := []struct {
		name   string
		change func(*Group)
		want   string // empty: accepted
	}{
		{"a good one", func(*Group) {}, ""},
		{"no role", func(g *Group) { g.Role = 0 }, "neither owner nor shadow"},
		{"no port", func(g *Group) { g.Port = 0 }, "no port"},
		{"no lifetime", func(g *Group) { g.Lifetime = 0 }, "lifetime"},
		{"a lifetime without end", func(g *Group) { g.Lifetime = 1 << 62 }, "lifetime"},
		{"no addresses", func(g *Group) { g.Addresses = nil }, "no addresses"},
		{"an address twice", func(g *Group) { g.Addresses = []netip.Addr{vip4, vip4} }, "is in group g too"},
		{"an IPv4 address in IPv6 form", func(g *Group) { g.Addresses = []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")} }, "no address of a VIP"},
		{"no address at all", func(g *Group) { g.Addresses = []netip.Addr{{}} }, "no address of a VIP"},
		{"a predecessor of the other family", func(g *Group) { g.Prev.V4.Addr = a6 }, "no next hop"},
		{"the VIP as its own predecessor", func(g *Group) { g.Prev.V4.Addr = vip4 }, "its own next hop"},
		{"half a MAC", func(g *Group) { g.Owner.V6.MAC = mac[:3] }, "next hop with MAC"},
	}
	for _, row := range rows {
		g := good
		row.change(&g)
		err := checkAll([]Group{g})
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if err := (&Flow{}).Apply(context.Background(), []Group{{Name: "g"}}); err == nil || !strings.Contains(err.Error(), "group g") {
		t.Errorf("Apply: %v", err)
	}
}
