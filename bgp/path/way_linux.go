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
}

// ways are those to the routers, each interface once. A router that the kernel
// knows no way to is left out, and an error only if there is no other.
func ways(routers []netip.Addr) ([]way, error) {
	var all []way
	var errs []error
	for _, router := range routers {
		w, err := wayTo(router)
		if err != nil {
			errs = append(errs, fmt.Errorf("find the way to %s: %w", router, err))
			continue
		}
		known := func(o way) bool { return o.link.Attrs().Index == w.link.Attrs().Index }
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
	return way{link: link, source: source.Unmap()}, nil
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
