package vip

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
)

// capture is a kind of frames that is received. Each has a packet socket of its
// own: one for all protocols would have the kernel copy every frame this host
// sends, too.
type capture uint8

const (
	arpPackets capture = iota
	neighbourMessages
)

// listen opens a packet socket on the interface that receives these frames only.
func (c capture) listen(index int) (*packet.Conn, error) {
	var etherType int
	var filter []bpf.Instruction
	switch c {
	case arpPackets:
		etherType, filter = etherTypeARP, arpFilter()
	case neighbourMessages:
		etherType, filter = etherTypeIPv6, neighbourFilter()
	default:
		panic("vip: unhandled capture")
	}
	return listenFor(index, etherType, filter)
}

// listenFor opens a packet socket on the interface that receives the frames of an
// EtherType which the filter lets pass.
func listenFor(index, etherType int, filter []bpf.Instruction) (*packet.Conn, error) {
	program, err := assemble(filter)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, etherType, &packet.Config{Filter: program})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	return conn, nil
}

// interruptAtEnd ends a read under way when ctx ends.
func interruptAtEnd(ctx context.Context, conn *packet.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		// An error here means that the socket is closed, which ends the read too.
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // long ago
	})
}
