package vip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
)

// An inquiry asks questions times, one each questionInterval, and listens for
// one more interval.
const (
	questions        = 3
	questionInterval = 20 * time.Millisecond

	// proxyLimit bounds the stations that are recognised as proxies before the
	// next answer is looked for.
	proxyLimit = 8
)

// Answer is what a [Prober] learned.
type Answer struct {
	// Answered: some station says that it has the address.
	Answered bool
	// MAC is that station's.
	MAC net.HardwareAddr
	// AnswersAny: the station also answers for addresses of the same subnet that
	// nobody should have (proxy ARP, proxy ND), and no other station answered.
	// Such an answer does not count.
	AnswersAny bool
}

// Prober asks who answers for an address. The zero Prober is ready for use.
type Prober struct{}

// Probe asks three times within 60 ms, by ARP probe (RFC 5227 2.1.1) or
// neighbour solicitation, whether a station other than this interface has addr.
// It listens until 60 ms after the first question, or until an answer. An answer
// costs up to 60 ms more, for asking the same station for three random addresses
// of the subnet.
func (p *Prober) Probe(ctx context.Context, ifname string, addr netip.Addr) (Answer, error) {
	var answer Answer
	err := inquire(ctx, ifname, addr.Is4(), func(q *inquiry) (err error) {
		answer, err = q.whoHas(ctx, addr, q.controls(addr))
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("probe %s on %s: %w", addr, ifname, err)
	}
	return answer, nil
}

// inquire lets ask use an inquiry on an interface.
func inquire(ctx context.Context, ifname string, ipv4 bool, ask func(*inquiry) error) (err error) {
	kernel, err := openRTNetlink()
	if err != nil {
		return err
	}
	defer kernel.Close()
	link, err := lookUp(kernel, ifname)
	if err != nil {
		return err
	}
	own, err := ownAddresses(kernel, link)
	if err != nil {
		return err
	}
	q, err := openInquiry(link, solicitationSource(own), ipv4)
	if err != nil {
		return err
	}
	q.kernel, q.link, q.own = kernel, link, own
	defer func() { err = errors.Join(err, q.conn.Close()) }()
	stop := interruptAtEnd(ctx, q.conn)
	defer stop()
	return ask(q)
}

// controls are random addresses of the subnet of addr by which proxies are known.
func (q *inquiry) controls(addr netip.Addr) []netip.Addr {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // nobody gains by guessing them
	return controlAddresses(addr, q.own, random)
}

// ownAddresses lists the interface's addresses.
func ownAddresses(kernel *netlink.Handle, link netlink.Link) ([]Address, error) {
	listed, err := addresses(kernel, link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	own := make([]Address, len(listed))
	for i, m := range listed {
		own[i] = m.Address
	}
	return own, nil
}

// inquiry asks on one interface for addresses of one family.
type inquiry struct {
	kernel *netlink.Handle
	link   netlink.Link
	own    []Address
	conn   *packet.Conn
	mac    net.HardwareAddr
	source netip.Addr
	// directed is the station whose questions go to it alone; zero: none.
	directed Station
	buffer   []byte
}

func openInquiry(link netlink.Link, source netip.Addr, ipv4 bool) (*inquiry, error) {
	mac, err := station(link)
	if err != nil {
		return nil, err
	}
	kind := neighbourMessages
	if ipv4 {
		kind = arpPackets
	}
	conn, err := kind.listen(link.Attrs().Index)
	if err != nil {
		return nil, err
	}
	return &inquiry{conn: conn, mac: mac, source: source, buffer: make([]byte, captureLength)}, nil
}

// whoHas asks for addr and passes over stations that answer for everything, as
// long as others may answer.
func (q *inquiry) whoHas(ctx context.Context, addr netip.Addr, controls []netip.Addr) (Answer, error) {
	var proxies []net.HardwareAddr
	for len(proxies) < proxyLimit {
		var answer Answer
		err := q.ask(ctx, []netip.Addr{addr}, func(a assertion) (done bool) {
			mac := net.HardwareAddr(a.mac[:])
			if isOneOf(mac, proxies) {
				return false
			}
			answer = Answer{Answered: true, MAC: mac}
			return true
		})
		if err != nil {
			return Answer{}, err
		}
		if !answer.Answered {
			break
		}
		proxy, err := q.answersAll(ctx, answer.MAC, controls)
		if err != nil || !proxy {
			return answer, err
		}
		proxies = append(proxies, answer.MAC)
	}
	if len(proxies) == 0 {
		return Answer{}, nil
	}
	return Answer{Answered: true, MAC: proxies[0], AnswersAny: true}, nil
}

// answersAll tells whether the station mac answers for each of the controls.
func (q *inquiry) answersAll(ctx context.Context, mac net.HardwareAddr, controls []netip.Addr) (bool, error) {
	if len(controls) == 0 {
		return false, nil
	}
	open := slices.Clone(controls)
	err := q.ask(ctx, controls, func(a assertion) (done bool) {
		if slices.Equal(a.mac[:], mac) {
			open = slices.DeleteFunc(open, func(c netip.Addr) bool { return c == a.addr })
		}
		return len(open) == 0
	})
	return len(open) == 0, err
}

// ask sends the questions for addrs and hands their answers to heard, until it
// is done or time is up.
func (q *inquiry) ask(ctx context.Context, addrs []netip.Addr, heard func(assertion) (done bool)) error {
	until := time.Now()
	for range questions {
		for _, addr := range addrs {
			if err := q.send(addr); err != nil {
				return err
			}
		}
		until = until.Add(questionInterval)
		done, err := q.listen(ctx, until, addrs, heard)
		if done || err != nil {
			return err
		}
	}
	return nil
}

func (q *inquiry) send(addr netip.Addr) error {
	frame, err := question(q.mac, q.source, addr)
	if err != nil {
		return err
	}
	if addr == q.directed.Addr {
		copy(frame, q.directed.MAC)
	}
	return sendFrame(q.conn, frame)
}

// listen hands the answers for addrs to heard, until it is done or until comes.
// This node's own packets and other stations' tentative claims are no answers.
func (q *inquiry) listen(ctx context.Context, until time.Time, addrs []netip.Addr, heard func(assertion) bool) (done bool, err error) {
	if err := q.conn.SetReadDeadline(until); err != nil {
		return false, err
	}
	for {
		// Looked at after the deadline is set: an interrupt before would be lost.
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, _, err := q.conn.ReadFrom(q.buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, ctx.Err()
		case err != nil:
			return false, err
		}
		a, ok := parseAssertion(q.buffer[:n])
		if ok && !a.tentative && slices.Contains(addrs, a.addr) && !slices.Equal(a.mac[:], q.mac) && heard(a) {
			return true, nil
		}
	}
}

// isOneOf tells whether mac is in the list.
func isOneOf(mac net.HardwareAddr, list []net.HardwareAddr) bool {
	return slices.ContainsFunc(list, func(m net.HardwareAddr) bool { return slices.Equal(m, mac) })
}
