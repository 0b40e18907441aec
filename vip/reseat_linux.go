package vip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Reseat puts the IPv4 VIPs among addrs behind the interface's own addresses
// again, by deleting and adding them in one turn, when the kernel lists one
// before the first own address. That happens when the node's address is deleted
// and added again (DHCP, systemd-networkd); the kernel then picks the VIP as
// source, because IPv4 knows no deprecated addresses. Own is what no Hold of
// this Holder brought there.
//
// lifetime and deadline are those of [Holder.Hold]. moved tells that it had to.
func (h *Holder) Reseat(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (moved bool, err error) {
	moved, err = h.reseat(ctx, ifname, addrs, lifetime, deadline)
	if err != nil {
		return moved, fmt.Errorf("reseat %v on %s: %w", addrs, ifname, err)
	}
	return moved, nil
}

func (h *Holder) reseat(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (moved bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	link, err := lookUp(h.kernel, ifname)
	if err != nil {
		return false, err
	}
	listed, err := addresses(h.kernel, link, netlink.FAMILY_V4)
	if err != nil {
		return false, err
	}
	for _, addr := range misplaced(listed, addrs, h.isVIP) {
		if h.late(deadline) {
			return moved, ErrDeadline
		}
		if err := h.drop(link, []netip.Addr{addr}); err != nil {
			return moved, err
		}
		moved = true
		_, err := h.put(link, addr, lifetime)
		if h.late(deadline) {
			return moved, h.undo(ErrDeadline, link, addrs)
		}
		if err != nil {
			return moved, refused(err, link, addr)
		}
	}
	return moved, nil
}

// misplaced returns those of addrs that the kernel lists before the first
// address that may be picked as source: one of global scope, not secondary, and
// no VIP. Without any such address no order is better.
func misplaced(listed []addressMessage, addrs []netip.Addr, isVIP func(netip.Addr) bool) []netip.Addr {
	var before []netip.Addr
	for _, a := range listed {
		addr := a.Prefix.Addr()
		switch {
		case slices.Contains(addrs, addr) && a.Prefix.IsSingleIP():
			before = append(before, addr)
		case a.scope == unix.RT_SCOPE_UNIVERSE && !a.Secondary && !isVIP(addr):
			return before
		}
	}
	return nil
}
