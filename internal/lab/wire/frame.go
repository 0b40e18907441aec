package wire

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

const (
	macLength   = 6
	etherHeader = 14
	ip6Header   = 40
)

// source is the address from which the question of a turn is asked, in the VIP's
// subnet of a lab.
func source(vip netip.Addr, turn int) netip.Addr {
	b := vip.AsSlice()
	b[len(b)-1] = byte(firstSource + turn)
	if vip.Is6() {
		b[8] = 0xa5 // a place that no host of a lab has
	}
	a, _ := netip.AddrFromSlice(b) // it has the length of an address
	return a
}

// question is the frame that asks from a source who has addr.
func question(mac net.HardwareAddr, from, addr netip.Addr) ([]byte, error) {
	if addr.Is4() {
		p, err := arp.NewPacket(arp.OperationRequest, mac, from, make(net.HardwareAddr, macLength), addr)
		if err != nil {
			return nil, err
		}
		b, err := p.MarshalBinary()
		if err != nil {
			return nil, err
		}
		return frame(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, unix.ETH_P_ARP, b), nil
	}
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		return nil, err
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: addr, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}},
	}, from, group)
	if err != nil {
		return nil, err
	}
	ip := header6(unix.IPPROTO_ICMPV6, 255, from.AsSlice(), group.AsSlice(), len(message)) // RFC 4861 7.1.1: the limit of a neighbour
	g := group.As16()
	return frame(net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]}, mac, unix.ETH_P_IPV6, append(ip, message...)), nil
}

func frame(to, from net.HardwareAddr, etherType uint16, payload []byte) []byte {
	b := append(append(make([]byte, 0, etherHeader+len(payload)), to...), from...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// answer reads who says, and to whom, that it has addr; false: the frame is
// something else.
func answer(frame []byte, addr netip.Addr) (mac net.HardwareAddr, to netip.Addr, ok bool) {
	if len(frame) < etherHeader {
		return nil, to, false
	}
	mac, payload := net.HardwareAddr(frame[macLength:2*macLength]), frame[etherHeader:]
	if addr.Is4() {
		var p arp.Packet
		if p.UnmarshalBinary(payload) != nil || p.Operation != arp.OperationReply || p.SenderIP != addr {
			return nil, to, false
		}
		return mac, p.TargetIP, true
	}
	if len(payload) < ip6Header || payload[6] != unix.IPPROTO_ICMPV6 {
		return nil, to, false
	}
	message, err := ndp.ParseMessage(payload[ip6Header:])
	if err != nil {
		return nil, to, false
	}
	na, isAnswer := message.(*ndp.NeighborAdvertisement)
	to, _ = netip.AddrFromSlice(payload[24:ip6Header])
	return mac, to, isAnswer && na.Solicited && na.TargetAddress == addr
}
