package flow

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
)

// macLength is that of Ethernet, in bytes.
const macLength = 6

// A node of which only the MAC is known gets an address that nobody else has, for
// this host's neighbour table alone; it is never seen on the wire. IPv6: a
// link-local one that holds the MAC. IPv4: one of the last /24 of link-local
// addresses, which RFC 3927 2.1 keeps from being assigned.

func reserved4() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 255, 0}), 24)
}

func reserved6() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 8: 'v', 9: 'd'}), 80)
}

// station is a MAC on an interface, for one family.
type station struct {
	index int
	mac   [macLength]byte
	v6    bool
}

// reservations are the addresses that stand for stations.
type reservations map[station]netip.Addr

// of returns the address that stands for a MAC on an interface, always the same.
func (r reservations) of(index int, mac net.HardwareAddr, v6 bool) (netip.Addr, error) {
	s := station{index, [macLength]byte(mac), v6}
	if addr, ok := r[s]; ok {
		return addr, nil
	}
	if v6 {
		b := reserved6().Addr().As16()
		copy(b[10:], mac)
		r[s] = netip.AddrFrom16(b)
		return r[s], nil
	}
	// One address has one route, so it stands for one station on one interface.
	taken := map[netip.Addr]bool{}
	for _, addr := range r {
		taken[addr] = true
	}
	for addr := reserved4().Addr().Next(); reserved4().Contains(addr.Next()); addr = addr.Next() {
		if !taken[addr] {
			r[s] = addr
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no reserved address left for %s", mac)
}

// isReserved tells whether a neighbour entry is one of ours, of whatever life.
func isReserved(addr netip.Addr, mac net.HardwareAddr) bool {
	if reserved4().Contains(addr) {
		return true
	}
	b := addr.As16()
	return reserved6().Contains(addr) && bytes.Equal(b[10:], mac)
}
