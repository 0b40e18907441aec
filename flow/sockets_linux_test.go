package flow

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// states counts the TCP sockets of a node's port by state.
func (n *node) states(port uint16) map[State]int {
	n.t.Helper()
	all, err := n.flow.diag.serving(port)
	if err != nil {
		n.t.Fatal(err)
	}
	count := map[State]int{}
	for _, e := range all {
		count[e.state]++
	}
	return count
}

// count is what Connections tells.
func (n *node) count(addrs []netip.Addr, port uint16) Connections {
	n.t.Helper()
	c, err := n.flow.Connections(n.t.Context(), addrs, port)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// retransmissions is how often a connection had to send something again.
func retransmissions(t *testing.T, conn *net.TCPConn) uint32 {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var infoErr error
	if err := raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil || infoErr != nil {
		t.Fatal(err, infoErr)
	}
	return info.Total_retrans
}

// abort closes a connection with a reset, which leaves no state behind.
func abort(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	if err := errors.Join(conn.SetLinger(0), conn.Close()); err != nil {
		t.Fatal(err)
	}
}
