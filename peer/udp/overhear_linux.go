package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/peer"
)

const (
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
	udpNumber  = unix.IPPROTO_UDP
)

// Overhear tells the hellos of others that arrive at an interface until ctx ends;
// then it returns nil. It hears them before any filter of this host, also while
// another program has the port. The payload is valid until fn returns.
// CAP_NET_RAW is needed.
func Overhear(ctx context.Context, o Options, fn func(src netip.Addr, payload []byte)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("overhear hellos on %s: %w", o.Interface, err)
		}
	}()
	if o.Port == 0 {
		o.Port = peer.Port
	}
	link, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return err
	}
	etherType, program := unix.ETH_P_IP, portFilter4(o.Port)
	if o.IPv6 {
		etherType, program = unix.ETH_P_IPV6, portFilter6(o.Port)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	// Bound to one EtherType, the socket is not shown what this node sends.
	conn, err := packet.Listen(link, packet.Datagram, etherType, &packet.Config{Filter: raw})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) }) // it fails only when closed
	defer stop()
	buffer := make([]byte, 2*peer.MaxSize)
	for {
		n, _, err := conn.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if src, payload, ok := cutHeaders(buffer[:n], o.IPv6); ok {
			fn(src, payload)
		}
	}
}

// portFilter4 keeps UDP over IPv4 to a port, without pieces of datagrams.
func portFilter4(port uint16) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: udpNumber, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4}, // fragment offset, RFC 791 3.1
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 1},
		bpf.RetConstant{Val: 2 * peer.MaxSize},
		bpf.RetConstant{Val: 0},
	}
}

// portFilter6 keeps UDP over IPv6 to a port; hellos have no extension headers.
func portFilter6(port uint16) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: udpNumber, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ipv6Header + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 1},
		bpf.RetConstant{Val: 2 * peer.MaxSize},
		bpf.RetConstant{Val: 0},
	}
}

// cutHeaders takes the headers of IP and UDP off a packet.
func cutHeaders(b []byte, ipv6 bool) (src netip.Addr, payload []byte, ok bool) {
	if ipv6 {
		if len(b) < ipv6Header+udpHeader {
			return src, nil, false
		}
		src, b = netip.AddrFrom16([16]byte(b[8:24])), b[ipv6Header:]
	} else {
		if len(b) < ipv4Header || len(b) < int(b[0]&0x0f)*4+udpHeader {
			return src, nil, false
		}
		src, b = netip.AddrFrom4([4]byte(b[12:16])), b[int(b[0]&0x0f)*4:]
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < udpHeader || length > len(b) {
		return src, nil, false
	}
	return src, b[udpHeader:length], true
}
