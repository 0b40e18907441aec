package vip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
)

// Announcer tells the neighbours on a segment that this node has an address. It
// is safe for concurrent use.
type Announcer struct {
	kernel *netlink.Handle

	mu      sync.Mutex
	outlets map[string]outlet // by interface name
}

// outlet is a socket that sends on one interface and receives nothing.
type outlet struct {
	index int
	conn  *packet.Conn
}

// NewAnnouncer opens an Announcer for the network namespace of the calling
// thread; Announce must be called in the same one.
func NewAnnouncer() (*Announcer, error) {
	kernel, err := openRTNetlink()
	if err != nil {
		return nil, err
	}
	return &Announcer{kernel: kernel, outlets: map[string]outlet{}}, nil
}

// Close closes all sockets. It is the last call.
func (a *Announcer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kernel.Close()
	errs := make([]error, 0, len(a.outlets))
	for name, o := range a.outlets {
		errs = append(errs, o.conn.Close())
		delete(a.outlets, name)
	}
	return errors.Join(errs...)
}

// Announce sends one announcement of each address: gratuitous ARP as request and
// as reply, or an unsolicited neighbour advertisement with the override flag. It
// goes on after an address that could not be announced.
func (a *Announcer) Announce(ifname string, addrs []netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	link, err := lookUp(a.kernel, ifname)
	if err != nil {
		return fmt.Errorf("announce %v on %s: %w", addrs, ifname, err)
	}
	mac, err := station(link)
	if err != nil {
		return fmt.Errorf("announce %v on %s: %w", addrs, ifname, err)
	}
	conn, err := a.outlet(link.Attrs())
	if err != nil {
		return fmt.Errorf("announce %v on %s: %w", addrs, ifname, err)
	}
	var errs []error
	for _, addr := range addrs {
		if err := send(conn, ifname, mac, addr); err != nil {
			errs = append(errs, fmt.Errorf("announce %s on %s: %w", addr, ifname, err))
		}
	}
	return errors.Join(errs...)
}

// send sends the announcement of one address.
func send(conn *packet.Conn, ifname string, mac net.HardwareAddr, addr netip.Addr) error {
	router := false
	if addr.Is6() {
		var err error
		if router, err = forwards6(ifname); err != nil {
			return err
		}
	}
	frames, err := announcement(mac, addr, router)
	if err != nil {
		return err
	}
	for _, frame := range frames {
		if err := sendFrame(conn, frame); err != nil {
			return err
		}
	}
	return nil
}

// forwards6 tells whether the interface forwards IPv6, that is, whether the
// kernel calls itself a router there.
func forwards6(ifname string) (bool, error) {
	setting, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + ifname + "/forwarding") //nolint:gosec // an interface that is there
	if err != nil {
		return false, fmt.Errorf("read IPv6 forwarding: %w", err)
	}
	return strings.TrimSpace(string(setting)) != "0", nil
}

// outlet returns the socket of the interface, a new one when the interface was
// made anew.
func (a *Announcer) outlet(link *netlink.LinkAttrs) (*packet.Conn, error) {
	if o, ok := a.outlets[link.Name]; ok {
		if o.index == link.Index {
			return o.conn, nil
		}
		delete(a.outlets, link.Name)
		if err := o.conn.Close(); err != nil {
			return nil, err
		}
	}
	// Protocol 0 receives nothing (packet(7)), so no queue fills.
	conn, err := packet.Listen(&net.Interface{Index: link.Index}, packet.Raw, 0, nil)
	if err != nil {
		return nil, err
	}
	a.outlets[link.Name] = outlet{index: link.Index, conn: conn}
	return conn, nil
}

// sendFrame sends an Ethernet frame to the destination in its header.
func sendFrame(conn *packet.Conn, frame []byte) error {
	_, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:macLength]})
	return err
}
