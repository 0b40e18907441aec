package vip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A knock is repeated at 50, 150, 350 and 750 ms, and given up after 1.55 s.
const (
	knocks        = 5
	firstPatience = 50 * time.Millisecond
)

// ErrNotServed tells that no other station was found to serve an address.
var ErrNotServed = errors.New("no other station serves it")

// Service is what a [Knocker] found.
type Service struct {
	// MAC is the station that says it has the address, and that answered.
	MAC net.HardwareAddr
	// Open: the station takes connections on the port (SYN-ACK). Otherwise it
	// refused (RST): the address is there, the server is not.
	Open bool
}

// Knocker finds out whether another station of the segment serves an address. It
// also works on a host that has the address itself, where connect(2) would end
// at the host's own server, and the kernel would drop answers that come from
// outside. The zero Knocker is ready for use.
type Knocker struct{}

// Knock asks by ARP or neighbour solicitation who has the VIP, and sends that
// station a TCP SYN from src, an address of this interface and of the same
// family, up to five times within 1.55 s. It never completes the connection: a
// reset ends it at the other side. All packets go by AF_PACKET, so neither
// addresses nor firewall rules of this host stand in the way.
//
// The error is [ErrNotServed] when no other station answers for the VIP, only
// one that answers for any address (proxy ARP), or the one that does leaves the
// SYN unanswered until time is up or ctx ends.
func (Knocker) Knock(ctx context.Context, ifname string, src netip.Addr, vip netip.AddrPort) (service Service, err error) {
	defer func() {
		if err != nil {
			service, err = Service{}, fmt.Errorf("knock at %s on %s: %w", vip, ifname, err)
		}
	}()
	if src.Is4() != vip.Addr().Is4() || src.WithZone("") == vip.Addr() {
		return Service{}, fmt.Errorf("source %s: want another address of the same family", src)
	}
	kernel, err := openRTNetlink()
	if err != nil {
		return Service{}, err
	}
	defer kernel.Close()
	link, err := lookUp(kernel, ifname)
	if err != nil {
		return Service{}, err
	}
	mac, err := station(link)
	if err != nil {
		return Service{}, err
	}
	other, err := otherStation(ctx, kernel, ifname, vip.Addr())
	if err != nil {
		return Service{}, err
	}
	port, err := reservePort(src, link.Attrs().Index)
	if err != nil {
		return Service{}, err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	k := knock{
		mac: mac, station: other,
		from: netip.AddrPortFrom(src.WithZone(""), port.number), to: vip,
		sequence: rand.Uint32(), //nolint:gosec // ChaCha8 with a random seed; only stations of the segment could guess
	}
	open, err := k.attempt(ctx, link.Attrs().Index)
	return Service{MAC: other, Open: open}, err
}

// otherStation asks which other station of the segment has the address.
func otherStation(ctx context.Context, kernel *netlink.Handle, ifname string, addr netip.Addr) (net.HardwareAddr, error) {
	answer, err := new(Prober).Probe(ctx, ifname, addr)
	switch {
	case err != nil:
		return nil, err
	case !answer.Answered:
		return nil, fmt.Errorf("%w: nobody on the segment answers for %s", ErrNotServed, addr)
	case answer.AnswersAny:
		return nil, fmt.Errorf("%w: only %s answers for %s, and it answers for any address", ErrNotServed, answer.MAC, addr)
	}
	// A second interface of this host on the same segment answers for whatever the
	// host has, unless arp_ignore is set there too.
	own, err := links(kernel)
	if err != nil {
		return nil, err
	}
	for _, link := range own {
		if a := link.Attrs(); a.HardwareAddr.String() == answer.MAC.String() {
			return nil, fmt.Errorf("%w: %s answers for %s, and it is this host's own interface %s", ErrNotServed, answer.MAC, addr, a.Name)
		}
	}
	return answer.MAC, nil
}

// attempt knocks until there is a reply, and tells whether it accepts.
func (k knock) attempt(ctx context.Context, index int) (open bool, err error) {
	introduction, err := k.introduction()
	if err != nil {
		return false, err
	}
	conn, err := listenFor(index, int(k.etherType()), k.filter())
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stop := interruptAtEnd(ctx, conn)
	defer stop()

	until, patience := time.Now(), firstPatience
	for range knocks {
		for _, frame := range [][]byte{introduction, k.syn()} {
			if err := sendFrame(conn, frame); err != nil {
				return false, err
			}
		}
		until = until.Add(patience)
		patience *= 2
		answer, err := k.await(ctx, conn, until)
		switch {
		case answer == portClosed:
			return false, nil
		case answer == portOpen:
			return true, sendFrame(conn, k.farewell())
		case ctx.Err() != nil:
			err = fmt.Errorf("%w: %s has %s, but no answer from TCP port %d yet: %w", ErrNotServed, k.station, k.to.Addr(), k.to.Port(), ctx.Err())
			return false, errors.Join(err, sendFrame(conn, k.farewell()))
		case err != nil:
			return false, err
		}
	}
	err = fmt.Errorf("%w: %s has %s, but TCP port %d does not answer", ErrNotServed, k.station, k.to.Addr(), k.to.Port())
	return false, errors.Join(err, sendFrame(conn, k.farewell()))
}

// await waits for the reply until the deadline or the end of ctx.
func (k knock) await(ctx context.Context, conn *packet.Conn, until time.Time) (reply, error) {
	if err := conn.SetReadDeadline(until); err != nil {
		return noReply, err
	}
	buffer := make([]byte, captureLength)
	for {
		// Looked at after the deadline is set: an interrupt before would be lost.
		if err := ctx.Err(); err != nil {
			return noReply, err
		}
		n, _, err := conn.ReadFrom(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return noReply, nil
		case err != nil:
			return noReply, err
		}
		if r := k.reply(buffer[:n]); r != noReply {
			return r, nil
		}
	}
}

// reservedPort is a TCP port of an address that nobody else on this host gets.
type reservedPort struct {
	number uint16
	fd     int
}

// reservePort binds a TCP socket to a free port of the address and does nothing
// else with it. A socket that is bound but neither listens nor connects receives
// nothing, so the kernel treats the answer to a knock as one that nobody waits
// for. None of what it may do then disturbs:
//   - It drops the answer, because its source is this host's own (IPv4, while the
//     VIP is here as well); the packet socket had it before.
//   - It resets towards the VIP on this host (IPv6): its server knows no such
//     connection and ignores the reset.
//   - It resets towards the other station, when the VIP is not here: that reset is
//     the farewell's twin, and the second of the two finds nothing to end.
func reservePort(addr netip.Addr, index int) (*reservedPort, error) {
	family, local := localSockaddr(addr, index)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open TCP socket: %w", err)
	}
	if err := unix.Bind(fd, local); err != nil {
		return nil, errors.Join(fmt.Errorf("bind a TCP port of %s: %w", addr, err), unix.Close(fd))
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the TCP port: %w", err), unix.Close(fd))
	}
	port := &reservedPort{fd: fd}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		port.number = uint16(b.Port) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		port.number = uint16(b.Port) //nolint:gosec // a port
	}
	return port, nil
}

// localSockaddr is the address with port 0: the kernel chooses one.
func localSockaddr(addr netip.Addr, index int) (family int, local unix.Sockaddr) {
	if addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4()}
	}
	six := &unix.SockaddrInet6{Addr: addr.As16()}
	if addr.IsLinkLocalUnicast() {
		six.ZoneId = uint32(index) //nolint:gosec // an interface's index
	}
	return unix.AF_INET6, six
}

func (p *reservedPort) Close() error { return unix.Close(p.fd) }
