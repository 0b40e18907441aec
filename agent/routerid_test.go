package agent

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
)

func TestTheRouterIDIsTheNodesFirstAddress(t *testing.T) {
	type nics map[string][]string
	rows := []struct {
		name string
		bgp  string
		nics nics
		want string
	}{
		{"the only one", "", nics{"1 eth0": {"192.0.2.11/24"}}, "192.0.2.11"},
		{"of the first interface", "", nics{"1 eth0": {"203.0.113.9/24"}, "2 eth1": {"198.18.0.1/24"}}, "203.0.113.9"},
		{"the lowest, whatever the kernel's order", "", nics{"1 eth0": {"192.0.2.99/24", "192.0.2.11/24"}}, "192.0.2.11"},
		{"in the subnet of a router, before others", "", nics{"1 docker0": {"172.17.0.1/16"}, "2 eth0": {"192.0.2.11/24"}}, "192.0.2.11"},
		{"never a VIP", "", nics{"1 eth0": {"192.0.2.10/32", "198.51.100.10/32", "192.0.2.11/24"}}, "192.0.2.11"},
		{"not on lo", "", nics{"1 lo": {"10.0.0.1/32"}, "2 eth0": {"192.0.2.11/24"}}, "192.0.2.11"},
		{"a single address where there is no other", "", nics{"1 eth0": {"203.0.113.9/32"}}, "203.0.113.9"},
		{"not a link-local one", "", nics{"1 eth0": {"169.254.1.1/16", "192.0.2.11/24"}}, "192.0.2.11"},
		{"the configured source", "local_address: 192.0.2.77, ", nics{"1 eth0": {"192.0.2.11/24"}}, "192.0.2.77"},
		{"the configured one", "router_id: 9.9.9.9, local_address: 192.0.2.77, ", nics{"1 eth0": {"192.0.2.11/24"}}, "9.9.9.9"},
		{"none where there is no IPv4", "", nics{"1 eth0": {"2001:db8::1/64"}}, "invalid IP"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			file := "node: x\nvips: [{addresses: [192.0.2.10]}, {addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {" + row.bgp + "asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}]}"
			c, err := config.Parse("vipd.yaml", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			a := New(Options{Config: c, Log: slog.New(slog.DiscardHandler), Edges: Edges{Flows: oldKernel{}}})
			for name, prefixes := range row.nics {
				number, name, _ := strings.Cut(name, " ")
				i := Interface{Name: name, Index: int(number[0] - '0'), Up: true}
				for _, p := range prefixes {
					i.Addresses = append(i.Addresses, Address{Prefix: netip.MustParsePrefix(p)})
				}
				a.interfaces[name] = i
			}
			if got := a.routerID().String(); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestTheRouterIDStaysWhileSessionsDo(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(routed)
		want := f.newest().RouterID
		n.process.agent.Post(t.Context(), SpeakerChanged{Running: true, Report: bgp.Report{
			Neighbors: []bgp.NeighborReport{{Address: netip.MustParseAddr("192.0.2.1"), State: bgp.Established}},
		}})
		time.Sleep(time.Second)
		n.configure("eth0", "192.0.2.2/24")
		if got := f.newest().RouterID; got != want {
			t.Errorf("it was %v and is %v", want, got)
		}
	})
}

// What keeps an IPv6-only node from speaking is told where the operator looks.
func TestANodeWithoutIPv4NeedsARouterID(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		const six = `
vips: [{name: apiserver, addresses: ["2001:db8::10"], announce: bgp, election: none}]
bgp: {asn: 64512, neighbors: [{address: "2001:db8::1", asn: 64500}]}
`
		n, f := l.routedNode(six)
		n.remove("eth0", "192.0.2.11/24")
		n.start()
		time.Sleep(10 * time.Second)
		w := f.newest()
		if len(w.Neighbors) != 1 || !strings.Contains(w.Neighbors[0].Unusable, "set bgp.router_id") {
			t.Errorf("wanted: %+v", w)
		}
		n.mustReload(strings.Replace(six, "asn: 64512", "asn: 64512, router_id: 192.0.2.11", 1))
		if w := f.newest(); w.Neighbors[0].Unusable != "" {
			t.Errorf("with a router ID: %+v", w)
		}
	})
}
