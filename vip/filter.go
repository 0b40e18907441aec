package vip

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// captureLength is how much of a frame reaches user space: more than any ARP
// packet or neighbour message with its usual options needs.
const captureLength = 512

// arpFilter lets pass the ARP requests and replies that have a sender address.
func arpFilter() []bpf.Instruction {
	const operation, senderIP = ethernetLength + 6, ethernetLength + 14
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherTypeARP, SkipTrue: 6},
		bpf.LoadAbsolute{Off: operation, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 2, SkipTrue: 3},
		bpf.LoadAbsolute{Off: senderIP, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: captureLength},
		bpf.RetConstant{Val: 0},
	}
}

// neighbourFilter lets pass neighbour solicitations and advertisements that no
// router forwarded.
func neighbourFilter() []bpf.Instruction {
	const nextHeader, message = ethernetLength + 6, ethernetLength + ipv6Length
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherTypeIPv6, SkipTrue: 6},
		bpf.LoadAbsolute{Off: nextHeader, Size: 2}, // and the hop limit behind it
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nextHeaderICMPv6<<8 | hopLimit, SkipTrue: 4},
		bpf.LoadAbsolute{Off: message, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeNeighbourSolicitation, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeNeighbourAdvertisement, SkipTrue: 1},
		bpf.RetConstant{Val: captureLength},
		bpf.RetConstant{Val: 0},
	}
}

// packetOtherHost is PACKET_OTHERHOST of packet(7).
const packetOtherHost = 3

// forThisHost puts a test in front of filter that drops frames which the kernel
// does not take for this host's. Frames of a VLAN without an interface here are
// among them: the kernel hands them to the packet sockets of the untagged
// interface with the tag cut out, and an address there is another segment's.
// Frames that only promiscuous mode lets in are too.
func forThisHost(filter []bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: packetOtherHost, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, filter...)
}

// assemble translates a filter for the kernel.
func assemble(filter []bpf.Instruction) ([]bpf.RawInstruction, error) {
	raw, err := bpf.Assemble(forThisHost(filter))
	if err != nil {
		return nil, fmt.Errorf("assemble packet filter: %w", err)
	}
	return raw, nil
}
