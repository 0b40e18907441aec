package vip

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// forever is the lifetime of a permanent address (INFINITY_LIFE_TIME).
const forever = math.MaxUint32

// addressMessage is what this package reads of an RTM_NEWADDR or RTM_DELADDR.
type addressMessage struct {
	Address
	index int
	scope int
}

// parseAddress reads the body of an event, as netlink's AddrList does, whose own
// reader is not exported.
func parseAddress(b []byte) (addressMessage, error) {
	message := nl.DeserializeIfAddrmsg(b)
	attrs, err := nl.ParseRouteAttr(b[message.Len():])
	if err != nil {
		return addressMessage{}, fmt.Errorf("address message: %w", err)
	}
	bits, flags := int(message.Prefixlen), int(message.Flags)
	var local, remote net.IP
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_LOCAL:
			local = attr.Value
		case unix.IFA_ADDRESS:
			remote = attr.Value
		case unix.IFA_FLAGS:
			flags = int(nl.NativeEndian().Uint32(attr.Value))
		}
	}
	switch {
	case local == nil:
		local = remote // IPv6 without a peer tells IFA_ADDRESS only
	case !local.Equal(remote):
		bits = 8 * len(local) // the length belongs to the peer's subnet
	}
	return addressMessage{
		Address: address(local, bits, flags),
		index:   int(message.Index),
		scope:   int(message.Scope),
	}, nil
}

// address puts what the kernel tells into this package's words.
func address(ip net.IP, bits, flags int) Address {
	addr, _ := netip.AddrFromSlice(ip)
	return Address{
		Prefix:     netip.PrefixFrom(addr, bits),
		Finite:     flags&unix.IFA_F_PERMANENT == 0,
		Secondary:  flags&unix.IFA_F_SECONDARY != 0,
		Deprecated: flags&unix.IFA_F_DEPRECATED != 0,
		Tentative:  flags&unix.IFA_F_TENTATIVE != 0,
		DADFailed:  flags&unix.IFA_F_DADFAILED != 0,
	}
}

// state is what events tell of a link, without its addresses. Carrier loss
// clears IFF_LOWER_UP and leaves IFF_UP. Drivers without an operational state
// stay unknown, which is as good as up (RFC 2863 3.1.12).
func state(link *netlink.LinkAttrs) Interface {
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	return Interface{
		Name:  link.Name,
		Index: link.Index,
		MAC:   link.HardwareAddr,
		Up:    link.RawFlags&up == up && (link.OperState == netlink.OperUp || link.OperState == netlink.OperUnknown),
	}
}

// station is the Ethernet address that a link announces or asks with.
func station(link netlink.Link) (net.HardwareAddr, error) {
	a := link.Attrs()
	if a.EncapType != "ether" || len(a.HardwareAddr) != macLength {
		return nil, fmt.Errorf("%s is no Ethernet interface", a.Name)
	}
	return a.HardwareAddr, nil
}

// vipAddress is addr as a VIP. IPv6: no duplicate address detection, which would
// silence the VIP for a second and give it up when the previous holder is still
// heard; and deprecated from the start, so that it is never picked as source.
// IPv4 knows neither.
func vipAddress(addr netip.Addr, lifetime time.Duration) *netlink.Addr {
	valid := int(validLifetime(lifetime))
	vip := &netlink.Addr{
		IPNet:       netlink.NewIPNet(addr.AsSlice()),
		Flags:       unix.IFA_F_NOPREFIXROUTE,
		ValidLft:    valid,
		PreferedLft: valid,
	}
	if addr.Is6() {
		vip.Flags |= unix.IFA_F_NODAD
		vip.PreferedLft = 0
	}
	return vip
}

// validLifetime is the kernel's IFA valid lifetime in whole seconds, rounded
// down: an address must not outlive what was asked for.
func validLifetime(lifetime time.Duration) uint32 {
	if lifetime == 0 {
		return forever
	}
	return uint32(min(lifetime/time.Second, forever-1)) //nolint:gosec // bounded
}
