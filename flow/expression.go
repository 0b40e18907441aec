package flow

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The kernel's registers: a value alone sits in the first one of 16 bytes, a
// second one in the next, and the parts of a key in those of 4 bytes, which are
// the same memory (linux/netfilter/nf_tables.h).
const (
	registerA   = unix.NFT_REG_1
	registerB   = unix.NFT_REG_2
	registerKey = unix.NFT_REG32_00
)

// field is something of a packet that can be loaded into a register.
type field struct {
	width uint32
	load  func(register uint32) expr.Any
}

func network(offset, width uint32) field {
	return payload(expr.PayloadBaseNetworkHeader, offset, width)
}

// transport loads only after the protocol was matched.
func transport(offset, width uint32) field {
	return payload(expr.PayloadBaseTransportHeader, offset, width)
}

func payload(base expr.PayloadBase, offset, width uint32) field {
	return field{width, func(register uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: width}
	}}
}

func meta(key expr.MetaKey, width uint32) field {
	return field{width, func(register uint32) expr.Any { return &expr.Meta{Key: key, Register: register} }}
}

func incoming() field { return meta(expr.MetaKeyIIF, 4) }
func outgoing() field { return meta(expr.MetaKeyOIF, 4) }
func sport() field    { return transport(0, 2) }
func dport() field    { return transport(2, 2) }

// fields loads a key: each part into whole registers.
func fields(parts ...field) []expr.Any {
	register := uint32(registerKey)
	loads := make([]expr.Any, 0, len(parts)+1)
	for _, p := range parts {
		loads = append(loads, p.load(register))
		register += (p.width + 3) / 4
	}
	return loads
}

// The functions below are statements of a rule.

func rule(statements ...[]expr.Any) []expr.Any { return slices.Concat(statements...) }

func compare(f field, op expr.CmpOp, data ...byte) []expr.Any {
	return []expr.Any{f.load(registerA), &expr.Cmp{Op: op, Register: registerA, Data: data}}
}

func protocol(number byte) []expr.Any {
	return compare(meta(expr.MetaKeyL4PROTO, 1), expr.CmpOpEq, number)
}

func in(set string, key ...field) []expr.Any {
	return append(fields(key...), &expr.Lookup{SourceRegister: registerKey, SetName: set})
}

func notIn(set string, key ...field) []expr.Any {
	return append(fields(key...), &expr.Lookup{SourceRegister: registerKey, SetName: set, Invert: true})
}

// update puts the key into a dynamic set, or lets its time start anew; with
// counter it counts there. When the set is full the rule ends here.
func update(set string, counter bool, key ...field) []expr.Any {
	d := &expr.Dynset{SrcRegKey: registerKey, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE}
	if counter {
		d.Exprs = []expr.Any{&expr.Counter{}}
	}
	return append(fields(key...), d)
}

// socket matches a local socket for the packet. Wildcard matches full sockets
// only; a listener bound to no address has 1, a connection has 0. Transparent
// matches connections that are opening or in TIME_WAIT too.
func socket(key expr.SocketKey, value byte) []expr.Any {
	return []expr.Any{
		&expr.Socket{Key: key, Register: registerA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerA, Data: []byte{value}},
	}
}

// opening matches the first packet of a connection: SYN without RST and ACK.
func opening() []expr.Any { return flags(expr.CmpOpEq) }

// notOpening matches all others.
func notOpening() []expr.Any { return flags(expr.CmpOpNeq) }

func flags(op expr.CmpOp) []expr.Any {
	const syn, rst, ack = 0x02, 0x04, 0x10
	return []expr.Any{
		transport(13, 1).load(registerA),
		&expr.Bitwise{SourceRegister: registerA, DestRegister: registerA, Len: 1, Mask: []byte{syn | rst | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: registerA, Data: []byte{syn}},
	}
}

// dup sends a copy to the next hop that a map has for the destination, out of
// its VIP's interface. A destination that the map does not have ends the rule.
func dup(hops string, daddr field) []expr.Any {
	return []expr.Any{
		daddr.load(registerA),
		&expr.Lookup{SourceRegister: registerA, DestRegister: registerA, IsDestRegSet: true, SetName: hops},
		daddr.load(registerB),
		&expr.Lookup{SourceRegister: registerB, DestRegister: registerB, IsDestRegSet: true, SetName: mapOut},
		&expr.Dup{RegAddr: registerA, RegDev: registerB, IsRegDevSet: true},
	}
}

// fromHere matches a source that is one of this host's addresses.
func fromHere() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: registerA, ResultADDRTYPE: true, FlagSADDR: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerA, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
	}
}

func verdict(kind expr.VerdictKind, chain ...string) []expr.Any {
	v := &expr.Verdict{Kind: kind}
	if len(chain) > 0 {
		v.Chain = chain[0]
	}
	return []expr.Any{v}
}

func jump(chain string) []expr.Any { return verdict(expr.VerdictJump, chain) }
func goOn(chain string) []expr.Any { return verdict(expr.VerdictGoto, chain) }
func drop() []expr.Any             { return verdict(expr.VerdictDrop) }

// local ends the jump: the packet goes on into this host.
func local() []expr.Any { return verdict(expr.VerdictReturn) }

// headers is where a family has its fields.
type headers struct {
	family     nftables.TableFamily
	address    nftables.SetDatatype
	source     field
	target     field
	ttl        field
	icmp       byte
	icmpType   nftables.SetDatatype
	icmpErrors []byte
	stamp      func(ttl byte) []expr.Any
}

// headers4 is RFC 791 and RFC 792.
func headers4() headers {
	return headers{
		family: nftables.TableFamilyIPv4, address: nftables.TypeIPAddr,
		source: network(12, 4), target: network(16, 4), ttl: network(8, 1),
		icmp: unix.IPPROTO_ICMP, icmpType: nftables.TypeICMPType, icmpErrors: []byte{3, 11, 12},
		stamp: func(ttl byte) []expr.Any {
			// The checksum is over 16 bits, so the protocol beside it is written too.
			return []expr.Any{
				network(8, 2).load(registerA),
				&expr.Bitwise{SourceRegister: registerA, DestRegister: registerA, Len: 2, Mask: []byte{0x00, 0xff}, Xor: []byte{ttl, 0}},
				&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: registerA, Base: expr.PayloadBaseNetworkHeader,
					Offset: 8, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: 10},
			}
		},
	}
}

// headers6 is RFC 8200 and RFC 4443.
func headers6() headers {
	return headers{
		family: nftables.TableFamilyIPv6, address: nftables.TypeIP6Addr,
		source: network(8, 16), target: network(24, 16), ttl: network(7, 1),
		icmp: unix.IPPROTO_ICMPV6, icmpType: nftables.TypeICMP6Type, icmpErrors: []byte{1, 2, 3, 4},
		stamp: func(ttl byte) []expr.Any {
			return []expr.Any{
				&expr.Immediate{Register: registerA, Data: []byte{ttl}},
				&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: registerA, Base: expr.PayloadBaseNetworkHeader,
					Offset: 7, Len: 1},
			}
		},
	}
}
