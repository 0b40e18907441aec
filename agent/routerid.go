package agent

import (
	"net/netip"
	"slices"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
)

// routerID is the node's BGP identifier (RFC 6286 2.1: any number but 0 that no
// other speaker has); invalid: there is none. Where none is configured it is an
// IPv4 address of the node: the configured source of the sessions, else the first
// one. What sessions were begun with stays, or all of them would begin anew.
func (a *Agent) routerID() netip.Addr {
	c, b := a.config.BGP, &a.announcing
	switch {
	case c.RouterID.IsValid():
		return c.RouterID
	case c.LocalAddress.Is4():
		return c.LocalAddress
	case !b.routerID.IsValid() || !slices.ContainsFunc(b.state.Report.Neighbors, isEstablished):
		b.routerID = a.firstIPv4()
	}
	return b.routerID
}

func isEstablished(n bgp.NeighborReport) bool { return n.State == bgp.Established }

// firstIPv4 is the node's first IPv4 address that is not on lo and no VIP of any
// group: one in a subnet with a router, else the lowest of the interface with
// the lowest number. Single addresses, which may be VIPs of another daemon, come
// last. The order in which the kernel lists addresses does not matter: it changes
// when one is deleted and added again.
func (a *Agent) firstIPv4() netip.Addr {
	var best candidate
	for number, i := range a.host() {
		if i.Name == loopback {
			continue
		}
		for _, p := range i.Prefixes {
			_, vip := (*a.watched.Load())[p.Addr()]
			if !p.Addr().Is4() || !p.Addr().IsGlobalUnicast() || vip {
				continue
			}
			next := candidate{addr: p.Addr(), rank: rankOf(p, a.config.BGP.Neighbors), number: number}
			if !best.addr.IsValid() || next.before(best) {
				best = next
			}
		}
	}
	return best.addr
}

// candidate is an address that may be the router ID, on the interface that is
// number-th.
type candidate struct {
	addr         netip.Addr
	rank, number int
}

func (c candidate) before(o candidate) bool {
	switch {
	case c.rank != o.rank:
		return c.rank < o.rank
	case c.number != o.number:
		return c.number < o.number
	}
	return c.addr.Less(o.addr)
}

func rankOf(p netip.Prefix, routers []config.Neighbor) int {
	if p.IsSingleIP() {
		return 2
	}
	for _, n := range routers {
		if p.Contains(n.Address) {
			return 0
		}
	}
	return 1
}
