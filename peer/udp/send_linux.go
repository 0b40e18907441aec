package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/dontwait"
)

// errFamily: an address is not of the IP version that the Socket was opened for.
var errFamily = errors.New("address is not of the socket's IP version")

// sender is what each Send fills in; nothing of it is made anew.
type sender struct {
	// write does the system call. It is made once: a closure made for each call
	// would be garbage.
	write   func(fd uintptr)
	message unix.Msghdr
	ipv6    bool
	to4     unix.RawSockaddrInet4
	to6     unix.RawSockaddrInet6
	control []byte // one control message, the packet's interface and source
	source  []byte // the source's place in it
	payload unix.Iovec
	err     error
}

// prepare builds what each Send only fills in. in_pktinfo (ip(7)) has the
// source behind the interface's index, in6_pktinfo (RFC 3542 6) before it.
func (o *sender) prepare(index int, port uint16, ipv6 bool) {
	o.write, o.ipv6 = o.writeOne, ipv6
	data := unix.CmsgLen(0)
	if ipv6 {
		o.to6.Family = unix.AF_INET6
		o.to6.Port = networkOrder(port)
		// Link-local destinations need it; others do not mind.
		o.to6.Scope_id = uint32(index)
		o.message.Name, o.message.Namelen = (*byte)(unsafe.Pointer(&o.to6)), unix.SizeofSockaddrInet6 //nolint:gosec // a system call
		o.control = unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(index)})
		o.source = o.control[data:][:16]
	} else {
		o.to4.Family = unix.AF_INET
		o.to4.Port = networkOrder(port)
		o.message.Name, o.message.Namelen = (*byte)(unsafe.Pointer(&o.to4)), unix.SizeofSockaddrInet4 //nolint:gosec // a system call
		o.control = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(index)})
		o.source = o.control[data+4:][:4]
	}
	o.message.Control = &o.control[0]
	o.message.SetControllen(len(o.control))
	o.message.Iov = &o.payload
	o.message.SetIovlen(1)
}

// networkOrder is a port as socket addresses have it (ip(7)).
func networkOrder(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}

// Send sends a hello from src, an address of this node, to dst, the group or a
// peer, both of the Socket's IP version, with TTL or hop limit 255. It never
// blocks: a full send buffer is EAGAIN; a drop by the interface's queue is no
// error. EINVAL (IPv6) and ENETUNREACH (IPv4): src is not on this node, or still
// being probed for duplicates. EPERM: a firewall's OUTPUT rule. ENODEV, ENXIO,
// ENETUNREACH, ENETDOWN: the interface is gone or down, or no route leads to dst.
func (s *Socket) Send(src, dst netip.Addr, datagram []byte) error {
	err := s.out.address(src, dst)
	if err == nil {
		s.out.payload.Base = unsafe.SliceData(datagram) //nolint:gosec // a system call
		s.out.payload.SetLen(len(datagram))
		err = s.raw.Control(s.out.write)
		s.out.payload.Base = nil
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
func (o *sender) address(src, dst netip.Addr) error {
	if o.ipv6 {
		if !src.Is6() || src.Is4In6() || !dst.Is6() || dst.Is4In6() {
			return errFamily
		}
		from := src.As16()
		copy(o.source, from[:])
		o.to6.Addr = dst.As16()
		return nil
	}
	if !src.Is4() || !dst.Is4() {
		return errFamily
	}
	from := src.As4()
	copy(o.source, from[:])
	o.to4.Addr = dst.As4()
	return nil
}

func (o *sender) writeOne(fd uintptr) {
	o.err = os.NewSyscallError("sendmsg", dontwait.Send(fd, &o.message))
}
