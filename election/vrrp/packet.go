package vrrp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Protocol is the IP protocol number of VRRP (RFC 9568 5.1.1.4).
const Protocol = 112

// TTL is the only IPv4 time to live and IPv6 hop limit of a valid advert
// (RFC 9568 5.1.1.3, 5.1.2.3): it proves that no router forwarded it.
const TTL = 255

const (
	typeAdvert    = 1
	headerLength  = 8
	centisecond   = 10 * time.Millisecond
	maxIntervalCs = 0x0fff
	// authLength is the authentication data that ends a version 2 advert
	// (RFC 3768 5.3.10); authNone and authSimple are its kinds (RFC 2338 5.3.6:
	// RFC 3768 took the second one back, keepalived still has it as PASS).
	authLength = 8
	authNone   = 0
	authSimple = 1
)

// MulticastIPv4 and MulticastIPv6 are the groups that adverts are sent to
// (RFC 9568 5.1.1.2, 5.1.2.2).
var (
	MulticastIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	MulticastIPv6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// Reasons to discard an advert. Their texts are also the label values of the
// discard metric.
var (
	ErrTTL      = errors.New("ttl")
	ErrVersion  = errors.New("version")
	ErrType     = errors.New("type")
	ErrLength   = errors.New("length")
	ErrCount    = errors.New("count")
	ErrChecksum = errors.New("checksum")
	ErrVRID     = errors.New("vrid")
	ErrInterval = errors.New("interval")
	// ErrAuth: an authentication of version 2 other than none or a password.
	ErrAuth = errors.New("auth")
)

// Version is that of the protocol.
type Version uint8

const (
	// Version3 is RFC 9568's.
	Version3 Version = iota
	// Version2 is RFC 3768's, for IPv4 only.
	Version2
)

// number is the version as it stands on the wire.
func (v Version) number() byte {
	if v == Version2 {
		return 2
	}
	return 3
}

// Password is the simple text password of version 2 (RFC 2338 5.3.10), shorter
// ones filled up with zeros; the zero value is none. It travels in the clear:
// it keeps groups apart, not attackers out.
type Password [authLength]byte

// Checksum is the form of the checksum of a VRRPv3 advert over IPv4. Over IPv6
// there is only one: with the pseudo-header of RFC 8200 8.1.
type Checksum uint8

const (
	// MessageOnly covers the VRRP message (RFC 9568 5.2.8; Cisco, Juniper).
	MessageOnly Checksum = iota
	// PseudoHeader covers an IPv4 pseudo-header too (keepalived and FRR, by
	// default).
	PseudoHeader
	// GroupPseudoHeader has the multicast group in the pseudo-header though the
	// advert goes to a peer (keepalived up to 1.3.6, and later ones with
	// old_unicast_checksum).
	GroupPseudoHeader
)

// Packet is an advertisement (RFC 9568 5.2, RFC 3768 5.3).
type Packet struct {
	Version Version
	// VRID is the virtual router identifier, 1 to 255.
	VRID uint8
	// Priority is the sender's priority byte; 0 means that it resigns.
	Priority uint8
	// Interval is Max Advertise Interval: 10 ms to 40.95 s in steps of 10 ms.
	// Version 2: 1 s to 255 s in whole seconds.
	Interval time.Duration
	// Addresses are the virtual router's, all of the family of the IP header.
	Addresses []netip.Addr
	// Checksum is the form that was found by Parse or is wanted of Append.
	// Version 2 knows MessageOnly.
	Checksum Checksum
	// Password is for version 2 only.
	Password Password
}

// Parse reads an advert out of a frame. It keeps p.Addresses' memory for reuse,
// so it does not allocate once that has grown. The error is one of the Err
// values of this package (RFC 9568 7.1); p is then unspecified. Bytes behind
// the last address are covered by the checksum and otherwise ignored.
func Parse(f *Frame, p *Packet) error {
	if f.TTL != TTL {
		return ErrTTL
	}
	b := f.Payload
	if len(b) < headerLength {
		return ErrLength
	}
	version, ok := versionOf(b[0]>>4, f.Src)
	if !ok {
		return ErrVersion
	}
	if b[0]&0x0f != typeAdvert {
		return ErrType
	}
	size := addressSize(f.Src)
	count := int(b[3])
	if count == 0 {
		return ErrCount
	}
	end := headerLength + count*size
	if len(b) < end || version == Version2 && len(b) < end+authLength {
		return ErrLength
	}
	form, ok := findChecksum(b, f.Src, f.Dst)
	if !ok || version == Version2 && form != MessageOnly {
		return ErrChecksum
	}
	if b[1] == 0 {
		return ErrVRID
	}
	p.Version, p.VRID, p.Priority, p.Checksum = version, b[1], b[2], form
	p.Interval, p.Password = intervalOf(version, b), Password{}
	if p.Interval == 0 {
		return ErrInterval
	}
	if version == Version2 && !p.readPassword(b[4], b[end:]) {
		return ErrAuth
	}
	p.Addresses = p.Addresses[:0]
	for at := headerLength; at < end; at += size {
		a, _ := netip.AddrFromSlice(b[at : at+size])
		p.Addresses = append(p.Addresses, a)
	}
	return nil
}

// versionOf tells the version that is spoken over the family of src.
func versionOf(number byte, src netip.Addr) (v Version, ok bool) {
	switch {
	case number == 3:
		return Version3, true
	case number == 2 && src.Is4():
		return Version2, true
	}
	return 0, false
}

// intervalOf reads 12 bits of centiseconds (RFC 9568 5.2.7), or one byte of
// seconds (RFC 3768 5.3.7).
func intervalOf(v Version, b []byte) time.Duration {
	if v == Version2 {
		return time.Duration(b[5]) * time.Second
	}
	return time.Duration(binary.BigEndian.Uint16(b[4:])&maxIntervalCs) * centisecond
}

// readPassword reads the authentication data of a version 2 advert. Without
// authentication they are ignored (RFC 3768 5.3.10). A simple password of
// nothing but zeros would be taken for none, so it is refused.
func (p *Packet) readPassword(kind byte, data []byte) bool {
	switch kind {
	case authNone:
		return true
	case authSimple:
		copy(p.Password[:], data)
		return p.Password != Password{}
	}
	return false
}

// Append appends the advert as sent from src to dst. Addresses must be 1 to
// 255 of src's family, because the count is one byte (RFC 9568 5.2.5), IPv4 ones
// in version 2, and Interval in its range.
func (p *Packet) Append(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = append(b, p.Version.number()<<4|typeAdvert, p.VRID, p.Priority, byte(len(p.Addresses)))
	b = p.appendInterval(b)
	b = append(b, 0, 0)
	for _, a := range p.Addresses {
		if a.Is4() {
			a4 := a.As4()
			b = append(b, a4[:]...)
			continue
		}
		a16 := a.As16()
		b = append(b, a16[:]...)
	}
	if p.Version == Version2 {
		b = append(b, p.Password[:]...)
	}
	message := b[start:]
	sum := sumBytes(0, message)
	switch {
	case src.Is6() || p.Checksum == PseudoHeader && p.Version == Version3:
		sum = sumPseudoHeader(sum, src, dst, len(message))
	case p.Checksum == GroupPseudoHeader && p.Version == Version3:
		sum = sumPseudoHeader(sum, src, MulticastIPv4, len(message))
	}
	binary.BigEndian.PutUint16(message[6:], ^fold(sum))
	return b
}

// appendInterval appends the interval and, in version 2, the kind of
// authentication before it.
func (p *Packet) appendInterval(b []byte) []byte {
	if p.Version == Version3 {
		return binary.BigEndian.AppendUint16(b, uint16(p.Interval/centisecond)) //nolint:gosec // 12 bits, see above
	}
	kind := byte(authNone)
	if p.Password != (Password{}) {
		kind = authSimple
	}
	return append(b, kind, byte(p.Interval/time.Second))
}

func addressSize(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 16
}

// findChecksum tells which form the message's checksum has. A sum that includes
// a right checksum is all ones (RFC 1071).
func findChecksum(message []byte, src, dst netip.Addr) (Checksum, bool) {
	sum := sumBytes(0, message)
	if src.Is4() && fold(sum) == 0xffff {
		return MessageOnly, true
	}
	if fold(sumPseudoHeader(sum, src, dst, len(message))) == 0xffff {
		return PseudoHeader, true
	}
	if src.Is4() && fold(sumPseudoHeader(sum, src, MulticastIPv4, len(message))) == 0xffff {
		return GroupPseudoHeader, true
	}
	return 0, false
}

// sumPseudoHeader adds the pseudo-header. Its fields sum to the same in both
// families (RFC 8200 8.1; RFC 793 3.1 for IPv4).
func sumPseudoHeader(sum uint32, src, dst netip.Addr, length int) uint32 {
	for _, a := range [2]netip.Addr{src, dst} {
		if a.Is4() {
			a4 := a.As4()
			sum = sumBytes(sum, a4[:])
			continue
		}
		a16 := a.As16()
		sum = sumBytes(sum, a16[:])
	}
	return sum + Protocol + uint32(length) //nolint:gosec // a packet is shorter than 64 KiB
}

func sumBytes(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
