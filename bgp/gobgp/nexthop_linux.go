package gobgp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/ownaddress"
)

// nextHop is where routers send packets for routes of a family. Of the session's
// own family it is left to gobgp, which takes the connection's address; of the
// other one it is an address of the interface that the connection uses.
func nextHop(n bgp.Neighbor, ipv6 bool, isVIP func(netip.Addr) bool) (netip.Addr, error) {
	if n.Address.Is6() == ipv6 {
		if ipv6 {
			return netip.IPv6Unspecified(), nil
		}
		return netip.IPv4Unspecified(), nil
	}
	local, err := localAddress(n)
	if err != nil {
		return netip.Addr{}, err
	}
	link, err := linkOf(local)
	if err != nil {
		return netip.Addr{}, err
	}
	hop, err := ownaddress.On(link, ipv6, isVIP)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("choose the next hop: %w, or a neighbour of that family", err)
	}
	return hop, nil
}

// localAddress is the address from which the neighbour is reached. Nothing is
// sent to find out.
func localAddress(n bgp.Neighbor) (netip.Addr, error) {
	if n.Source.IsValid() {
		return n.Source, nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Address, n.Port)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the way to %s: %w", n.Address, err)
	}
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return local, conn.Close()
}

// linkOf is the interface that has an address.
func linkOf(local netip.Addr) (netlink.Link, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range list {
		if addr, _ := netip.AddrFromSlice(a.IP); addr.Unmap() == local {
			return netlink.LinkByIndex(a.LinkIndex)
		}
	}
	return nil, fmt.Errorf("no interface has %s", local)
}
