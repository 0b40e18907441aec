package rawsock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/dontwait"
)

// priorityControl is TC_PRIO_CONTROL of linux/pkt_sched.h: the host's own queue
// discipline sends these packets first.
const priorityControl = 7

// errFamily: an address is not of the IP version that the Socket was opened for.
var errFamily = errors.New("address is not of the socket's IP version")

// sender writes adverts to a raw IP socket. The socket is there for another
// reason, too: while it is open, the kernel takes protocol 112 for known and
// does not answer unicast adverts by ICMP "protocol unreachable".
type sender struct {
	name  string
	index int
	ipv6  bool
	file  *os.File
	raw   syscall.RawConn

	joined bool

	// write does the system call with the fields below. It is made once: a
	// closure made for each call would be garbage.
	write   func(fd uintptr)
	message unix.Msghdr
	to4     unix.RawSockaddrInet4
	to6     unix.RawSockaddrInet6
	control []byte // one control message, the packet's interface and source
	source  []byte // the source's place in it
	payload unix.Iovec
	err     error
}

func newSender(link *net.Interface, ipv6 bool) (*sender, error) {
	domain := unix.AF_INET
	if ipv6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "vrrp")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := &sender{name: link.Name, index: link.Index, ipv6: ipv6, file: file, raw: raw}
	if err := s.configure(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.prepare()
	return s, nil
}

// configure sets the socket's options.
func (s *sender) configure() error {
	return s.do(func(fd int) error {
		// Nothing is read here; without the filter the kernel would queue a copy
		// of each advert until the buffer is full.
		dropAll := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: dropPacket}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: 1, Filter: &dropAll}); err != nil {
			return os.NewSyscallError("setsockopt filter", err)
		}
		// Also chooses the interface that multicasts leave by.
		if err := unix.BindToDevice(fd, s.name); err != nil {
			return os.NewSyscallError("setsockopt bind to device", err)
		}
		for _, o := range headerOptions(s.ipv6) {
			if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
				return os.NewSyscallError("setsockopt "+o.text, err)
			}
		}
		return nil
	})
}

// option is an integer option of a socket.
type option struct {
	text               string
	level, name, value int
}

// headerOptions make the kernel write the IP header as VRRP wants it. PROBE
// forbids fragments and, unlike DO, does not let a forged ICMP message lower
// the MTU. The priority comes last: setting the type of service changes it.
func headerOptions(ipv6 bool) []option {
	if ipv6 {
		return []option{
			{"multicast hops", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, hopLimit},
			{"unicast hops", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hopLimit},
			{"multicast loop", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{"traffic class", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetworkControl},
			{"path MTU", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
			{"do not fragment", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1},
			{"priority", unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl},
		}
	}
	return []option{
		{"multicast TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, hopLimit},
		{"TTL", unix.IPPROTO_IP, unix.IP_TTL, hopLimit},
		{"multicast loop", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		{"type of service", unix.IPPROTO_IP, unix.IP_TOS, internetworkControl},
		{"path MTU", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
		{"priority", unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl},
	}
}

// prepare builds what each Send only fills in. in_pktinfo (ip(7)) has the
// source behind the interface's index, in6_pktinfo (RFC 3542 6) before it.
func (s *sender) prepare() {
	s.write = s.writeOne
	data := unix.CmsgLen(0)
	if s.ipv6 {
		s.to6.Family = unix.AF_INET6
		s.message.Name, s.message.Namelen = (*byte)(unsafe.Pointer(&s.to6)), unix.SizeofSockaddrInet6 //nolint:gosec // a system call
		s.control = unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(s.index)})                       //nolint:gosec // the kernel gives indexes of 31 bits
		s.source = s.control[data:][:16]
	} else {
		s.to4.Family = unix.AF_INET
		s.message.Name, s.message.Namelen = (*byte)(unsafe.Pointer(&s.to4)), unix.SizeofSockaddrInet4 //nolint:gosec // a system call
		s.control = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(s.index)})                        //nolint:gosec // the kernel gives indexes of 31 bits
		s.source = s.control[data+4:][:4]
	}
	s.message.Control = &s.control[0]
	s.message.SetControllen(len(s.control))
	s.message.Iov = &s.payload
	s.message.SetIovlen(1)
}

func (s *sender) send(src, dst netip.Addr, payload []byte) error {
	if err := s.address(src, dst); err != nil {
		return sendError(src, dst, s.name, err)
	}
	s.payload.Base = unsafe.SliceData(payload) //nolint:gosec // a system call
	s.payload.SetLen(len(payload))
	err := s.raw.Control(s.write)
	s.payload.Base = nil
	if err == nil {
		err = s.err
	}
	if err != nil {
		return sendError(src, dst, s.name, err)
	}
	return nil
}

// address fills source and destination in.
func (s *sender) address(src, dst netip.Addr) error {
	if s.ipv6 {
		if !src.Is6() || src.Is4In6() || !dst.Is6() || dst.Is4In6() {
			return errFamily
		}
		from := src.As16()
		copy(s.source, from[:])
		s.to6.Addr = dst.As16()
		return nil
	}
	if !src.Is4() || !dst.Is4() {
		return errFamily
	}
	from := src.As4()
	copy(s.source, from[:])
	s.to4.Addr = dst.As4()
	return nil
}

func (s *sender) writeOne(fd uintptr) {
	s.err = os.NewSyscallError("sendmsg", dontwait.Send(fd, &s.message))
}

func sendError(src, dst netip.Addr, link string, err error) error {
	return fmt.Errorf("send advert from %s to %s on %s: %w", src, dst, link, err)
}

// multicast joins or leaves the group. The membership also sets the interface's
// link-layer filter, on which the packet socket depends.
func (s *sender) multicast(on bool) error {
	if on == s.joined {
		return nil
	}
	err := s.do(func(fd int) error {
		return os.NewSyscallError("setsockopt membership", s.setMembership(fd, on))
	})
	if err != nil {
		verb := "leave"
		if on {
			verb = "join"
		}
		return fmt.Errorf("%s %s on %s: %w", verb, Group(s.ipv6), s.name, err)
	}
	s.joined = on
	return nil
}

func (s *sender) setMembership(fd int, on bool) error {
	if s.ipv6 {
		name := unix.IPV6_LEAVE_GROUP
		if on {
			name = unix.IPV6_JOIN_GROUP
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, name, &unix.IPv6Mreq{
			Multiaddr: Group(true).As16(), Interface: uint32(s.index), //nolint:gosec // the kernel gives indexes of 31 bits
		})
	}
	name := unix.IP_DROP_MEMBERSHIP
	if on {
		name = unix.IP_ADD_MEMBERSHIP
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, name, &unix.IPMreqn{
		Multiaddr: Group(false).As4(), Ifindex: int32(s.index), //nolint:gosec // the kernel gives indexes of 31 bits
	})
}

// do runs f on the socket, which stays open meanwhile.
func (s *sender) do(f func(fd int) error) error {
	var err error
	if control := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); control != nil {
		return control
	}
	return err
}

func (s *sender) close() error {
	err := s.file.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
