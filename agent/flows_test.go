package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// kernelFlows is what a host's kernel has for open connections. Without able it
// cannot carry any.
type kernelFlows struct {
	able  Abilities
	rules map[netip.Addr]*ruled
	lo    map[netip.Addr]time.Time
	// busy is how long each transaction waits for those of others; refusing makes
	// them fail, and shadeless shadows.
	busy      time.Duration
	refusing  error
	shadeless error
	// filtered: the host's firewall drops what is passed on. passed counts it.
	filtered bool
	passed   map[netip.Addr]Passed
	locals   int
	flushed  feed[struct{}]
}

// ruled is a rule with its end.
type ruled struct {
	FlowGroup
	ends time.Time
}

// everything is what a new kernel can do.
var everything = Abilities{IPv4: true, IPv6: true, Resets: true, LocalClients: true}

// connection is a client's open connection to a VIP. It breaks when its packets
// do not get to its server.
type connection struct {
	to    netip.Addr
	home  *host
	ended string
}

// dial opens a connection where the VIP is now.
func (l *lan) dial(addr string) *connection {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := netip.MustParseAddr(addr)
	home := l.cache[a]
	if home == nil || !home.answers(a) {
		l.t.Fatalf("nobody serves %v", a)
	}
	c := &connection{to: a, home: home}
	l.connections = append(l.connections, c)
	return c
}

// hangUp closes a connection at the client.
func (c *connection) hangUp() {
	c.home.lan.mu.Lock()
	defer c.home.lan.mu.Unlock()
	c.ended = "closed by the client"
}

// fate is how a connection ended; empty: it is open.
func (c *connection) fate() string {
	c.home.lan.mu.Lock()
	defer c.home.lan.mu.Unlock()
	return c.ended
}

// alive fails the test if the connection ended.
func (c *connection) alive(t *testing.T) {
	t.Helper()
	if fate := c.fate(); fate != "" {
		t.Errorf("the connection to %s was %s", c.home.name, fate)
	}
}

// trace follows a packet of each open connection. The lock is held.
func (l *lan) trace() {
	for _, c := range l.connections {
		if c.ended != "" || l.part[c.home] != 0 {
			continue // behind a cut cable it waits
		}
		if end := l.path(c); end != "" {
			c.ended = end
		}
	}
}

// path is where a packet of the connection ends that does not get home; empty:
// it does.
func (l *lan) path(c *connection) string {
	at, stamped := l.cache[c.to], false
	for range 11 {
		if at == nil || l.part[at] != 0 || !at.nics["eth0"].up {
			return "" // nothing answers: the client sends again
		}
		present := at.answers(c.to) || at.flows.onLo(c.to)
		r := at.flows.rules[c.to]
		if r != nil && !time.Now().Before(r.ends) {
			r = nil
		}
		hop := Hop{}
		switch {
		case at == c.home && present:
			return ""
		case r == nil && !present:
			return "" // no host has the address: the client sends again
		case r != nil && r.Shadow && !stamped:
			hop = r.Owner
		case r != nil:
			hop = r.Prev
		}
		switch {
		case hop == (Hop{}) && present:
			return "reset by " + at.name
		case hop == (Hop{}):
			return "" // the client sends again
		}
		at, stamped = l.at(hop), true
	}
	return "" // dropped or reset: it circles while roles change
}

// at is the host that is a next hop.
func (l *lan) at(hop Hop) *host {
	for _, h := range l.hosts {
		if hop.MAC == h.mac || slices.ContainsFunc(h.own(), func(p netip.Prefix) bool { return p.Addr() == hop.V4 || p.Addr() == hop.V6 }) {
			return h
		}
	}
	return nil
}

func (k *kernelFlows) onLo(addr netip.Addr) bool {
	ends, ok := k.lo[addr]
	return ok && time.Now().Before(ends)
}

// open counts connections that end here. The lock is held.
func (h *host) open(addrs []netip.Addr) []*connection {
	var all []*connection
	for _, c := range h.lan.connections {
		if c.ended == "" && c.home == h && slices.Contains(addrs, c.to) {
			all = append(all, c)
		}
	}
	return all
}

// Abilities implements Flows.
func (p *process) Abilities() Abilities {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	return p.flows.able
}

