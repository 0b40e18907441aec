package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/peer"
)

// Options says which hellos a Socket carries.
type Options struct {
	// Interface is the interface's name.
	Interface string
	// IPv6 chooses hellos over IPv6 instead of IPv4.
	IPv6 bool
	// Port is the UDP port to receive on, and to send to; 0 is peer.Port.
	Port uint16
	// Ready, if not nil, is a channel of capacity 1 that Socket.Ready returns in
	// place of one of its own; sockets may share it.
	Ready chan struct{}
}

// Socket sends and receives the hellos of one interface and IP version. Run,
// Ready, Counters and Close are for any goroutine; all else belongs to one, the
// loop.
type Socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	link *net.Interface
	port uint16
	ipv6 bool

	joined  bool
	out     sender
	closing sync.Once
	closed  chan struct{}
	inbox
	counts
}

// Open opens a socket on an existing interface, which may be down. It joins no
// group and starts nothing: see Multicast and Run. No capability is needed
// (Linux 5.7 or newer; CAP_NET_RAW before). An error that wraps
// syscall.EADDRINUSE means that another program has the port.
func Open(o Options) (*Socket, error) {
	if o.Port == 0 {
		o.Port = peer.Port
	}
	s, err := open(o)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("open hello socket on %s: another program has UDP port %d; `ss -lunp sport = %d` names it; stop it or set hello.port: %w",
			o.Interface, o.Port, o.Port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open hello socket on %s: %w", o.Interface, err)
	}
	return s, nil
}

func open(o Options) (*Socket, error) {
	link, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, err
	}
	network := "udp4"
	if o.IPv6 {
		network = "udp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return onSocket(raw, func(fd int) error { return configure(fd, link, o.IPv6) })
	}}
	listener, err := config.ListenPacket(context.Background(), network, ":"+strconv.Itoa(int(o.Port)))
	if err != nil {
		return nil, err
	}
	conn := listener.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &Socket{conn: conn, raw: raw, link: link, port: o.Port, ipv6: o.IPv6, closed: make(chan struct{}), inbox: newInbox(o.Ready)}
	s.out.prepare(link.Index, o.Port, o.IPv6)
	return s, nil
}

// Close ends Run, leaves the group and closes the socket. It is idempotent.
func (s *Socket) Close() (err error) {
	s.closing.Do(func() {
		close(s.closed)
		err = s.conn.Close()
	})
	return err
}

// option is an integer option of a socket.
type option struct {
	text               string
	level, name, value int
}

const (
	// internetworkControl is the class of routing protocols: precedence 6 of
	// RFC 791 3.1, CS6 of RFC 4594 3.1.
	internetworkControl = 0xc0
	// receiveBuffer is asked of the kernel, in bytes: some hundred hellos.
	receiveBuffer = 256 << 10
)

// configure sets the options before the socket is bound. It is bound to the
// interface first, so that it shares the port with sockets on other interfaces.
func configure(fd int, link *net.Interface, ipv6 bool) error {
	if err := unix.BindToDevice(fd, link.Name); err != nil {
		return os.NewSyscallError("setsockopt bind to device", err)
	}
	for _, o := range options(ipv6) {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.text, err)
		}
	}
	return nil
}

// options: PROBE forbids fragments and, unlike DO, does not let a forged ICMP
// message lower the MTU. MULTICAST_ALL off refuses groups that only other
// programs of the host have joined.
func options(ipv6 bool) []option {
	common := []option{
		{"receive buffer", unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer},
		{"count of drops", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
	}
	if ipv6 {
		return append(common,
			option{"multicast hops", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, peer.HopLimit},
			option{"unicast hops", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, peer.HopLimit},
			option{"receive hop limit", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			option{"multicast loop", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			option{"multicast all", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			option{"traffic class", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetworkControl},
			option{"path MTU", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
			option{"do not fragment", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1},
		)
	}
	return append(common,
		option{"multicast TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, peer.HopLimit},
		option{"TTL", unix.IPPROTO_IP, unix.IP_TTL, peer.HopLimit},
		option{"receive TTL", unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
		option{"multicast loop", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		option{"multicast all", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		option{"type of service", unix.IPPROTO_IP, unix.IP_TOS, internetworkControl},
		option{"path MTU", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
	)
}

// onSocket runs f on the socket, which stays open meanwhile.
func onSocket(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if control := raw.Control(func(fd uintptr) { err = f(int(fd)) }); control != nil {
		return control
	}
	return err
}
