package rawsock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/internal/dontwait"
)

// receiveBuffer is asked of the kernel, in bytes; it counts whole network
// buffers and doubles what it is asked for (socket(7), SO_RCVBUF). With the
// 4 KiB that some drivers use for the smallest packet this is 1000 adverts, 10 s
// of ten groups at 100 ms.
const receiveBuffer = 2 << 20

// receiver reads adverts from a packet socket.
type receiver struct {
	name     string
	ipv6     bool
	conn     *packet.Conn
	raw      syscall.RawConn
	counters Counters

	// read does the system call into the fields below. It is made once: a
	// closure made for each call would be garbage.
	read    func(fd uintptr)
	buffer  [maxDatagram]byte
	from    unix.RawSockaddrLinklayer
	into    unix.Iovec
	message unix.Msghdr
	length  int
	errno   unix.Errno

	// down: the interface went down and nothing was received since.
	down bool
	// broken is the error of a read that will not work again.
	broken error

	*readiness
	closing sync.Once
}

func newReceiver(link *net.Interface, ipv6 bool, ready chan struct{}) (*receiver, error) {
	program, err := filter(ipv6)
	if err != nil {
		return nil, err
	}
	etherType := unix.ETH_P_IP
	if ipv6 {
		etherType = unix.ETH_P_IPV6
	}
	// Bound to one EtherType, the socket is not shown what this node transmits:
	// the kernel gives that to sockets of ETH_P_ALL only. Listen attaches the
	// filter before it binds, so nothing slips in unfiltered.
	conn, err := packet.Listen(link, packet.Datagram, etherType, &packet.Config{Filter: program})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &receiver{name: link.Name, ipv6: ipv6, conn: conn, raw: raw, readiness: newReadiness(ready)}
	r.prepare()
	if err := r.enlargeBuffer(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return r, nil
}

// enlargeBuffer asks for receiveBuffer bytes, beyond net.core.rmem_max if
// CAP_NET_ADMIN allows it and up to that otherwise.
func (r *receiver) enlargeBuffer() error {
	var err error
	if control := r.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
		if errors.Is(err, unix.EPERM) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	}); control != nil {
		return control
	}
	return os.NewSyscallError("setsockopt receive buffer", err)
}

// prepare points the message at what it is read into.
func (r *receiver) prepare() {
	r.read = r.readOne
	r.into.Base = &r.buffer[0]
	r.into.SetLen(len(r.buffer))
	r.message.Name = (*byte)(unsafe.Pointer(&r.from)) //nolint:gosec // a system call
	r.message.Iov = &r.into
	r.message.SetIovlen(1)
}

func (r *receiver) receive(f *vrrp.Frame) bool {
	for r.broken == nil {
		if err := r.raw.Control(r.read); err != nil {
			r.broken = err
			return false
		}
		switch r.errno {
		case 0:
			if r.accept(f) {
				return true
			}
		case unix.EAGAIN:
			r.rearm()
			return false
		case unix.ENETDOWN:
			// Told once when the interface goes down or away. Packets may still
			// be queued behind it, and more come when the interface is up again.
			r.down = true
		default:
			// Not re-armed: an error that stays would have the loop spin.
			r.broken = os.NewSyscallError("recvmsg", r.errno)
		}
	}
	return false
}

// readOne takes one packet off the queue. unix.Recvmsg would allocate the
// sender's address.
func (r *receiver) readOne(fd uintptr) {
	r.message.Namelen = unix.SizeofSockaddrLinklayer
	r.length, r.errno = dontwait.Receive(fd, &r.message)
}

// accept decodes the packet just read, or counts it as discarded.
func (r *receiver) accept(f *vrrp.Frame) bool {
	r.down = false
	if r.length > len(r.buffer) {
		r.counters.note(oversized)
		return false
	}
	if v := decode(r.buffer[:r.length], r.ipv6, f); v != accepted {
		r.counters.note(v)
		return false
	}
	f.MAC = [6]byte{}
	if r.from.Halen == 6 {
		f.MAC = [6]byte(r.from.Addr[:6])
	}
	return true
}

func (r *receiver) failure() error {
	switch {
	case r.broken != nil:
		return fmt.Errorf("receive adverts on %s: %w", r.name, r.broken)
	case r.down && r.unbound():
		return fmt.Errorf("receive adverts on %s: %w", r.name, ErrInterfaceGone)
	}
	return nil
}

// unbound reports whether the kernel has taken the interface away from the
// socket. It tells ENETDOWN only when the interface goes down, which is just
// before that, so this has to be asked each time.
func (r *receiver) unbound() bool {
	var index int
	if err := r.raw.Control(func(fd uintptr) {
		if sa, err := unix.Getsockname(int(fd)); err == nil {
			index = sa.(*unix.SockaddrLinklayer).Ifindex
		}
	}); err != nil {
		return false
	}
	return index < 0
}

func (r *receiver) counts() Counters {
	// Reading resets the kernel's count (packet(7), PACKET_STATISTICS).
	if stats, err := r.conn.Stats(); err == nil {
		r.counters.Overflowed += uint64(stats.Drops)
	}
	return r.counters
}

func (r *receiver) close() (err error) {
	r.closing.Do(func() {
		close(r.closed)
		err = r.conn.Close()
	})
	return err
}