// Apply implements Flows.
func (p *process) Apply(_ context.Context, groups []FlowGroup) error {
	if p.gone() {
		return errKilled
	}
	p.lan.mu.Lock()
	busy := p.flows.busy
	p.lan.mu.Unlock()
	time.Sleep(busy)
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	if p.flows.refusing != nil {
		return p.flows.refusing
	}
	next := map[netip.Addr]*ruled{}
	for _, g := range groups {
		for _, addr := range g.Addresses {
			if next[addr] != nil {
				return fmt.Errorf("%v is in two groups", addr)
			}
			next[addr] = &ruled{FlowGroup: g, ends: time.Now().Add(g.Lifetime)}
		}
	}
	changed := len(next) != len(p.flows.rules)
	for addr, r := range next {
		was := p.flows.rules[addr]
		changed = changed || was == nil || was.Shadow != r.Shadow || was.Prev != r.Prev || was.Owner != r.Owner
	}
	p.flows.rules = next
	if changed {
		p.lan.note(p.host, "has other rules")
	}
	return nil
}

// HoldShadow implements Flows.
func (p *process) HoldShadow(_ context.Context, _ string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) error {
	switch {
	case p.gone():
		return errKilled
	case late(deadline):
		return errLate
	}
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	if p.flows.shadeless != nil {
		return p.flows.shadeless
	}
	if p.flows.lo == nil {
		p.flows.lo = map[netip.Addr]time.Time{}
	}
	for _, addr := range addrs {
		if !p.flows.onLo(addr) {
			defer p.lan.note(p.host, "shadows %v", addr)
		}
		p.flows.lo[addr] = time.Now().Add(lifetime)
	}
	return nil
}

// ReleaseShadow implements Flows.
func (p *process) ReleaseShadow(_ context.Context, _ string, addrs []netip.Addr) error {
	if p.gone() {
		return errKilled
	}
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	for _, addr := range addrs {
		if p.flows.onLo(addr) {
			defer p.lan.note(p.host, "ends its shadow of %v", addr)
		}
		delete(p.flows.lo, addr)
	}
	return nil
}

// FindShadows implements Flows.
func (p *process) FindShadows(_ context.Context, addrs []netip.Addr) ([]netip.Addr, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !p.flows.onLo(a) }), nil
}

// Connections implements Flows.
func (p *process) Connections(_ context.Context, addrs []netip.Addr, _ uint16) (Connections, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	return Connections{Own: p.flows.locals, Remote: len(p.open(addrs))}, nil
}

// Reset implements Flows. In memory all connections are busy for ever.
func (p *process) Reset(_ context.Context, addrs []netip.Addr, _ uint16, onlyIdle bool) (int, error) {
	if p.gone() {
		return 0, errKilled
	}
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	if onlyIdle {
		return 0, nil
	}
	all := p.open(addrs)
	for _, c := range all {
		c.ended = "reset by its server"
	}
	return len(all), nil
}

// ResetClients implements Flows.
func (p *process) ResetClients(context.Context, []netip.Addr, uint16) (int, error) { return 0, nil }

// Passed implements Flows.
func (p *process) Passed(context.Context) (map[netip.Addr]Passed, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	all := map[netip.Addr]Passed{}
	for _, c := range p.lan.connections {
		if r := p.flows.rules[c.to]; c.ended == "" && c.home != p.host && r != nil && r.Prev != (Hop{}) && p.lan.cache[c.to] == p.host {
			one := p.flows.passed[c.to]
			one.On++
			if !p.flows.filtered {
				one.Left++
			}
			if p.flows.passed == nil {
				p.flows.passed = map[netip.Addr]Passed{}
			}
			p.flows.passed[c.to] = one
		}
	}
	for addr, one := range p.flows.passed {
		all[addr] = one
	}
	return all, nil
}

// WatchRules implements Flows.
func (p *process) WatchRules(ctx context.Context, fn func()) error {
	p.flows.flushed.follow(ctx.Done(), func() {}, func(struct{}) { fn() })
	return nil
}

// AcceptRule implements Flows.
func (p *process) AcceptRule(port uint16) string { return fmt.Sprintf("accept %d", port) }

// oldKernel is a kernel that has nothing for open connections.
type oldKernel struct{ Flows }

func (oldKernel) Abilities() Abilities { return Abilities{Missing: "everything"} }

func (oldKernel) Reset(context.Context, []netip.Addr, uint16, bool) (int, error) {
	return 0, errors.New("no SOCK_DESTROY")
}

func (oldKernel) FindShadows(context.Context, []netip.Addr) ([]netip.Addr, error) { return nil, nil }
