package speaker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/bgp"
)

// owed are the routes that a neighbour has to be told: those of the family of its
// address, and those of a family of which no neighbour has an address. Others may
// be left to their own sessions, as where routers carry each family by itself.
func owed(n bgp.Neighbor, w bgp.Wanted) []bgp.Route {
	var all []bgp.Route
	for _, r := range w.Routes {
		is6 := r.Prefix.Addr().Is6()
		elsewhere := slices.ContainsFunc(w.Neighbors, func(o bgp.Neighbor) bool { return o.Address.Is6() == is6 })
		if n.Address.Is6() == is6 || !elsewhere {
			all = append(all, r)
		}
	}
	return all
}

// lacking is an error that tells what the router of a session was not told of what
// it is owed, because it did not agree to the family (RFC 4760 8).
func lacking(owed, announced []bgp.Route) error {
	prefixes := make([]string, 0, len(owed))
	family := "IPv4"
	for _, r := range owed {
		if slices.ContainsFunc(announced, func(a bgp.Route) bool { return a.Prefix == r.Prefix }) {
			continue
		}
		prefixes = append(prefixes, r.Prefix.String())
		if r.Prefix.Addr().Is6() {
			family = "IPv6"
		}
	}
	if len(prefixes) == 0 {
		return nil
	}
	return fmt.Errorf("the router did not agree to %s unicast, and is not told %s; activate that family for this node at the router", family, strings.Join(prefixes, ", "))
}
