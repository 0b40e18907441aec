package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/dontwait"
	"github.com/vipd/vipd/peer"
)

// controlSize holds the control messages of a datagram, with room to spare: its
// hop limit and the count of drops, 4 bytes each.
const controlSize = 128

// Ready gets a value when Receive may have hellos, while Run runs. It is never
// closed.
func (s *Socket) Ready() <-chan struct{} { return s.ready }

// Receive reads the next hello into d and reports whether there was one. It
// never blocks. d.Payload belongs to the Socket and is valid until the next
// call. After a value from Ready call Receive until it returns false.
func (s *Socket) Receive(d *peer.Datagram) bool {
	l, ok := s.next()
	if !ok {
		return false
	}
	*d = peer.Datagram{Src: l.src, Interface: s.link.Name, HopLimit: l.hopLimit, Payload: l.bytes[:l.length]}
	return true
}

// Run reads hellos until ctx ends or the Socket is closed; both are a nil error.
// Call it once per Socket.
func (s *Socket) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		// A deadline that has passed wakes the read below. It fails only if the
		// socket is closed, which wakes it as well.
		_ = s.conn.SetReadDeadline(time.Now())
	})
	defer stop()
	r := newReader()
	for l := s.vacant(ctx); l != nil; l = s.vacant(ctx) {
		err := s.fill(ctx, r, l)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive hellos on %s: %w", s.link.Name, err)
		}
		s.put(l)
	}
	return nil
}

// reader is what Run keeps between datagrams.
type reader struct {
	pace pace

	from    unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	into    unix.Iovec
	control [controlSize]byte
	message unix.Msghdr
	length  int
	errno   unix.Errno
	// read does the system call. It is made once: a closure made for each call
	// would be garbage.
	read func(fd uintptr) bool
}

func newReader() *reader {
	r := &reader{}
	r.message.Name = (*byte)(unsafe.Pointer(&r.from)) //nolint:gosec // a system call
	r.message.Iov = &r.into
	r.message.SetIovlen(1)
	r.message.Control = &r.control[0]
	r.read = func(fd uintptr) bool {
		r.message.Namelen = unix.SizeofSockaddrInet6
		r.message.SetControllen(controlSize)
		r.length, r.errno = dontwait.Receive(fd, &r.message)
		return r.errno != unix.EAGAIN
	}
	return r
}

// source is the address of the datagram's sender.
func (r *reader) source() netip.Addr {
	if r.from.Family == unix.AF_INET6 {
		return netip.AddrFrom16(r.from.Addr)
	}
	return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&r.from)).Addr) //nolint:gosec // what the family says
}

// fill reads the next datagram that is not too long into l, at the pace.
func (s *Socket) fill(ctx context.Context, r *reader, l *letter) error {
	for whole := false; !whole; {
		if err := s.rest(ctx, r.pace.wait(time.Now())); err != nil {
			return err
		}
		var err error
		if whole, err = s.read(l, r); err != nil {
			return err
		}
	}
	return nil
}

// vacant waits for an empty letter; nil: Run has to end.
func (s *Socket) vacant(ctx context.Context) *letter {
	select {
	case l := <-s.empty:
		return l
	case <-ctx.Done():
	case <-s.closed:
	}
	return nil
}

// rest waits for d. An error says that Run has to end.
func (s *Socket) rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return net.ErrClosed
	}
}

// read reads one datagram into l and reports whether it is whole.
func (s *Socket) read(l *letter, r *reader) (whole bool, err error) {
	r.into.Base = &l.bytes[0]
	r.into.SetLen(len(l.bytes))
	if err := s.raw.Read(r.read); err != nil {
		return false, err
	}
	if r.errno != 0 {
		return false, os.NewSyscallError("recvmsg", r.errno)
	}
	if r.length > peer.MaxSize {
		s.oversized.Add(1)
		return false, nil
	}
	l.src, l.length, l.hopLimit = r.source(), r.length, 0
	return true, s.describe(l, r.control[:r.message.Controllen])
}

// describe takes the hop limit and the kernel's count of drops out of the
// control messages. A datagram without a hop limit keeps 0, which is refused.
func (s *Socket) describe(l *letter, control []byte) error {
	for len(control) > 0 {
		head, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return fmt.Errorf("read control messages: %w", err)
		}
		control = rest
		if len(data) < 4 {
			continue
		}
		value := binary.NativeEndian.Uint32(data)
		switch {
		case head.Level == unix.IPPROTO_IP && head.Type == unix.IP_TTL,
			head.Level == unix.IPPROTO_IPV6 && head.Type == unix.IPV6_HOPLIMIT:
			l.hopLimit = uint8(value)
		case head.Level == unix.SOL_SOCKET && head.Type == unix.SO_RXQ_OVFL:
			s.overflowed.Store(uint64(value))
		}
	}
	return nil
}
