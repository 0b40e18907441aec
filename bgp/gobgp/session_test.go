package gobgp

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bgptest"
)

// unreached is a session with a neighbour that is not there. Its RIB works all
// the same.
func unreached(t *testing.T, asn uint32) *Session {
	t.Helper()
	n := bgp.Neighbor{Address: netip.MustParseAddr("127.0.0.1"), ASN: asn, Port: 1, HoldTime: 9e9}
	s, err := Open(Local{ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11")}, n, slog.New(slog.DiscardHandler), func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close("the test ends"); err != nil {
			t.Error(err)
		}
	})
	return s
}

func route(last byte, change func(*bgp.Route)) bgp.Route {
	r := bgp.Route{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, last}), 32), MED: 100, LocalPreference: 100,
		Communities:      []bgp.Community{64512<<16 | 1},
		LargeCommunities: []bgp.LargeCommunity{{Administrator: 64512, Data1: 1, Data2: 2}},
	}
	change(&r)
	return r
}

func TestAnnounceBringsTheRIBToWhatIsWanted(t *testing.T) {
	as := func(*bgp.Route) {}
	worse := func(r *bgp.Route) {
		r.MED, r.Prepend, r.LocalPreference = 1000, 3, 0
		r.Communities = append(r.Communities, bgp.GracefulShutdown)
	}
	external := func(r *bgp.Route) { r.LocalPreference = 0 }
	internal := func(r *bgp.Route) { r.Prepend = 0 }
	rows := []struct {
		name   string
		routes []bgp.Route
	}{
		{"one", []bgp.Route{route(10, as)}},
		{"the same again", []bgp.Route{route(10, as)}},
		{"another one beside it", []bgp.Route{route(10, as), route(20, as)}},
		{"one made worse", []bgp.Route{route(10, worse), route(20, as)}},
		{"one gone", []bgp.Route{route(10, worse)}},
		{"better again", []bgp.Route{route(10, as)}},
		{"none", nil},
	}
	for name, drop := range map[string]func(*bgp.Route){"to another AS": external, "in one AS": internal} {
		asn := uint32(64500)
		if name == "in one AS" {
			asn = 64512
		}
		t.Run(name, func(t *testing.T) {
			s := unreached(t, asn)
			for _, row := range rows {
				if err := s.Announce(row.routes); err != nil {
					t.Fatal(err)
				}
				standing, err := s.standing()
				if err != nil {
					t.Fatal(err)
				}
				var got, want []bgp.Route
				for _, a := range standing {
					got = append(got, a.Route)
				}
				for _, r := range row.routes {
					drop(&r)
					want = append(want, r)
				}
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
					t.Errorf("%s: -want +got\n%s", row.name, diff)
				}
			}
		})
	}
}

func TestOnlyWhatTheRouterWasToldIsAnnounced(t *testing.T) {
	four := route(10, func(*bgp.Route) {})
	six := bgp.Route{Prefix: netip.MustParsePrefix("2001:db8::10/128")}
	rows := []struct {
		name   string
		agreed [][]byte
		want   []netip.Prefix
	}{
		{"RFC 4760 8, a router of both families", [][]byte{bgptest.IPv4(), bgptest.IPv6()}, []netip.Prefix{four.Prefix, six.Prefix}},
		{"a router of IPv4", [][]byte{bgptest.IPv4()}, []netip.Prefix{four.Prefix}},
		{"a router of IPv6", [][]byte{bgptest.IPv6()}, []netip.Prefix{six.Prefix}},
		{"a router that names no family has IPv4", nil, []netip.Prefix{four.Prefix}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := bgptest.Listen(t, row.agreed...)
			s := reached(t, r)
			// A next hop of the other family that loopback has everywhere.
			for _, a := range []announced{{four, netip.IPv4Unspecified()}, {six, netip.MustParseAddr("::1")}} {
				if err := s.add(a); err != nil {
					t.Fatal(err)
				}
			}
			routes, err := s.Announced()
			var got []netip.Prefix
			for _, r := range routes {
				got = append(got, r.Prefix)
			}
			if diff := cmp.Diff(row.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if err := s.Close("the test ends"); err != nil {
				t.Error(err)
			}
			if routes, err := s.Announced(); err != nil || len(routes) > 0 {
				t.Errorf("without a session: %v, %v", routes, err)
			}
		})
	}
}
