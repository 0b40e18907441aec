package flow

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks our routes (rtnetlink(7), rtm_protocol); numbers above
// RTPROT_STATIC are free for programs.
const routeProtocol netlink.RouteProtocol = 'v'

// reserve makes the kernel send to a MAC what is for the address that stands for
// it. The neighbour entry has no timer (NUD_NOARP), so nobody is asked for it; it
// does not keep the kernel from collecting it, as a permanent one would. IPv4
// needs a route besides, or a default route would win.
func (f *Flow) reserve(index int, mac net.HardwareAddr, v6 bool) (netip.Addr, error) {
	addr, err := f.reserved.of(index, mac, v6)
	if err != nil {
		return netip.Addr{}, err
	}
	if !v6 {
		err := f.route.RouteReplace(&netlink.Route{
			LinkIndex: index, Dst: single(addr), Scope: netlink.SCOPE_LINK, Protocol: routeProtocol,
		})
		if err != nil {
			return netip.Addr{}, fmt.Errorf("route to %s as %s: %w", mac, addr, err)
		}
	}
	err = f.route.NeighSet(&netlink.Neigh{
		LinkIndex: index, Family: netlinkFamily(v6), State: netlink.NUD_NOARP, IP: addr.AsSlice(), HardwareAddr: mac,
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("neighbour %s as %s: %w", mac, addr, err)
	}
	return addr, nil
}

// sweepHops takes away reserved next hops that nobody reserved in this life.
func (f *Flow) sweepHops() error {
	wanted := map[netip.Addr]bool{}
	for _, addr := range f.reserved {
		wanted[addr] = true
	}
	var errs []error
	for _, v6 := range []bool{false, true} {
		list, err := f.route.NeighList(0, netlinkFamily(v6))
		if err != nil {
			errs = append(errs, fmt.Errorf("list neighbours: %w", err))
		}
		for _, n := range list {
			addr, ok := netip.AddrFromSlice(n.IP)
			if !ok || n.State != netlink.NUD_NOARP || !isReserved(addr.Unmap(), n.HardwareAddr) || wanted[addr.Unmap()] {
				continue
			}
			if err := f.route.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("delete neighbour %s: %w", addr, err))
			}
		}
	}
	return errors.Join(append(errs, f.sweepRoutes(wanted))...)
}

func (f *Flow) sweepRoutes(wanted map[netip.Addr]bool) error {
	list, err := f.route.RouteListFiltered(unix.AF_INET, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for _, r := range list {
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		if !ok || !reserved4().Contains(addr.Unmap()) || wanted[addr.Unmap()] {
			continue
		}
		if err := f.route.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("delete route to %s: %w", addr, err))
		}
	}
	return errors.Join(errs...)
}

// single is an address as the prefix that holds nothing else.
func single(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

func netlinkFamily(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
