package flow

import (
	"encoding/binary"
	"net/netip"
)

// Trial is a packet that is made to see what this host's filters do to it. It
// never leaves the host.
type Trial struct {
	// Interface is the one that it is to leave by.
	Interface string
	// Src may be anybody's; Dst is no address of this host.
	Src, Dst netip.AddrPort
	// Protocol is that of IP. TCP and UDP have the ports of Src and Dst.
	Protocol uint8
	// Untracked: conntrack is not to see it, like a copy that is passed on.
	Untracked bool
}

// CopyTrial is like what second chance passes on to a node that has a connection
// to vip: the copy of a packet of a client's, who may be anybody.
func CopyTrial(link string, vip netip.AddrPort) Trial {
	const tcp, port = 6, 50000
	from := netip.AddrFrom4([4]byte{198, 51, 100, 1}) // RFC 5737
	if vip.Addr().Is6() {
		from = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}) // RFC 3849
	}
	return Trial{Interface: link, Src: netip.AddrPortFrom(from, port), Dst: vip, Protocol: tcp, Untracked: true}
}

const (
	ipv4Header = 20
	ipv6Header = 40
	trialTTL   = 255
	// trialPayload is enough for the header of TCP.
	trialPayload = 20
)

// packet is the trial's bytes from the IP header on; mark is where the rules know
// it by: the identification of IPv4, the low half of IPv6's flow label.
func (t Trial) packet(mark [2]byte) []byte {
	var header []byte
	if t.Dst.Addr().Is4() {
		header = make([]byte, ipv4Header, ipv4Header+trialPayload)
		header[0] = 4<<4 | ipv4Header/4
		binary.BigEndian.PutUint16(header[2:], ipv4Header+trialPayload)
		copy(header[4:], mark[:])
		header[8], header[9] = trialTTL, t.Protocol
		copy(header[12:], t.Src.Addr().AsSlice())
		copy(header[16:], t.Dst.Addr().AsSlice())
	} else {
		header = make([]byte, ipv6Header, ipv6Header+trialPayload)
		header[0] = 6 << 4
		copy(header[2:], mark[:])
		binary.BigEndian.PutUint16(header[4:], trialPayload)
		header[6], header[7] = t.Protocol, trialTTL
		copy(header[8:], t.Src.Addr().AsSlice())
		copy(header[24:], t.Dst.Addr().AsSlice())
	}
	return append(header, t.transport()...)
}

// transport is what filters read of the transport header. Checksums are left out:
// nobody sees the packet who would look at them.
func (t Trial) transport() []byte {
	const (
		tcp, udp  = 6, 17
		tcpAck    = 0x10
		tcpOffset = 5 << 4
	)
	b := make([]byte, trialPayload)
	if t.Protocol != tcp && t.Protocol != udp {
		return b
	}
	binary.BigEndian.PutUint16(b, t.Src.Port())
	binary.BigEndian.PutUint16(b[2:], t.Dst.Port())
	if t.Protocol == tcp {
		b[12], b[13] = tcpOffset, tcpAck
	} else {
		binary.BigEndian.PutUint16(b[4:], trialPayload)
	}
	return b
}
