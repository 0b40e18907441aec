package vip

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
)

// knock is one attempt to open a TCP connection without ever having one: what is
// sent, and what counts as its answer.
type knock struct {
	mac      net.HardwareAddr // this interface's
	station  net.HardwareAddr // whom it is sent to
	from     netip.AddrPort
	to       netip.AddrPort
	sequence uint32
}

// reply is what the other side says to a knock.
type reply uint8

const (
	noReply reply = iota
	portOpen
	portClosed
)

// introduction is the frame that tells the station where its answer goes: an
// ordinary question for the destination, as every host asks before it connects,
// but to the station alone. Without it, the station might have to ask where the
// knock's source is, and would ask in the name of the VIP. A host that has the VIP
// itself does not answer that: the question's sender is its own address.
func (k knock) introduction() ([]byte, error) {
	ask := question
	if k.to.Addr().Is4() {
		ask = arpRequest // with a sender, which a probe has not
	}
	frame, err := ask(k.mac, k.from.Addr(), k.to.Addr())
	if err != nil {
		return nil, err
	}
	copy(frame, k.station)
	return frame, nil
}

// syn is the frame that knocks.
func (k knock) syn() []byte {
	return k.frame(segment{src: k.from, dst: k.to, sequence: k.sequence, flags: flagSYN})
}

// farewell is the frame that ends what syn began. It is what a host sends that
// knows nothing of the SYN which it is given an answer to (RFC 9293 3.10.7.1): a
// reset with the number that the other side expects next. A half-open connection
// ends by it, also one whose SYN-ACK never arrived; where there is none, it is
// ignored.
func (k knock) farewell() []byte {
	return k.frame(segment{src: k.from, dst: k.to, sequence: k.sequence + 1, flags: flagRST})
}

func (k knock) frame(s segment) []byte {
	return ethernetFrame(k.station, k.mac, k.etherType(), s.packet())
}

func (k knock) etherType() uint16 {
	if k.to.Addr().Is4() {
		return etherTypeIPv4
	}
	return etherTypeIPv6
}

// reply reads a frame. What acknowledges the knock's random number was sent by
// somebody who got the knock, and only the station was sent it. The answer's own
// Ethernet source is often another one: VRRP's virtual MAC answers questions while
// packets leave from the interface's, and bonds have several. It only must not be
// this interface's.
func (k knock) reply(frame []byte) reply {
	s, ok := parseSegment(frame)
	if !ok || bytes.Equal(frame[macLength:2*macLength], k.mac) || s.src != k.to || s.dst != k.from || s.ack != k.sequence+1 {
		return noReply
	}
	// RFC 9293 3.10.7.3, the state SYN-SENT: a reset counts only if it
	// acknowledges the SYN.
	switch s.flags & (flagSYN | flagRST | flagACK) {
	case flagSYN | flagACK:
		return portOpen
	case flagRST | flagACK:
		return portClosed
	}
	return noReply
}

// filter lets pass the TCP segments from the knock's destination to its source,
// so that a busy interface does not wake this process.
func (k knock) filter() []bpf.Instruction {
	ports := uint32(k.to.Port())<<16 | uint32(k.from.Port())
	b := &conjunction{}
	if k.to.Addr().Is4() {
		b.demand(bpf.LoadAbsolute{Off: ethernetLength + 9, Size: 1}, protocolTCP)
		b.demandAddress(ethernetLength+12, k.to.Addr())
		b.demandAddress(ethernetLength+16, k.from.Addr())
		b.load(bpf.LoadMemShift{Off: ethernetLength}) // the header's length, with options
		b.demand(bpf.LoadIndirect{Off: ethernetLength, Size: 4}, ports)
	} else {
		b.demand(bpf.LoadAbsolute{Off: ethernetLength + 6, Size: 1}, protocolTCP)
		b.demandAddress(ethernetLength+8, k.to.Addr())
		b.demandAddress(ethernetLength+24, k.from.Addr())
		b.demand(bpf.LoadAbsolute{Off: ethernetLength + ipv6Length, Size: 4}, ports)
	}
	return b.filter()
}

// conjunction is a packet filter that lets pass what meets every demand.
type conjunction struct{ program []bpf.Instruction }

func (c *conjunction) load(i bpf.Instruction) { c.program = append(c.program, i) }

// demand wants what is loaded to have the value.
func (c *conjunction) demand(load bpf.Instruction, value uint32) {
	c.program = append(c.program, load,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1},
		bpf.RetConstant{Val: 0})
}

// demandAddress wants an address at an offset.
func (c *conjunction) demandAddress(at uint32, addr netip.Addr) {
	for b := addr.AsSlice(); len(b) > 0; b, at = b[4:], at+4 {
		c.demand(bpf.LoadAbsolute{Off: at, Size: 4}, binary.BigEndian.Uint32(b))
	}
}

func (c *conjunction) filter() []bpf.Instruction {
	return append(c.program, bpf.RetConstant{Val: captureLength})
}
