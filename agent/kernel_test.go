package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// errLate is what the kernel's user gets who comes after the deadline.
var errLate = errors.New("deadline passed")

// host is a machine on the segment. It outlives the daemons that run on it.
type host struct {
	lan  *lan
	name string
	last byte
	mac  [6]byte

	nics    map[string]*nic
	index   int
	sockets []*socket
	hellos  []*mailbox
	events  feed[Event]
	claims  feed[claimed]
	flows   kernelFlows

	// stall is how long each call that changes addresses takes.
	stall time.Duration
	// refused, muted, unheard, deaf and blind make holding, sending, announcing,
	// opening sockets and watching for claimants fail.
	refused, muted, unheard, deaf, blind error
	// closed: nothing listens behind the VIP.
	closed bool
	// taken makes opening ports for hellos fail.
	taken error
	// mark is the drained mark; unreadable makes loading it fail, unwritable
	// storing it.
	mark                   Drained
	unreadable, unwritable error
}

// nic is a network interface.
type nic struct {
	name  string
	index int
	mac   [6]byte
	up    bool
	// addrs are in the order in which the kernel lists them.
	addrs []*assigned
}

// assigned is an address on an interface; timer takes it off.
type assigned struct {
	prefix    netip.Prefix
	timer     *time.Timer
	refreshed time.Time
}

// host adds a machine whose interface eth0 has the addresses 192.0.2.last/24,
// 2001:db8::last/64 and fe80::last/64.
func (l *lan) host(last byte) *host {
	h := &host{
		lan: l, name: fmt.Sprintf("cp%d", last), last: last,
		mac: [6]byte{2, 0, 0, 0, 0, last}, nics: map[string]*nic{},
		flows: kernelFlows{able: l.able},
	}
	l.mu.Lock()
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	h.plug("eth0")
	return h
}

// plug adds an interface with the host's own addresses.
func (h *host) plug(name string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.index++
	n := &nic{name: name, index: h.index, mac: h.mac, up: true}
	for _, p := range h.own() {
		n.addrs = append(n.addrs, &assigned{prefix: p})
	}
	h.nics[name] = n
	h.tellChanged(n)
}

// replace makes an interface anew, of which rtnetlink tells only how it ended:
// it was overrun.
func (h *host) replace(name string) {
	h.lan.mu.Lock()
	for _, a := range h.nics[name].addrs {
		a.forget()
	}
	h.nics[name].up = false
	h.lan.mu.Unlock()
	h.plug(name)
}

// own are the host's own addresses, the last number written in hexadecimal
// digits over IPv6.
func (h *host) own() []netip.Prefix {
	var all []netip.Prefix
	for _, format := range []string{"192.0.2.%d/24", "2001:db8::%d/64", "fe80::%d/64"} {
		all = append(all, netip.MustParsePrefix(fmt.Sprintf(format, h.last)))
	}
	return all
}

func (h *host) station() string { return fmt.Sprintf("02:00:00:00:00:%02x", h.last) }

// unplug removes an interface.
func (h *host) unplug(name string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	n := h.nics[name]
	for _, a := range n.addrs {
		a.forget()
	}
	n.up = false
	delete(h.nics, name)
	h.lan.note(h, "loses %s", name)
	h.events.tell(InterfaceGone{Name: name})
}

// carrier plugs the cable in or pulls it.
func (h *host) carrier(name string, up bool) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.nics[name].up = up
	h.lan.note(h, "%s is up: %v", name, up)
	h.tellChanged(h.nics[name])
}

// configure puts an address on an interface for ever, as an operator does.
func (h *host) configure(name, prefix string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.put(h.nics[name], netip.MustParsePrefix(prefix), 0)
}

// remove takes an address off an interface, as an operator does.
func (h *host) remove(name, prefix string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.drop(h.nics[name], netip.MustParsePrefix(prefix))
}

func (n *nic) find(p netip.Prefix) int {
	return slices.IndexFunc(n.addrs, func(a *assigned) bool { return a.prefix == p })
}

func (n *nic) has(addr netip.Addr) bool {
	return slices.ContainsFunc(n.addrs, func(a *assigned) bool { return a.prefix.Addr() == addr })
}

// answers tells whether the host answers for the address. The lock is held.
func (h *host) answers(addr netip.Addr) bool {
	for _, n := range h.nics {
		if n.up && n.has(addr) {
			return true
		}
	}
	return false
}

