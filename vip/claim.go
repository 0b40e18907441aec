package vip

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// Claim is another station's word that it has a watched address.
type Claim struct {
	Interface string
	Addr      netip.Addr
	// MAC is the link-layer address that the claim names for Addr.
	MAC net.HardwareAddr
	// Tentative: the station is only about to take the address (duplicate
	// address detection, RFC 4862 5.4); the kernel of the holder answers it, and
	// it should give up.
	Tentative bool
}

// assertion is what one frame says about who has an address.
type assertion struct {
	addr      netip.Addr
	mac       [macLength]byte
	tentative bool
}

// Kinds of ICMPv6 messages and their fixed lengths, RFC 4861 4.3 and 4.4.
const (
	typeNeighbourSolicitation  = 135
	typeNeighbourAdvertisement = 136
	neighbourLength            = 24
	optionTargetLinkLayer      = 2
)

// parseAssertion reads an untagged Ethernet frame. It answers false for a frame
// that is malformed or that claims nothing. It allocates nothing.
func parseAssertion(frame []byte) (assertion, bool) {
	if len(frame) < ethernetLength {
		return assertion{}, false
	}
	payload := frame[ethernetLength:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherTypeARP:
		return parseARP(payload)
	case etherTypeIPv6:
		return parseNeighbourDiscovery([macLength]byte(frame[6:12]), payload)
	}
	return assertion{}, false
}

// parseARP takes the sender of any ARP packet for the one who says it has the
// sender address (RFC 5227 1.1 and 2.4). A probe has no sender address and
// claims nothing.
func parseARP(b []byte) (assertion, bool) {
	// Ethernet (1) and IPv4, of their lengths 6 and 4 (RFC 826).
	fixed := [...]byte{0, 1, etherTypeIPv4 >> 8, etherTypeIPv4 & 0xff, macLength, 4}
	if len(b) < arpLength || !bytes.Equal(b[:6], fixed[:]) {
		return assertion{}, false
	}
	if op := binary.BigEndian.Uint16(b[6:]); op != 1 && op != 2 {
		return assertion{}, false
	}
	a := assertion{
		addr: netip.AddrFrom4([4]byte(b[14:18])),
		mac:  [macLength]byte(b[8:14]),
	}
	return a, !a.addr.IsUnspecified() && isStation(a.mac)
}

// parseNeighbourDiscovery reads an IPv6 packet: the target of a neighbour
// advertisement is claimed by the link-layer address in its option, or else by
// the frame's sender; a solicitation from the unspecified address is the
// sender's tentative claim. Packets are validated as RFC 4861 7.1.1 and 7.1.2
// demand. Behind an extension header nothing is looked for: no implementation
// sends one there, and RFC 6980 forbids the fragment header.
func parseNeighbourDiscovery(sender [macLength]byte, b []byte) (assertion, bool) {
	if len(b) < ipv6Length+neighbourLength || b[0]>>4 != 6 || b[6] != nextHeaderICMPv6 || b[7] != hopLimit {
		return assertion{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < neighbourLength || length > len(b)-ipv6Length {
		return assertion{}, false
	}
	src, dst := [16]byte(b[8:24]), [16]byte(b[24:40])
	message := b[ipv6Length : ipv6Length+length]
	if message[1] != 0 || icmpv6Checksum(src, dst, message) != 0 {
		return assertion{}, false
	}
	option, ok := targetLinkLayer(message[neighbourLength:])
	if !ok {
		return assertion{}, false
	}
	a := assertion{addr: netip.AddrFrom16([16]byte(message[8:24])), mac: sender}
	switch message[0] {
	case typeNeighbourAdvertisement:
		if option != nil {
			a.mac = [macLength]byte(option)
		}
	case typeNeighbourSolicitation:
		if !netip.AddrFrom16(src).IsUnspecified() {
			return assertion{}, false
		}
		a.tentative = true
	default:
		return assertion{}, false
	}
	unicast := !a.addr.IsMulticast() && !a.addr.IsUnspecified() && !a.addr.Is4In6()
	return a, unicast && isStation(a.mac)
}

// targetLinkLayer finds the Ethernet address in the options of a neighbour
// advertisement. It answers false when an option is malformed: RFC 4861 7.1.2
// has the whole packet dropped then.
func targetLinkLayer(options []byte) (mac []byte, ok bool) {
	for len(options) > 0 {
		if len(options) < 8 {
			return nil, false
		}
		length := 8 * int(options[1])
		if length == 0 || length > len(options) {
			return nil, false
		}
		if options[0] == optionTargetLinkLayer && length == 8 {
			mac = options[2:8]
		}
		options = options[length:]
	}
	return mac, true
}

// isStation tells whether mac can be one station's own: neither a group address
// nor zero.
func isStation(mac [macLength]byte) bool {
	return mac[0]&1 == 0 && mac != [macLength]byte{}
}
