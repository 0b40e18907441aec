package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// glance is how often the kernel is asked what was acknowledged.
const glance = time.Millisecond

// touch sends the server a byte and waits until its kernel has it. Before that a
// connection may exist at the client only: with SYN cookies the server's end is
// made of the first packet that arrives after the handshake, and is not there to be
// found. A line's end says the least to a server that nothing is known of.
func touch(ctx context.Context, conn *net.TCPConn) error {
	if _, err := conn.Write([]byte{'\n'}); err != nil {
		return err
	}
	look := time.NewTicker(glance)
	defer look.Stop()
	for {
		pending, err := unacknowledged(conn)
		if err != nil || pending == 0 {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("nothing is heard of the server after the handshake: %w", context.Cause(ctx))
		}
	}
}

// unacknowledged is how many bytes the other side does not have yet (tcp(7),
// SIOCOUTQ).
func unacknowledged(conn *net.TCPConn) (n int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	var asked, told error
	err = raw.Control(func(fd uintptr) {
		n, asked = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		info, told = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, asked, told); err != nil {
		return 0, fmt.Errorf("ask what the server has acknowledged: %w", err)
	}
	const closed = 7 // TCP_CLOSE, net/tcp_states.h
	if info.State == closed {
		return 0, errors.New("the server has reset the connection")
	}
	return n, nil
}
