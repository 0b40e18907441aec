package rawsock

import (
	"encoding/binary"
	"net/netip"

	"github.com/vipd/vipd/election/vrrp"
)

const (
	ipv4MinHeader = 20
	ipv4MaxHeader = 60
	ipv6Header    = 40

	// ipv6Fragment is the fragment header's number (RFC 8200 4.5).
	ipv6Fragment = 44

	// maxDatagram is the longest datagram that can hold an advert: the longest
	// IP header, VRRP's 8 bytes and 255 IPv6 addresses (RFC 9568 5.2).
	maxDatagram = ipv4MaxHeader + 8 + 255*16
)

// verdict is what became of a received datagram.
type verdict uint8

const (
	accepted verdict = iota
	// oversized: longer than any advert.
	oversized
	// malformed: the IP header contradicts itself, its checksum, or what was
	// received.
	malformed
	// fragmented: a piece of a datagram; pieces are not put together.
	fragmented
)

// decode reads the IP datagram b into f: addresses, hop limit, and the payload
// without what the link layer padded. It leaves f.MAC alone and f as a whole
// alone unless the datagram is accepted. f.Payload then points into b.
func decode(b []byte, ipv6 bool, f *vrrp.Frame) verdict {
	if ipv6 {
		return decodeIPv6(b, f)
	}
	return decodeIPv4(b, f)
}

// decodeIPv4 does the checks of RFC 1122 3.2.1.1 and 3.2.1.2, because a packet
// socket sees datagrams before the kernel's IP input has judged them.
func decodeIPv4(b []byte, f *vrrp.Frame) verdict {
	if len(b) < ipv4MinHeader || b[0]>>4 != 4 {
		return malformed
	}
	header := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4MinHeader || total < header || len(b) < total {
		return malformed
	}
	if !headerSumValid(b[:header]) || b[9] != protocol {
		return malformed
	}
	// The lower 14 bits are "more fragments" and the offset (RFC 791 3.1).
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return fragmented
	}
	f.Src = netip.AddrFrom4([4]byte(b[12:16]))
	f.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	f.TTL = b[8]
	f.Payload = b[header:total]
	return accepted
}

// decodeIPv6 follows no extension headers: no VRRP router sends any, and a
// chain of them could hide anything.
func decodeIPv6(b []byte, f *vrrp.Frame) verdict {
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return malformed
	}
	if b[6] == ipv6Fragment {
		return fragmented
	}
	end := ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
	if len(b) < end || b[6] != protocol {
		return malformed
	}
	f.Src = netip.AddrFrom16([16]byte(b[8:24]))
	f.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	f.TTL = b[7]
	f.Payload = b[ipv6Header:end]
	return accepted
}

// headerSumValid reports whether the one's complement sum over an IPv4 header,
// its checksum included, is all ones (RFC 1071 section 1). The header's length
// is a multiple of four.
func headerSumValid(header []byte) bool {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return sum == 0xffff
}
