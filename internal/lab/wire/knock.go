package wire

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Knocks come from as many ports as there are, one after the other: a SYN whose
// ports are those of an earlier one would be taken for the same SYN, sent again.
const firstPort, ports = 1024, 1<<16 - 1024

const (
	ip4Header = 20 // without options
	tcpHeader = 20
	hops      = 64

	flagSYN, flagRST, flagACK = 0x02, 0x04, 0x10
)

// knock is the frame that begins a TCP connection with a station, whatever that
// says of its addresses.
func knock(station, mac net.HardwareAddr, from netip.Addr, to netip.AddrPort, sequence uint32) []byte {
	return segment(station, mac, from, to, sequence, sequence, flagSYN)
}

// farewell is the frame that ends what a knock began: who waits for more has an open
// connection, and handles the VIP otherwise than one who has none. Where there is
// nothing to end it is ignored.
func farewell(station, mac net.HardwareAddr, from netip.Addr, to netip.AddrPort, sequence uint32) []byte {
	return segment(station, mac, from, to, sequence, sequence+1, flagRST)
}

// segment is a frame with a TCP header of the knock with a sequence number.
func segment(station, mac net.HardwareAddr, from netip.Addr, to netip.AddrPort, of, sequence uint32, flags byte) []byte {
	segment := make([]byte, tcpHeader)
	binary.BigEndian.PutUint16(segment, uint16(firstPort+of%ports)) //nolint:gosec // below 65536
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	binary.BigEndian.PutUint32(segment[4:], sequence)
	segment[12] = tcpHeader / 4 << 4
	segment[13] = flags
	binary.BigEndian.PutUint16(segment[14:], 0xffff) // the window
	src, dst := from.AsSlice(), to.Addr().AsSlice()
	// RFC 9293 3.1: over a pseudo-header, whose sum is the same in both families.
	binary.BigEndian.PutUint16(segment[16:], checksum(unix.IPPROTO_TCP+tcpHeader, src, dst, segment))
	if to.Addr().Is6() {
		return frame(station, mac, unix.ETH_P_IPV6, append(header6(unix.IPPROTO_TCP, hops, src, dst, tcpHeader), segment...))
	}
	ip := make([]byte, ip4Header, ip4Header+tcpHeader)
	ip[0], ip[8], ip[9] = 4<<4|ip4Header/4, hops, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ip[2:], ip4Header+tcpHeader)
	copy(ip[12:], src)
	copy(ip[16:], dst)
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip))
	return frame(station, mac, unix.ETH_P_IP, append(ip, segment...))
}

// opened reads who answers a knock, and the sequence number of the knock; false: the
// frame is something else. A station with a closed port refuses the connection in the
// VIP's name, so it has the VIP as well as one that takes it.
func opened(frame []byte, by netip.AddrPort, to netip.Addr) (mac net.HardwareAddr, sequence uint32, ok bool) {
	if len(frame) < etherHeader {
		return nil, 0, false
	}
	segment, ok := tcp(frame[etherHeader:], by.Addr(), to)
	if !ok || binary.BigEndian.Uint16(segment) != by.Port() {
		return nil, 0, false
	}
	// RFC 9293 3.10.7.3: an answer acknowledges the SYN.
	flags, sequence := segment[13], binary.BigEndian.Uint32(segment[8:])-1
	ok = flags&flagACK != 0 && flags&(flagSYN|flagRST) != 0 && uint32(binary.BigEndian.Uint16(segment[2:])) == firstPort+sequence%ports
	return net.HardwareAddr(frame[macLength : 2*macLength]), sequence, ok
}

// tcp is the TCP segment of a packet from one address to another.
func tcp(packet []byte, from, to netip.Addr) (segment []byte, ok bool) {
	length, protocol, addresses := ip6Header, 6, 8
	if from.Is4() {
		length, protocol, addresses = ip4Header, 9, 12
	}
	if len(packet) < length {
		return nil, false
	}
	if from.Is4() {
		length = int(packet[0]&0x0f) * 4
	}
	n := from.BitLen() / 8
	src, dst := packet[addresses:addresses+n], packet[addresses+n:addresses+2*n]
	if packet[protocol] != unix.IPPROTO_TCP || string(src) != string(from.AsSlice()) || string(dst) != string(to.AsSlice()) || len(packet) < length+tcpHeader {
		return nil, false
	}
	return packet[length:], true
}

// header6 is the header of an IPv6 packet that carries so many bytes of a protocol.
func header6(protocol, hops byte, src, dst []byte, length int) []byte {
	ip := make([]byte, ip6Header, ip6Header+length)
	ip[0], ip[6], ip[7] = 6<<4, protocol, hops
	binary.BigEndian.PutUint16(ip[4:], uint16(length)) //nolint:gosec // tens of bytes
	copy(ip[8:], src)
	copy(ip[24:], dst)
	return ip
}

// checksum is the one of RFC 1071 over a sum and parts of even length.
func checksum(sum uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) > 0; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
