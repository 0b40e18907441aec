package flow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrDeadline tells that the caller was too late to hold a shadow, and it is not
// there (any more).
var ErrDeadline = errors.New("deadline passed")

// maxAddressLifetime keeps a lifetime below the kernel's number for ever.
const maxAddressLifetime = 1 << 31 * time.Second

// HoldShadow keeps addrs of the interface ifname on lo, where the kernel serves
// their connections and tells the segment nothing: IPv6 answers no solicitation
// for an address of another interface, and IPv4 is kept quiet by two settings of
// ifname (arp_ignore, arp_announce) for as long as any shadow of it lasts. The
// addresses are never picked as source: IPv4 has host scope, IPv6 is deprecated.
//
// An owner that becomes a shadow holds it first and then takes the addresses off
// ifname; one that becomes owner again adds them there first, and then releases
// the shadow. Nothing is ever without the address.
//
// It is idempotent; repeating it is the refresh. The kernel removes the
// addresses after lifetime, of which whole seconds count, at least one. They come
// whole or not at all, and not after the deadline (zero: none); then it returns
// [ErrDeadline]. created tells that an address was not there.
func (f *Flow) HoldShadow(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	created, err = f.holdShadow(ctx, ifname, addrs, lifetime, deadline)
	if err != nil {
		return false, fmt.Errorf("hold the shadow of %v from %s: %w", addrs, ifname, err)
	}
	return created, nil
}

func (f *Flow) holdShadow(ctx context.Context, ifname string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error) {
	if lifetime < time.Second || lifetime > maxAddressLifetime {
		return false, fmt.Errorf("lifetime %v is not between 1s and %v", lifetime, maxAddressLifetime)
	}
	if err := errors.Join(ctx.Err(), f.late(deadline)); err != nil {
		return false, err
	}
	for _, addr := range addrs {
		f.cast(ifname, addr)
	}
	// Quiet before the address is anywhere but on the interface.
	if err := f.borrow(); err != nil {
		return false, errors.Join(err, f.dropShadow(ifname, addrs))
	}
	var added []netip.Addr
	for _, addr := range addrs {
		isNew, err := f.putShadow(addr, lifetime)
		if isNew {
			added = append(added, addr)
		}
		if tooLate := f.late(deadline); tooLate != nil {
			return false, errors.Join(tooLate, f.dropShadow(ifname, addrs))
		}
		if err != nil {
			return false, errors.Join(fmt.Errorf("add %s to lo: %w", addr, err), f.dropShadow(ifname, added))
		}
	}
	return len(added) > 0, nil
}

// ReleaseShadow takes the shadow of addrs away and puts the settings of ifname
// back when it was the last one. It is idempotent; nil means it is off.
func (f *Flow) ReleaseShadow(ctx context.Context, ifname string, addrs []netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = errors.Join(f.dropShadow(ifname, addrs), f.giveBack())
	}
	if err != nil {
		return fmt.Errorf("release the shadow of %v from %s: %w", addrs, ifname, err)
	}
	return nil
}

// FindShadows tells which of addrs are on lo, of whatever life.
func (f *Flow) FindShadows(ctx context.Context, addrs []netip.Addr) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("find shadows: %w", err)
	}
	listed, err := f.addresses()
	if err != nil {
		return nil, fmt.Errorf("find shadows: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return !slices.Contains(listed, address{loopback, netip.PrefixFrom(a, a.BitLen())})
	}), nil
}

// putShadow brings one address onto lo and tells whether it was added.
func (f *Flow) putShadow(addr netip.Addr, lifetime time.Duration) (added bool, err error) {
	a := shadowAddress(addr, lifetime)
	err = f.route.AddrAdd(nil, a)
	if errors.Is(err, unix.EEXIST) {
		return false, f.route.AddrReplace(nil, a)
	}
	return err == nil, err
}

// dropShadow deletes addresses from lo and forgets them.
func (f *Flow) dropShadow(ifname string, addrs []netip.Addr) error {
	var errs []error
	for _, addr := range addrs {
		err := f.route.AddrDel(nil, &netlink.Addr{IPNet: single(addr), LinkIndex: loopback})
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("delete %s from lo: %w", addr, err))
			continue
		}
		delete(f.shadows[ifname], addr)
	}
	if len(f.shadows[ifname]) == 0 {
		delete(f.shadows, ifname)
	}
	return errors.Join(errs...)
}

// cast notes a shadow.
func (f *Flow) cast(ifname string, addr netip.Addr) {
	if f.shadows[ifname] == nil {
		f.shadows[ifname] = map[netip.Addr]bool{}
	}
	f.shadows[ifname][addr] = true
}

// shadowAddress is a VIP as it sits on lo.
func shadowAddress(addr netip.Addr, lifetime time.Duration) *netlink.Addr {
	seconds := int(lifetime / time.Second)
	a := &netlink.Addr{
		IPNet: single(addr), LinkIndex: loopback, Scope: unix.RT_SCOPE_HOST,
		Flags: unix.IFA_F_NOPREFIXROUTE, ValidLft: seconds, PreferedLft: seconds,
	}
	if addr.Is6() {
		a.Scope = unix.RT_SCOPE_UNIVERSE
		a.Flags |= unix.IFA_F_NODAD
		a.PreferedLft = 0
	}
	return a
}

// late returns ErrDeadline after the deadline.
func (f *Flow) late(deadline time.Time) error {
	if !deadline.IsZero() && !f.now().Before(deadline) {
		return ErrDeadline
	}
	return nil
}
