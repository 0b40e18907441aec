package vip

import (
	"context"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// deliverPatience bounds the wait for the kernel's worker. It ordinarily comes
	// within a millisecond; where containers come and go it has to wait for the
	// kernel's network lock, some tenths of a second now and then.
	deliverPatience = 400 * time.Millisecond
	// deliverPoll is the pause between two looks.
	deliverPoll = 100 * time.Microsecond
)

// awaitDelivery waits until the kernel takes packets for addresses that were just
// added. Linux answers the request to add an IPv6 address before it does: a worker
// inserts the local route (addrconf_dad_work, also without detection), and what
// arrives until then is lost. An address announced too early loses its clients'
// first packets. After deliverPatience the address counts as held all the same: the
// kernel will come to it.
func (h *Holder) awaitDelivery(ctx context.Context, ifname string, addrs []netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, deliverPatience)
	defer cancel()
	for _, addr := range addrs {
		for addr.Is6() && !h.delivers(ifname, addr) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(deliverPoll):
			}
		}
	}
}

// delivers tells whether the kernel takes packets for an address of the interface
// as its own. It asks by way of the interface, whose VRF has local routes of its
// own.
func (h *Holder) delivers(ifname string, addr netip.Addr) bool {
	routes, err := h.kernel.RouteGetWithOptions(addr.AsSlice(), &netlink.RouteGetOptions{Oif: ifname})
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
}
