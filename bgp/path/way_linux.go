package path

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/ownaddress"
)

// way leads to routers.
type way struct {
	link netlink.Link
	// source is this node's address of the way, which may be on another interface.
	source netip.Addr
	// hop is the router, or the gateway to one that is not on the link; invalid: the
	// next hop is whatever the kernel takes from the interface.
	hop netip.Addr
}

// ways are those to the routers, each once. A router that the kernel knows no way
// to is left out, and an error only if there is no other.
func ways(routers []netip.Addr) ([]way, error) {
	var all []way
	var errs []error
	for _, router := range routers {
		w, err := wayTo(router)
		if err != nil {
			errs = append(errs, fmt.Errorf("find the way to %s: %w", router, err))
			continue
		}
		known := func(o way) bool { return o.hop == w.hop && o.link.Attrs().Index == w.link.Attrs().Index }
		if !slices.ContainsFunc(all, known) {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func wayTo(router netip.Addr) (way, error) {
	routes, err := netlink.RouteGet(router.AsSlice())
	if err != nil {
		return way{}, err
	}
	if len(routes) == 0 || routes[0].Type == unix.RTN_LOCAL {
		return way{}, errors.New("it is this host's own address")
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return way{}, err
	}
	source, _ := netip.AddrFromSlice(routes[0].Src) // none is no address
	if gateway, isBehind := netip.AddrFromSlice(routes[0].Gw); isBehind {
		router = gateway.Unmap()
	}
	return way{link: link, source: source.Unmap(), hop: router}, nil
}

// byLink are ways in groups of one interface.
func byLink(all []way) map[int][]way {
	groups := map[int][]way{}
	for _, w := range all {
		index := w.link.Attrs().Index
		groups[index] = append(groups[index], w)
	}
	return groups
}

// suited are the ways by which to ask for a VIP. A router's address of the other
// family is no next hop to it: by an interface whose routers have no other one, the
// way is the kernel's own, if it knows one.
func suited(ways []way, vip netip.Addr) ([]way, error) {
	var all []way
	for _, onLink := range byLink(ways) {
		link := onLink[0].link
		onLink = slices.DeleteFunc(onLink, func(w way) bool { return w.hop.Is6() != vip.Is6() })
		if len(onLink) == 0 && knowsHop(vip, link) {
			onLink = []way{{link: link}}
		}
		all = append(all, onLink...)
	}
	if len(all) == 0 {
		w := ways[0]
		return nil, fmt.Errorf("ask for %s by %s: %s, the router there, is no next hop to an address of the other family, and this host has no route for it from there; add a default route by that router, or peer with it over the VIP's family too", vip, w.link.Attrs().Name, w.hop)
	}
	return all, nil
}

// knowsHop tells whether the kernel knows a next hop to an address from an
// interface. Where it knows no route it asks the segment for the address itself,
// as if that were on the link.
func knowsHop(addr netip.Addr, link netlink.Link) bool {
	routes, err := netlink.RouteGetWithOptions(addr.AsSlice(), &netlink.RouteGetOptions{OifIndex: link.Attrs().Index})
	if err != nil || len(routes) == 0 {
		return false
	}
	asks := link.Attrs().RawFlags&unix.IFF_NOARP == 0
	return !asks || routes[0].Gw != nil || routes[0].Via != nil || len(routes[0].MultiPath) > 0
}

// waysOut are those of the default routes for an address, each interface once.
func waysOut(addr netip.Addr) ([]way, error) {
	routes, err := defaultRoutes(addr.Is6())
	if err != nil {
		return nil, fmt.Errorf("find the way out to %s: %w", addr, err)
	}
	indexes := make([]int, 0, len(routes))
	for _, r := range routes {
		indexes = append(indexes, r.LinkIndex)
		for _, hop := range r.MultiPath {
			indexes = append(indexes, hop.LinkIndex)
		}
	}
	slices.Sort(indexes)
	all := make([]way, 0, len(indexes))
	for _, index := range slices.Compact(indexes) {
		if index == 0 {
			continue // a route of several hops has no interface of its own
		}
		link, err := netlink.LinkByIndex(index)
		if err != nil {
			return nil, fmt.Errorf("find the way out to %s: %w", addr, err)
		}
		all = append(all, way{link: link})
	}
	return all, nil
}

// defaultRoutes are those that the kernel takes, which have the least metric. There
// is one at least.
func defaultRoutes(ipv6 bool) ([]netlink.Route, error) {
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	routes = slices.DeleteFunc(routes, func(r netlink.Route) bool { return !isDefault(r) })
	if len(routes) == 0 {
		return nil, errors.New("this host has no default route")
	}
	metric := func(x, y netlink.Route) int { return x.Priority - y.Priority }
	least := slices.MinFunc(routes, metric)
	return slices.DeleteFunc(routes, func(r netlink.Route) bool { return metric(r, least) > 0 }), nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return r.Type == unix.RTN_UNICAST
	}
	ones, _ := r.Dst.Mask.Size()
	return r.Type == unix.RTN_UNICAST && ones == 0
}

// from is the address to ask for a VIP from: the way's own, or one of the VIP's
// family on its interface.
func (w way) from(vip netip.Addr, vips []netip.AddrPort) (netip.Addr, error) {
	if w.source.IsValid() && w.source.Is6() == vip.Is6() {
		return w.source, nil
	}
	isVIP := func(a netip.Addr) bool {
		return slices.ContainsFunc(vips, func(v netip.AddrPort) bool { return v.Addr() == a })
	}
	from, err := ownaddress.On(w.link, vip.Is6(), isVIP)
	if err != nil {
		return from, fmt.Errorf("choose an address to ask for %s from: %w", vip, err)
	}
	return from, nil
}
