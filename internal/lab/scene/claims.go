package scene

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"github.com/vipd/vipd/internal/lab"
	"golang.org/x/sys/unix"
)

// Claim is one announcement of a VIP: a gratuitous ARP (RFC 5227 3) or an
// unsolicited neighbour advertisement (RFC 4861 7.2.6).
type Claim struct {
	At   time.Time
	Host *lab.Host
	VIP  netip.Addr
}

// Claims collects the announcements that arrive at the client's host. Who
// announces an address is who gets its traffic from then on.
type Claims struct {
	arp, ndp *packet.Conn
	byMAC    map[string]*lab.Host
	vips     []netip.Addr
	reading  sync.WaitGroup

	mu    sync.Mutex
	heard []Claim
	err   error // the first failure to read
}

// listenClaims starts to listen; close ends it.
func listenClaims(l *lab.Lab, vips []netip.Addr) (*Claims, error) {
	c := &Claims{vips: vips, byMAC: make(map[string]*lab.Host)}
	for _, h := range l.Hosts {
		c.byMAC[h.MAC.String()] = h
	}
	err := l.Client.Do(func() error {
		eth0, err := net.InterfaceByName(l.Client.Interface)
		if err != nil {
			return err
		}
		if c.arp, err = packet.Listen(eth0, packet.Raw, unix.ETH_P_ARP, nil); err != nil {
			return err
		}
		if c.ndp, err = packet.Listen(eth0, packet.Raw, unix.ETH_P_IPV6, nil); err != nil {
			return errors.Join(err, c.arp.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listen for announcements: %w", err)
	}
	c.reading.Go(func() { c.read(c.arp, parseARP) })
	c.reading.Go(func() { c.read(c.ndp, parseNDP) })
	return c, nil
}

// read takes frames until the socket is closed.
func (c *Claims) read(conn *packet.Conn, parse func(frame []byte) (netip.Addr, bool)) {
	frame := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(frame)
		at := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.mu.Lock()
			c.err = errors.Join(c.err, fmt.Errorf("listen for announcements: %w", err))
			c.mu.Unlock()
			return
		}
		vip, announced := parse(frame[:n])
		sender, ok := from.(*packet.Addr)
		if !announced || !ok || !slices.Contains(c.vips, vip) {
			continue
		}
		if host := c.byMAC[sender.HardwareAddr.String()]; host != nil {
			c.mu.Lock()
			c.heard = append(c.heard, Claim{At: at, Host: host, VIP: vip})
			c.mu.Unlock()
		}
	}
}

const etherHeader = 14

// parseARP returns the address that a frame announces.
func parseARP(frame []byte) (netip.Addr, bool) {
	if len(frame) < etherHeader {
		return netip.Addr{}, false
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(frame[etherHeader:]); err != nil {
		return netip.Addr{}, false
	}
	return p.SenderIP, p.SenderIP == p.TargetIP
}

// parseNDP returns the address that a frame advertises without having been asked.
func parseNDP(frame []byte) (netip.Addr, bool) {
	const ip6Header, nextHeader = 40, 6
	if len(frame) < etherHeader+ip6Header || frame[etherHeader+nextHeader] != unix.IPPROTO_ICMPV6 {
		return netip.Addr{}, false
	}
	message, err := ndp.ParseMessage(frame[etherHeader+ip6Header:])
	if err != nil {
		return netip.Addr{}, false
	}
	na, ok := message.(*ndp.NeighborAdvertisement)
	if !ok || na.Solicited {
		return netip.Addr{}, false
	}
	return na.TargetAddress, true
}

// Since returns the announcements heard at or after a time.
func (c *Claims) Since(from time.Time) ([]Claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since []Claim
	for _, claim := range c.heard {
		if !claim.At.Before(from) {
			since = append(since, claim)
		}
	}
	return since, c.err
}

func (c *Claims) close() error {
	err := errors.Join(c.arp.Close(), c.ndp.Close())
	c.reading.Wait()
	return err
}
