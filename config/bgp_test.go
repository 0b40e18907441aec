package config

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// routed is a file with a VIP that routers lead to; more is further YAML.
func routed(more string) string {
	return "vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}]" + more + "}\n"
}

func TestParseBGP(t *testing.T) {
	router := defaultNeighbor()
	router.Address, router.ASN = netip.MustParseAddr("192.0.2.1"), 64500
	rows := []struct {
		name, file string
		want       func(*BGP)
	}{
		{"a router needs an address and a number", routed(""), func(*BGP) {}},
		{
			"a router beyond the link has no TTL security unless it is written",
			"vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500, multihop: 2}]}",
			func(b *BGP) { b.Neighbors[0].Multihop, b.Neighbors[0].TTLSecurity = 2, false },
		},
		{
			"nor has one of the same AS",
			"vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 64500, neighbors: [{address: 192.0.2.1, asn: 64500}]}",
			func(b *BGP) { b.ASN, b.Neighbors[0].TTLSecurity = 64500, false },
		},
		{
			"every key",
			routed(`, router_id: 192.0.2.11, local_address: 192.0.2.12, communities: ["64512:100", "64512:1:1"], med: 1, return_delay: 1m, ` +
				`unhealthy: {prepend: 0, med: 2, graceful_shutdown: false}, leaving: {prepend: 1, med: 3, graceful_shutdown: false, wait: 0s}`),
			func(b *BGP) {
				b.RouterID, b.LocalAddress = netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
				b.Communities, b.MED, b.ReturnDelay = []string{"64512:100", "64512:1:1"}, 1, time.Minute
				b.Unhealthy, b.Leaving = Worse{MED: 2}, Leaving{Worse: Worse{Prepend: 1, MED: 3}}
			},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, err := Parse("f", []byte(row.file))
			if err != nil {
				t.Fatal(err)
			}
			want := defaultBGP()
			want.ASN, want.Neighbors = 64512, []Neighbor{router}
			row.want(&want)
			if diff := cmp.Diff(want, c.BGP, addressesEqual()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestParseRefusesBGP(t *testing.T) {
	const head = "vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\n"
	rows := []struct{ name, file, want string }{
		{"no AS number", "vips: [{addresses: [198.51.100.10], announce: bgp}]", "f:1: vips[0].announce: bgp needs bgp.asn, the number of this node's autonomous system"},
		{"no router", head + "bgp: {asn: 1}", "f:1: vips[0].announce: bgp needs a router to announce to; write bgp.neighbors: [{address: 192.0.2.1, asn: 64500}]"},
		{"no election on a segment", "vips: [{addresses: [198.51.100.10], election: none}]", "f:1: vips[0].election: none would put the addresses on every node of a segment; it needs announce: bgp or local"},
		{"an interface without adverts", "vips: [{addresses: [198.51.100.10], announce: local, election: none, interface: eth0}]", "f:1: vips[0].interface: is where adverts go, and election: none has none; the addresses are held on lo. Remove it"},
		{"a router without a number", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1}]}", "f:2: bgp.neighbors[0].asn: a neighbour needs one; write the number of the router's autonomous system"},
		{"a router without an address", head + "bgp: {asn: 1, neighbors: [{asn: 2}]}", "f:2: bgp.neighbors[0].address: a neighbour needs one; write the router's"},
		{"a router that is the VIP", head + "bgp: {asn: 1, neighbors: [{address: 198.51.100.10, asn: 2}]}", "f:2: bgp.neighbors[0].address: 198.51.100.10 is a VIP; write the router's own address"},
		{"a router twice", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2}, {address: 192.0.2.1, asn: 2}]}", "f:2: bgp.neighbors[1].address: 192.0.2.1 is in the list twice"},
		{"a link-local router", head + `bgp: {asn: 1, neighbors: [{address: "fe80::1", asn: 2}]}`, "f:2: bgp.neighbors[0].address: fe80::1 is link-local; write a global address of the router"},
		{"TTL security over hops", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2, multihop: 2, ttl_security: true}]}", "f:2: bgp.neighbors[0].ttl_security: is for routers on the link, and multihop is 2; remove one of the two"},
		{"a router ID of six", head + `bgp: {asn: 1, router_id: "2001:db8::1", neighbors: [{address: 192.0.2.1, asn: 2}]}`, "f:2: bgp.router_id: 2001:db8::1 is IPv6; a router ID is written as an IPv4 address"},
		{"routers get all the time of a drain", routed(", leaving: {wait: 30s}"), "f:2: bgp.leaving.wait: 30s is not shorter than drain.timeout, 30s: no drain would have the time to look for another path; change one of the two"},
		{"a router ID that is a VIP", routed(", router_id: 198.51.100.10"), "f:2: bgp.router_id: 198.51.100.10 is a VIP, which other nodes have too; a router ID is one node's"},
		{"a source that is a VIP", routed(", local_address: 198.51.100.10"), "f:2: bgp.local_address: 198.51.100.10 is a VIP; write an address of the node's own"},
		{"a source that is the router's", routed(", local_address: 192.0.2.1"), "f:2: bgp.local_address: 192.0.2.1 is the router's, bgp.neighbors[0]; write an address of the node's own"},
		{"a source of another family", routed(`, local_address: "2001:db8::1"`), "f:2: bgp.local_address: 2001:db8::1 is IPv6, and no neighbour is; it would be the source of no session"},
		{"nobody's AS number", head + "bgp: {asn: 23456, neighbors: [{address: 192.0.2.1, asn: 2}]}", "f:2: bgp.asn: 23456 is AS_TRANS, which is nobody's number (RFC 6793)"},
		{"nobody's AS number for a router", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 23456}]}", "f:2: bgp.neighbors[0].asn: 23456 is AS_TRANS, which is nobody's number (RFC 6793)"},
		{"an unhealthy node that is as good", routed(", unhealthy: {prepend: 0, med: 100, graceful_shutdown: false}"), "f:2: bgp.unhealthy: makes nothing worse for routers of another AS; write a prepend, graceful_shutdown: true, or a med above 100"},
		{"a leaving node that is as good", routed(", leaving: {prepend: 0, med: 0, graceful_shutdown: false}"), "f:2: bgp.leaving: makes nothing worse for routers of another AS; write a prepend, graceful_shutdown: true, or a med above 100"},
		{"a word for a community", routed(", communities: [no-export]"), `f:2: bgp.communities[0]: "no-export" is no community; write two numbers of 16 bits as in 64512:100, or three of 32 bits as in 64512:1:1`},
		{"a community too large", routed(`, communities: ["64512:65536"]`), `f:2: bgp.communities[0]: "64512:65536" is no community; each of its 2 numbers has 16 bits`},
		{"BFD faster than it can be", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2, bfd: {transmit: 5ms}}]}", "f:2: bgp.neighbors[0].bfd.transmit: 5ms is out of range; use 10ms to 10s"},
		{"a hold time that RFC 4271 forbids", head + "bgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2, hold_time: 2s}]}", "f:2: bgp.neighbors[0].hold_time: 2s is out of range; use 3s to 18h12m15s in steps of 1s"},
		{"a larger AS number than there is", head + "bgp: {asn: 4294967296, neighbors: [{address: 192.0.2.1, asn: 2}]}", "f:2: bgp.asn: 4294967296 is out of range; use 0 to 4294967295"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("f", []byte(row.file))
			var first Problem
			if !errors.As(err, &first) || first.Error() != row.want {
				t.Errorf("\nwant %s\ngot  %v", row.want, err)
			}
		})
	}
}

