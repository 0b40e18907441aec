// Package ownaddress chooses an address by which others reach this host, where the
// kernel's choice of a source address is of the other family.
package ownaddress

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// On is the host's best address of a family on a link. VIPs are none of its own.
func On(link netlink.Link, ipv6 bool, isVIP func(netip.Addr) bool) (netip.Addr, error) {
	family, name := unix.AF_INET, "IPv4"
	if ipv6 {
		family, name = unix.AF_INET6, "IPv6"
	}
	list, err := netlink.AddrList(link, family)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	best := choose(list, isVIP)
	if !best.IsValid() {
		return best, fmt.Errorf("%s has no %s address of this host's own that lasts; add one", link.Attrs().Name, name)
	}
	return best, nil
}

// choose takes the first of the best kind: one with a network, a single one (which
// DHCPv6 gives, and other daemons' VIPs are), a temporary one (RFC 8981).
func choose(list []netlink.Addr, isVIP func(netip.Addr) bool) netip.Addr {
	const unfit = unix.IFA_F_DEPRECATED | unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED
	var best netip.Addr
	least := 0
	for _, a := range list {
		addr, _ := netip.AddrFromSlice(a.IP) // none is not global
		addr = addr.Unmap()
		if !addr.IsGlobalUnicast() || a.Flags&unfit != 0 || isVIP(addr) {
			continue
		}
		if r := rank(addr, a); !best.IsValid() || r < least {
			best, least = addr, r
		}
	}
	return best
}

// rank is the kind of an address, the best first. The flag of a temporary address
// is that of a secondary one in IPv4 (linux/if_addr.h).
func rank(addr netip.Addr, a netlink.Addr) int {
	ones, bits := a.Mask.Size()
	switch {
	case addr.Is6() && a.Flags&unix.IFA_F_TEMPORARY != 0:
		return 2
	case ones == bits:
		return 1
	}
	return 0
}
