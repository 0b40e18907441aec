package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// errFamily: an address is not of the IP version that the Socket was opened for.
var errFamily = errors.New("address is not of the socket's IP version")

// sender is what each Send fills in; nothing of it is made anew.
type sender struct {
	// write does the system call. It is made once: a closure made for each call
	// would be garbage.
	write   func(fd uintptr)
	to      unix.Sockaddr // &to4 or &to6
	to4     unix.SockaddrInet4
	to6     unix.SockaddrInet6
	control []byte // one control message, the packet's interface and source
	source  []byte // the source's place in it
	payload []byte
	err     error
}

// prepare builds what each Send only fills in. in_pktinfo (ip(7)) has the
// source behind the interface's index, in6_pktinfo (RFC 3542 6) before it.
func (o *sender) prepare(index int, ipv6 bool) {
	o.write = o.writeOne
	data := unix.CmsgLen(0)
	if ipv6 {
		o.to = &o.to6
		// Link-local destinations need it; others do not mind.
		o.to6.ZoneId = uint32(index)
		o.control = unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(index)})
		o.source = o.control[data:][:16]
		return
	}
	o.to = &o.to4
	o.control = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index)})
	o.source = o.control[data+4:][:4]
}

// Send sends a hello from src, an address of this node, to dst, the group or a
// peer, both of the Socket's IP version, with TTL or hop limit 255. It never
// blocks: a full send buffer is EAGAIN; a drop by the interface's queue is no
// error. EINVAL (IPv6) and ENETUNREACH (IPv4): src is not on this node, or still
// being probed for duplicates. EPERM: a firewall's OUTPUT rule. ENODEV, ENXIO,
// ENETUNREACH, ENETDOWN: the interface is gone or down, or no route leads to dst.
func (s *Socket) Send(src, dst netip.Addr, datagram []byte) error {
	err := s.out.address(src, dst, s.port)
	if err == nil {
		s.out.payload = datagram
		err = s.raw.Control(s.out.write)
		s.out.payload = nil
	}
	if err == nil {
		err = s.out.err
	}
	if err != nil {
		return fmt.Errorf("send hello from %s to %s on %s: %w", src, dst, s.link.Name, err)
	}
	return nil
}

// address fills source and destination in.
func (o *sender) address(src, dst netip.Addr, port uint16) error {
	if o.to == &o.to6 {
		if !src.Is6() || src.Is4In6() || !dst.Is6() || dst.Is4In6() {
			return errFamily
		}
		from := src.As16()
		copy(o.source, from[:])
		o.to6.Addr, o.to6.Port = dst.As16(), int(port)
		return nil
	}
	if !src.Is4() || !dst.Is4() {
		return errFamily
	}
	from := src.As4()
	copy(o.source, from[:])
	o.to4.Addr, o.to4.Port = dst.As4(), int(port)
	return nil
}

func (o *sender) writeOne(fd uintptr) {
	for {
		_, err := unix.SendmsgN(int(fd), o.payload, o.control, o.to, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			o.err = os.NewSyscallError("sendmsg", err)
			return
		}
	}
}
