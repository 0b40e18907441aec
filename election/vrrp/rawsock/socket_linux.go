package rawsock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vipd/vipd/election/vrrp"
)

// Socket sends and receives the adverts of one interface and IP version. Run,
// Ready and Close are for any goroutine; all else belongs to one, the loop.
type Socket struct {
	in  *receiver
	out *sender
}

// Open opens the sockets on an existing interface, which may be down. It joins
// no group and starts nothing: see Multicast and Run. CAP_NET_RAW and
// CAP_NET_ADMIN are needed.
func Open(o Options) (*Socket, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open advert socket on %s: %w", o.Interface, err)
	}
	return s, nil
}

func open(o Options) (*Socket, error) {
	link, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, err
	}
	in, err := newReceiver(link, o.IPv6, o.Ready)
	if err != nil {
		return nil, err
	}
	out, err := newSender(link, o.IPv6)
	if err != nil {
		return nil, errors.Join(err, in.close())
	}
	return &Socket{in: in, out: out}, nil
}

// Receive reads the next advert into f and reports whether there was one. It
// never blocks; false means that the kernel's queue was empty, or that the
// socket no longer works (see Err). What is no whole datagram is counted and
// skipped. f.Payload belongs to the Socket and is valid until the next call.
//
// After a value from Ready call Receive until it returns false: only that makes
// Ready report again.
func (s *Socket) Receive(f *vrrp.Frame) bool { return s.in.receive(f) }

// Err tells why the Socket will not receive any more, nil if it works. It wraps
// ErrInterfaceGone or the errno of the read that failed. An interface that is
// down or without carrier is no error: adverts arrive again when it is back.
func (s *Socket) Err() error { return s.in.failure() }

// Send sends payload, the VRRP packet, from src, an address of this node, to
// dst, the multicast group or a peer, both of the Socket's IP version. TTL or
// hop limit is 255 (RFC 9568 5.1.1.3, 5.1.2.3); the payload's checksum is the
// caller's. It never blocks: a full send buffer is EAGAIN; a drop by the
// interface's queue is no error (raw(7), ENOBUFS). EINVAL: src is not on this
// node, or an IPv6 address still being probed for duplicates. EMSGSIZE: more
// than the link's MTU; adverts are never fragmented, receivers drop pieces.
// ENODEV, ENXIO, ENETUNREACH, ENETDOWN: the interface is gone or down.
func (s *Socket) Send(src, dst netip.Addr, payload []byte) error {
	return s.out.send(src, dst, payload)
}

// Multicast joins or leaves VRRP's group, so that the interface and switches
// that snoop IGMP and MLD let its adverts through. It is idempotent. Groups of
// virtual routers with unicast peers only need no membership.
func (s *Socket) Multicast(on bool) error { return s.out.multicast(on) }

// Counters returns the counts up to now. The kernel's part is fetched by a
// system call and, if that fails, is as of the last time.
func (s *Socket) Counters() Counters { return s.in.counts() }

// Close ends Run, leaves the group and closes the sockets. It is idempotent.
// Receive then returns false and Send an error.
func (s *Socket) Close() error {
	return errors.Join(s.in.close(), s.out.close())
}
