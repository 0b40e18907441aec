package rawsock

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// Kinds of packets as the link layer saw them (packet(7), sll_pkttype).
const (
	packetHost      = 0
	packetMulticast = 2
)

const (
	// dropPacket is a filter's answer to a packet that is not wanted.
	dropPacket = 0
	// keepPacket lets a packet through at any length: cutting it would hide
	// that it was too long.
	keepPacket = 1<<32 - 1
)

// filter assembles the program by which the kernel chooses what to queue:
// protocol 112, addressed to this station or to a group. Out go frames for
// other stations (a promiscuous interface), broadcasts (no advert is one), and
// this node's own multicasts looped back by the kernel. Fragments of adverts
// pass, to be counted. Offsets count from the IP header.
func filter(ipv6 bool) ([]bpf.RawInstruction, error) {
	program := append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: packetHost, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: packetMulticast, SkipTrue: 1},
		bpf.RetConstant{Val: dropPacket},
	}, protocolTest(ipv6)...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return raw, nil
}

// protocolTest keeps protocol 112 and drops the rest.
func protocolTest(ipv6 bool) []bpf.Instruction {
	if !ipv6 {
		return []bpf.Instruction{
			bpf.LoadAbsolute{Off: 9, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipFalse: 1},
			bpf.RetConstant{Val: keepPacket},
			bpf.RetConstant{Val: dropPacket},
		}
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ipv6Fragment, SkipFalse: 3},
		bpf.LoadAbsolute{Off: ipv6Header, Size: 1}, // what the fragment header says follows
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipFalse: 1},
		bpf.RetConstant{Val: keepPacket},
		bpf.RetConstant{Val: dropPacket},
	}
}