// listed are the addresses of an interface in the kernel's order.
func (h *host) listed(name string) []string {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	var all []string
	for _, a := range h.nics[name].addrs {
		all = append(all, a.prefix.String())
	}
	return all
}

// put brings an address onto an interface or gives it a new lifetime. The lock
// is held.
func (h *host) put(n *nic, p netip.Prefix, lifetime time.Duration) (added bool) {
	at := n.find(p)
	if added = at < 0; added {
		at = len(n.addrs)
		n.addrs = append(n.addrs, &assigned{prefix: p})
		h.lan.note(h, "gets %v", p.Addr())
		h.tellChanged(n)
	}
	a := n.addrs[at]
	a.forget()
	if lifetime > 0 {
		a.timer = time.AfterFunc(lifetime+h.lan.tardy, func() {
			h.lan.mu.Lock()
			defer h.lan.mu.Unlock()
			if slices.Contains(n.addrs, a) && time.Since(a.refreshed) >= lifetime {
				h.drop(n, p)
			}
		})
	}
	a.refreshed = time.Now()
	return added
}

func (a *assigned) forget() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = nil
}

// drop takes an address off an interface. The lock is held.
func (h *host) drop(n *nic, p netip.Prefix) {
	at := n.find(p)
	if at < 0 {
		return
	}
	n.addrs[at].forget()
	n.addrs = slices.Delete(n.addrs, at, at+1)
	h.lan.note(h, "loses %v", p.Addr())
	h.events.tell(AddressRemoved{Interface: n.name, Addr: p.Addr()})
	h.tellChanged(n)
}

// tellChanged is what rtnetlink tells of an interface. The lock is held.
func (h *host) tellChanged(n *nic) { h.events.tell(InterfaceChanged{Interface: n.present()}) }

func (n *nic) present() Interface {
	i := Interface{Name: n.name, Index: n.index, MAC: n.mac, Up: n.up}
	for _, a := range n.addrs {
		i.Addresses = append(i.Addresses, Address{Prefix: a.prefix})
	}
	return i
}

// single is the prefix under which a VIP is held.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Hold implements Addresses.
func (h *host) Hold(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error) {
	if late(deadline) {
		return false, errLate
	}
	time.Sleep(h.slowness())
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	n := h.nics[name]
	switch {
	case n == nil:
		return false, fmt.Errorf("hold on %s: no such device", name)
	case ctx.Err() != nil:
		return false, ctx.Err()
	case h.refused != nil:
		return false, h.refused
	}
	var added []netip.Addr
	for _, addr := range addrs {
		if n.has(addr) && n.find(single(addr)) < 0 && addr.Is6() {
			h.takeOff(n, added)
			return false, fmt.Errorf("hold %v: it is the node's own", addr)
		}
		if h.put(n, single(addr), lifetime) {
			added = append(added, addr)
		}
	}
	if late(deadline) {
		h.takeOff(n, addrs)
		return false, errLate
	}
	return len(added) > 0, nil
}

// Reseat implements Addresses.
func (h *host) Reseat(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (moved bool, err error) {
	if late(deadline) {
		return false, errLate
	}
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	n := h.nics[name]
	switch {
	case n == nil:
		return false, fmt.Errorf("reseat on %s: no such device", name)
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	for _, addr := range n.misplaced(addrs) {
		h.drop(n, single(addr))
		h.put(n, single(addr), lifetime)
		moved = true
	}
	return moved, nil
}

// misplaced are the IPv4 VIPs that are listed before the first own address.
func (n *nic) misplaced(addrs []netip.Addr) []netip.Addr {
	var before []netip.Addr
	for _, a := range n.addrs {
		switch addr := a.prefix.Addr(); {
		case addr.Is6():
		case !a.prefix.IsSingleIP():
			return before
		case slices.Contains(addrs, addr):
			before = append(before, addr)
		}
	}
	return nil
}

// Release implements Addresses.
func (h *host) Release(ctx context.Context, name string, addrs []netip.Addr) error {
	time.Sleep(h.slowness())
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if n := h.nics[name]; n != nil {
		h.takeOff(n, addrs)
	}
	return nil
}

func (h *host) takeOff(n *nic, addrs []netip.Addr) {
	for _, addr := range addrs {
		h.drop(n, single(addr))
	}
}

func (h *host) slowness() time.Duration {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	return h.stall
}

func late(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }
