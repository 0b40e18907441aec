package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrDeadline tells that the caller was too late to hold an address, and this node does
// not have it (any more).
var ErrDeadline = errors.New("deadline passed")

// Holder puts VIP addresses on interfaces. It is safe for concurrent use.
type Holder struct {
	kernel *netlink.Handle
	now    func() time.Time

	mu   sync.Mutex
	vips map[netip.Addr]bool // held and not released; tells VIPs from own addresses
}

// NewHolder opens a Holder for the network namespace of the calling thread.
func NewHolder() (*Holder, error) {
	kernel, err := openRTNetlink()
	if err != nil {
		return nil, err
	}
	return &Holder{kernel: kernel, now: time.Now, vips: map[netip.Addr]bool{}}, nil
}

// Close leaves the addresses where they are; their lifetimes go on. It is the
// last call, and returns nil.
func (h *Holder) Close() error {
	h.kernel.Close()
	return nil
}

// Hold brings all addrs onto the interface, as /32 or /128 without prefix route
// and, IPv6, without duplicate address detection and deprecated. It is
// idempotent, and repeating it is the refresh.
//
// The kernel removes the addresses after lifetime, of which whole seconds count
// (at least one); 0 is forever. An address that someone else put there, with
// whatever lifetime, gets this one.
//
// Addresses come whole or not at all: when one cannot be had, those that this
// call added are deleted again. Those that were there before stay, for the
// caller to release or to keep.
//
// deadline (zero: none) is the instant from which this node must not hold the
// addresses. The kernel makes an address that expired anew when it is refreshed,
// so a caller that was stalled on the way could bring back a VIP that has
// another owner by now. After the deadline nothing is done; when the deadline
// passed during a call into the kernel, all addrs are deleted at once. Both
// return [ErrDeadline].
//
// created tells that an address was not there, or was there without working, and
// was added. Packets for it are then taken by this node.
func (h *Holder) Hold(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error) {
	if lifetime != 0 && lifetime < time.Second {
		return false, fmt.Errorf("hold %v on %s: lifetime %v is less than the kernel's one second", addrs, ifname, lifetime)
	}
	created, err = h.hold(ctx, ifname, addrs, lifetime, deadline)
	if err != nil {
		return false, fmt.Errorf("hold %v on %s: %w", addrs, ifname, err)
	}
	return created, nil
}

func (h *Holder) hold(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error) {
	link, err := lookUp(h.kernel, ifname)
	if err != nil {
		return false, err
	}
	if h.late(deadline) {
		return false, ErrDeadline
	}
	h.remember(addrs)
	var added []netip.Addr
	for _, addr := range addrs {
		if err := ctx.Err(); err != nil {
			return false, h.undo(err, link, added)
		}
		isNew, err := h.put(link, addr, lifetime)
		if isNew {
			added = append(added, addr)
		}
		if h.late(deadline) {
			return false, h.undo(ErrDeadline, link, addrs)
		}
		if err != nil {
			return false, h.undo(refused(err, link, addr), link, added)
		}
	}
	h.awaitDelivery(ctx, link.Attrs().Name, added)
	if h.late(deadline) {
		return false, h.undo(ErrDeadline, link, addrs)
	}
	return len(added) > 0, nil
}

// Release takes addrs off the interface. It is idempotent, and nil means they
// are off; a missing interface has none.
func (h *Holder) Release(ctx context.Context, ifname string, addrs []netip.Addr) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release %v from %s: %w", addrs, ifname, err)
	}
	link, err := lookUp(h.kernel, ifname)
	switch {
	case errors.Is(err, unix.ENODEV):
		h.forget(addrs)
		return nil
	case err != nil:
		return fmt.Errorf("release %v from %s: %w", addrs, ifname, err)
	}
	if err := h.drop(link, addrs); err != nil {
		return fmt.Errorf("release %v from %s: %w", addrs, ifname, err)
	}
	h.forget(addrs)
	return nil
}

// put brings one address onto the interface and tells whether it was added.
func (h *Holder) put(link netlink.Link, addr netip.Addr, lifetime time.Duration) (added bool, err error) {
	err = h.kernel.AddrAdd(link, vipAddress(addr, lifetime))
	if !errors.Is(err, unix.EEXIST) {
		return err == nil, err
	}
	if addr.Is4() {
		// The kernel changes the lifetime and leaves the flags of whoever added the
		// address; a missing noprefixroute means nothing, since a /32 has no such
		// route.
		return false, h.kernel.AddrReplace(link, vipAddress(addr, lifetime))
	}
	return h.adopt6(link, addr, lifetime)
}

// adopt6 takes over an IPv6 address that the interface has. IPv6 tells addresses
// apart without their length, so it may be the node's own, which must not get a
// lifetime. One that duplicate address detection keeps silent stays so when it
// is replaced, and is added anew.
func (h *Holder) adopt6(link netlink.Link, addr netip.Addr, lifetime time.Duration) (added bool, err error) {
	listed, err := addresses(h.kernel, link, netlink.FAMILY_V6)
	if err != nil {
		return false, err
	}
	for _, there := range listed {
		switch {
		case there.Prefix.Addr() != addr:
			continue
		case !there.Prefix.IsSingleIP():
			return false, fmt.Errorf("%s is there as the node's own %s", addr, there.Prefix)
		case !there.Tentative && !there.DADFailed:
			return false, h.kernel.AddrReplace(link, vipAddress(addr, lifetime))
		}
		if err := h.drop(link, []netip.Addr{addr}); err != nil {
			return false, err
		}
	}
	// It is not there any more.
	err = h.kernel.AddrAdd(link, vipAddress(addr, lifetime))
	return err == nil, err
}

// drop deletes addrs and goes on after errors.
func (h *Holder) drop(link netlink.Link, addrs []netip.Addr) error {
	var errs []error
	for _, addr := range addrs {
		err := h.kernel.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(addr.AsSlice())})
		if err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("delete %s: %w", addr, err))
		}
	}
	return errors.Join(errs...)
}

// undo deletes addrs because of cause, whatever became of the caller's context.
func (h *Holder) undo(cause error, link netlink.Link, addrs []netip.Addr) error {
	return errors.Join(cause, h.drop(link, addrs))
}

// late tells whether the deadline has passed.
func (h *Holder) late(deadline time.Time) bool {
	return !deadline.IsZero() && !h.now().Before(deadline)
}

func (h *Holder) remember(addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, addr := range addrs {
		h.vips[addr] = true
	}
}

func (h *Holder) forget(addrs []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, addr := range addrs {
		delete(h.vips, addr)
	}
}

// isVIP tells whether this Holder was told to hold addr.
func (h *Holder) isVIP(addr netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vips[addr]
}

// isGone: the address, the interface, or its whole address family is not there.
func isGone(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) ||
		errors.Is(err, unix.EOPNOTSUPP)
}

// refused tells why addr could not be added, and what the error number leaves
// out.
func refused(cause error, link netlink.Link, addr netip.Addr) error {
	const minimumMTU6 = 1280 // RFC 8200 5
	name, mtu, reason := link.Attrs().Name, link.Attrs().MTU, ""
	switch {
	case errors.Is(cause, unix.EPERM):
		reason = ": CAP_NET_ADMIN is missing"
	case addr.Is6() && errors.Is(cause, unix.EACCES):
		reason = fmt.Sprintf(": IPv6 is disabled on %s (net.ipv6.conf.%s.disable_ipv6)", name, name)
	case addr.Is6() && errors.Is(cause, unix.EOPNOTSUPP):
		reason = ": this kernel runs without IPv6"
	case addr.Is6() && errors.Is(cause, unix.EINVAL) && mtu < minimumMTU6:
		reason = fmt.Sprintf(": the MTU of %s is %d, and IPv6 needs %d", name, mtu, minimumMTU6)
	}
	return fmt.Errorf("add %s: %w%s", addr, cause, reason)
}