func TestGroupsWithoutAnElectionNeedNeitherVRIDNorInterface(t *testing.T) {
	c, err := Parse("f", []byte("vips: [{addresses: [198.51.100.0], announce: local, election: none}, {addresses: [198.51.101.0], announce: local, election: none}]"))
	if err != nil {
		t.Fatal(err)
	}
	host := []Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}}
	if err := CheckHost(c, host); err != nil {
		t.Error(err)
	}
	if w := Warnings(c, host); len(w) > 0 {
		t.Errorf("warned of %v", w)
	}
}

func TestWarnsOfBGP(t *testing.T) {
	// neighbor is a file whose router has more keys.
	neighbor := func(more string) string {
		return "vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2" + more + "}]}"
	}
	rows := []struct {
		name, file string
		want       []string
	}{
		{"nothing to warn of", neighbor(""), nil},
		{"quick BFD", neighbor(", bfd: {enabled: true, receive: 40ms}"), []string{"bgp.neighbors[0].bfd: intervals below 50ms raise false alarms on hosts that are busy"}},
		{"quick BFD that is off", neighbor(", bfd: {receive: 40ms}"), nil},
		{"BFD that bears no loss", neighbor(", bfd: {enabled: true, multiplier: 1}"), []string{"bgp.neighbors[0].bfd.multiplier: with 1 a single packet that is lost ends the session"}},
		{"graceful restart with BFD", neighbor(", graceful_restart: 20s, bfd: {enabled: true}"), []string{"bgp.neighbors[0].graceful_restart: BFD goes down with the speaker too, and some routers, as BIRD, then give the routes up all the same"}},
		{"graceful restart without", neighbor(", graceful_restart: 20s"), nil},
		{"a metric that is better when the node is not", routed(", med: 1001, leaving: {med: 1001}"), []string{"bgp.unhealthy.med: 1000 is below bgp.med, 1001; where routers compare it, the worse node is preferred"}},
		{"local preference is enough within an AS", "vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 1}], unhealthy: {prepend: 0, med: 100, graceful_shutdown: false}}", nil},
		{"a stop has no time for routers", routed(", leaving: {wait: 1600ms}"), []string{"bgp.leaving.wait: twice 1.6s, and 1s for the end of sessions, do not fit into drain.shutdown_timeout, 4s: a stop ends before its last packets have arrived"}},
		{"a stop has just enough", routed(", leaving: {wait: 1500ms}"), nil},
		{"and needs none where nothing is announced", "vips: [{addresses: [198.51.100.10], announce: local}]\nbgp: {leaving: {wait: 50s}}", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, err := Parse("f", []byte(row.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, SettingWarnings(c)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestWarnsOfASourceThatTheHostHasNot(t *testing.T) {
	rows := []struct {
		name, own string
		want      []string
	}{
		{"it is there", "192.0.2.11/24", nil},
		{"it is there as a single address", "192.0.2.11/32", nil},
		{"another one is", "192.0.2.12/24", []string{"bgp.local_address: no interface has 192.0.2.11; the sessions wait for it"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := parsed(t, routed(", local_address: 192.0.2.11"))
			if diff := cmp.Diff(row.want, Warnings(c, []Interface{link("eth0", row.own)})); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
