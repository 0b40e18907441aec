package udp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/bgp/bfd"
)

const (
	// singleHop and multihop are the destination ports (RFC 5881 4, RFC 5883 5).
	singleHop = 3784
	multihop  = 4784
	// firstSource and lastSource bound the source port (RFC 5881 4).
	firstSource = 49152
	lastSource  = 65535
	// sourceTries is how many source ports are tried.
	sourceTries = 64
	// farthest is the TTL with which packets are sent, and must arrive on a
	// single hop (RFC 5881 5).
	farthest = 255
	// queueLimit is the size of a receive queue, of which the kernel takes the
	// double (socket(7)). A packet counts for more than 512 bytes there with the
	// kernel's own parts of it, so fewer than burst packets fit.
	queueLimit = burst * 512 / 2
	// internetworkControl is the class of routing protocols (RFC 4594 3.1, CS6).
	internetworkControl = 0xc0
)

// errInUse says what to do about a port that is taken. FRR's bfdd and, unless told
// otherwise, BIRD take it on all addresses. SO_REUSEADDR (socket(7)) is no way out:
// two daemons could then have the same address too, and one of them would be deaf.
var errInUse = errors.New("another BFD daemon on this host has the port, `ss -lunp` names it, and FRR's bfdd and BIRD have it on every address: stop it; or have BIRD say `strict bind yes` in `protocol bfd`, and peer from another bgp.local_address than BIRD; or do without bfd here")

func portOf(p bfd.Path) uint16 {
	if p.Multihop {
		return multihop
	}
	return singleHop
}

func domain(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is6() {
		return &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
	}
	return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
}

// option is an integer option of a socket.
type option struct{ level, name, value int }

func open(a netip.Addr, options ...option) (fd int, err error) {
	fd, err = unix.Socket(domain(a), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return -1, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
		}
	}
	return fd, nil
}

// sender is the socket of one session's packets out: its source port is the
// session's own.
type sender struct{ fd int }

func openSender(p bfd.Path) (sender, error) {
	options := []option{{unix.IPPROTO_IP, unix.IP_TTL, farthest}, {unix.IPPROTO_IP, unix.IP_TOS, internetworkControl}}
	if p.Source.Is6() {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, farthest},
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetworkControl},
		}
	}
	fd, err := open(p.Source, options...)
	if err != nil {
		return sender{}, err
	}
	err = unix.EADDRINUSE
	for try := 0; try < sourceTries && errors.Is(err, unix.EADDRINUSE); try++ {
		port := firstSource + rand.IntN(lastSource-firstSource+1) //nolint:gosec // any free port will do
		err = unix.Bind(fd, sockaddr(p.Source, uint16(port)))     //nolint:gosec // see lastSource
	}
	if err != nil {
		return sender{}, errors.Join(fmt.Errorf("bind to %s: %w", p.Source, err), unix.Close(fd))
	}
	if err := unix.Connect(fd, sockaddr(p.Remote, portOf(p))); err != nil {
		return sender{}, errors.Join(fmt.Errorf("find the way to %s: %w", p.Remote, err), unix.Close(fd))
	}
	return sender{fd}, nil
}

// send sends a packet. One that cannot be sent is as good as lost: the other
// side's detection deals with it. The error of an earlier packet (an ICMP
// message) is told in place of sending, so that is tried once more.
func (s sender) send(b []byte) {
	if _, err := unix.Write(s.fd, b); errors.Is(err, unix.ECONNREFUSED) {
		_, _ = unix.Write(s.fd, b)
	}
}

// inlet is the socket on which packets for one local address and port arrive.
type inlet struct {
	fd    int
	local netip.Addr
	multi bool
	users int

	message unix.Msghdr
	vector  unix.Iovec
	from    unix.RawSockaddrInet6
	buffer  [128]byte
	control [64]byte
}

func openInlet(local netip.Addr, multi bool) (*inlet, error) {
	receiveTTL := option{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}
	if local.Is6() {
		receiveTTL = option{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}
	}
	fd, err := open(local, receiveTTL, option{unix.SOL_SOCKET, unix.SO_RCVBUF, queueLimit})
	if err != nil {
		return nil, err
	}
	port := portOf(bfd.Path{Multihop: multi})
	err = unix.Bind(fd, sockaddr(local, port))
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("%w: %w", err, errInUse)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for BFD on %s: %w", netip.AddrPortFrom(local, port), err), unix.Close(fd))
	}
	i := &inlet{fd: fd, local: local, multi: multi}
	i.vector.Base = &i.buffer[0]
	i.vector.SetLen(len(i.buffer))
	i.message.Name = (*byte)(unsafe.Pointer(&i.from)) //nolint:gosec // recvmsg(2) writes there
	i.message.Iov, i.message.Iovlen = &i.vector, 1
	i.message.Control = &i.control[0]
	return i, nil
}

// receive reads a packet. It returns false when none is queued.
func (i *inlet) receive() (b []byte, from netip.Addr, ttl int, ok bool) {
	for {
		i.message.Namelen = uint32(unsafe.Sizeof(i.from))
		i.message.SetControllen(len(i.control))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(i.fd), uintptr(unsafe.Pointer(&i.message)), 0) //nolint:gosec // unix.Recvmsg would allocate the sender's address
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return nil, netip.Addr{}, 0, false
		}
		return i.buffer[:int(n)], i.sender(), i.ttl(), true
	}
}

func (i *inlet) sender() netip.Addr {
	if i.from.Family == unix.AF_INET6 {
		return netip.AddrFrom16(i.from.Addr)
	}
	four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&i.from)) //nolint:gosec // the kernel wrote one
	return netip.AddrFrom4(four.Addr)
}

// ttl is the hop limit in the control message; 0: there is none.
func (i *inlet) ttl() int {
	if int(i.message.Controllen) < unix.CmsgLen(4) { //nolint:gosec // no more than the buffer
		return 0
	}
	head := (*unix.Cmsghdr)(unsafe.Pointer(&i.control[0])) //nolint:gosec // the kernel wrote one
	isTTL := head.Level == unix.IPPROTO_IP && head.Type == unix.IP_TTL ||
		head.Level == unix.IPPROTO_IPV6 && head.Type == unix.IPV6_HOPLIMIT
	if !isTTL {
		return 0
	}
	return int(*(*int32)(unsafe.Pointer(&i.control[unix.CmsgLen(0)]))) //nolint:gosec // an int (ip(7), ipv6(7))
}
