package vip

import (
	"encoding/binary"
	"net/netip"
)

const (
	protocolTCP = 6
	tcpLength   = 20 // without options
	tcpWindow   = 1024

	// segmentHops is an ordinary sender's: a lower one could be taken for that of
	// a packet which a node has passed on.
	segmentHops = 64

	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// segment is a TCP segment without options and data, and where it goes. Both
// addresses are of one family.
type segment struct {
	src, dst netip.AddrPort
	sequence uint32
	ack      uint32
	flags    uint8
}

// packet is the segment in an IP packet of its family.
func (s segment) packet() []byte {
	tcp := s.header()
	src, dst := s.src.Addr(), s.dst.Addr()
	if src.Is4() {
		return append(ipv4Header(src, dst, protocolTCP, segmentHops, len(tcp)), tcp...)
	}
	return append(ipv6Header(src, dst, protocolTCP, segmentHops, len(tcp)), tcp...)
}

// header is the TCP header, RFC 9293 3.1.
func (s segment) header() []byte {
	b := make([]byte, tcpLength)
	binary.BigEndian.PutUint16(b, s.src.Port())
	binary.BigEndian.PutUint16(b[2:], s.dst.Port())
	binary.BigEndian.PutUint32(b[4:], s.sequence)
	binary.BigEndian.PutUint32(b[8:], s.ack)
	b[12] = tcpLength / 4 << 4
	b[13] = s.flags
	if s.flags&flagRST == 0 {
		binary.BigEndian.PutUint16(b[14:], tcpWindow)
	}
	sum := transportChecksum(s.src.Addr().AsSlice(), s.dst.Addr().AsSlice(), protocolTCP, b)
	binary.BigEndian.PutUint16(b[16:], sum)
	return b
}

// ipv4Header is the header of an IPv4 packet that carries so many bytes of a
// protocol. The packet must not be fragmented, so its identification says nothing
// and is 0 (RFC 6864 4.1).
func ipv4Header(src, dst netip.Addr, protocol, ttl uint8, length int) []byte {
	const dontFragment = 0x4000
	b := make([]byte, ipv4Length, ipv4Length+length)
	b[0] = 4<<4 | ipv4Length/4
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Length+length)) //nolint:gosec // some tens of bytes
	binary.BigEndian.PutUint16(b[6:], dontFragment)
	b[8] = ttl
	b[9] = protocol
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], internetChecksum(0, b))
	return b
}

// parseSegment reads the IP packet of an Ethernet frame that carries the header
// of a TCP segment. Checksums are not looked at: the kernel hands on frames from
// virtual interfaces before their TCP checksum is filled in. Behind an extension
// header of IPv6 nothing is looked for, because no host puts one into an answer
// to a SYN. It allocates nothing.
func parseSegment(frame []byte) (segment, bool) {
	if len(frame) < ethernetLength {
		return segment{}, false
	}
	b := frame[ethernetLength:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherTypeIPv4:
		return parseIPv4Segment(b)
	case etherTypeIPv6:
		return parseIPv6Segment(b)
	}
	return segment{}, false
}

func parseIPv4Segment(b []byte) (segment, bool) {
	const moreOrOffset = 0x3fff
	if len(b) < ipv4Length || b[0]>>4 != 4 || b[9] != protocolTCP || binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0 {
		return segment{}, false
	}
	header, total := 4*int(b[0]&0x0f), int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4Length || total < header || total > len(b) {
		return segment{}, false
	}
	return parseTCP(netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[header:total])
}

func parseIPv6Segment(b []byte) (segment, bool) {
	if len(b) < ipv6Length || b[0]>>4 != 6 || b[6] != protocolTCP {
		return segment{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length > len(b)-ipv6Length {
		return segment{}, false
	}
	return parseTCP(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[ipv6Length:ipv6Length+length])
}

// parseTCP reads a TCP header; options and data behind it are not looked at.
func parseTCP(src, dst netip.Addr, b []byte) (segment, bool) {
	if len(b) < tcpLength {
		return segment{}, false
	}
	if offset := 4 * int(b[12]>>4); offset < tcpLength || offset > len(b) {
		return segment{}, false
	}
	return segment{
		src:      netip.AddrPortFrom(src, binary.BigEndian.Uint16(b)),
		dst:      netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:])),
		sequence: binary.BigEndian.Uint32(b[4:]),
		ack:      binary.BigEndian.Uint32(b[8:]),
		flags:    b[13],
	}, true
}
