package vip

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Offsets and lengths of the headers that this package reads and writes.
const (
	ethernetLength = 14
	arpLength      = 28 // Ethernet and IPv4, RFC 826
	ipv4Length     = 20 // without options
	ipv6Length     = 40
	minimumPayload = 46 // IEEE 802.3: shorter payloads are padded
	macLength      = 6

	etherTypeARP  = 0x0806
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd

	nextHeaderICMPv6 = 58

	// hopLimit proves to receivers that no router forwarded the packet
	// (RFC 4861 7.1).
	hopLimit = 255
)

// allNodes is ff02::1, every node on the link (RFC 4291 2.7.1).
var allNodes = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x01})

// broadcast is the Ethernet address of every station.
var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// multicastMAC is the Ethernet address that carries an IPv6 multicast group
// (RFC 2464 7).
func multicastMAC(group netip.Addr) net.HardwareAddr {
	g := group.As16()
	return net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]}
}

// ethernetFrame puts payload behind an Ethernet header, padded to the minimum.
func ethernetFrame(dst, src net.HardwareAddr, etherType uint16, payload []byte) []byte {
	b := make([]byte, ethernetLength+max(len(payload), minimumPayload))
	copy(b, dst)
	copy(b[6:], src)
	binary.BigEndian.PutUint16(b[12:], etherType)
	copy(b[ethernetLength:], payload)
	return b
}

// ipv6Packet puts an ICMPv6 message behind an IPv6 header of hop limit 255.
func ipv6Packet(src, dst netip.Addr, message []byte) []byte {
	return append(ipv6Header(src, dst, nextHeaderICMPv6, hopLimit, len(message)), message...)
}

// ipv6Header is the header of an IPv6 packet that carries so many bytes of a
// protocol (RFC 8200 3).
func ipv6Header(src, dst netip.Addr, protocol, hops uint8, length int) []byte {
	b := make([]byte, ipv6Length, ipv6Length+length)
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(length)) //nolint:gosec // some tens of bytes
	b[6] = protocol
	b[7] = hops
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b
}

// icmpv6Checksum sums an ICMPv6 message and its pseudo-header (RFC 4443 2.3):
// zero over a message whose checksum field is right.
func icmpv6Checksum(src, dst [16]byte, message []byte) uint16 {
	return transportChecksum(src[:], dst[:], nextHeaderICMPv6, message)
}

// transportChecksum sums a message and its pseudo-header, which holds the same
// numbers in IPv4 (RFC 9293 3.1) and IPv6 (RFC 8200 8.1).
func transportChecksum(src, dst []byte, protocol uint8, message []byte) uint16 {
	return internetChecksum(uint32(protocol)+uint32(len(message)), src, dst, message) //nolint:gosec // a packet is shorter than 64 KiB
}

// internetChecksum is the one of RFC 1071 over sum and the parts; each part but
// the last has an even length.
func internetChecksum(sum uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
