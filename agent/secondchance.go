package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/peer"
)

const (
	// flowLifetime is how long the kernel keeps a shadow, and passes packets on,
	// after the last renewal of a daemon that runs; flowRenewal is the time between renewals.
	flowLifetime = 3 * time.Second
	flowRenewal  = time.Second
	// ownerLifetime is that of an owner's rules while it passes nothing on: left
	// behind, they do nothing.
	ownerLifetime = 10 * time.Minute
	ownerRenewal  = ownerLifetime / 3
	// freshLead is how long after a move what is passed on is looked at often: a
	// firewall that drops it shows then.
	freshLead = 2 * time.Second
	// rulesWait is how long addresses and announcements wait for rules. nftables
	// may be busy with others' transactions; new connections matter more then.
	rulesWait = 250 * time.Millisecond
)

// handover is this node's place in the chain of a group's owners.
type handover struct {
	chain chain
	// ledAt is when this node last set out to lead it.
	ledAt time.Time
	// before is the chain before this node set out to lead it; leading: it has not
	// come to own yet.
	before  chain
	leading bool
	// left is the living owner that this node displaced.
	left peer.ID
	// silent is the owner that fell silent before this node took over: it is not
	// passed on to until it is heard again.
	silent netip.Addr
	// rival is a second owner that was just met, and that hellos may not tell of
	// yet; it counts until rivalUntil.
	rival      Hop
	rivalUntil time.Time
	// predecessor is whom this node passes on to.
	predecessor peer.ID
	passing     passing
	// told is what the carrier was told last, version the carrier's number of it.
	told       carriage
	version    uint64
	carryError string
}

// lead puts this node at the head of the chain, before the owner that it leaves.
func (g *group) lead(now time.Time, silent bool) {
	h := &g.handover
	h.before, h.ledAt = h.chain, now
	h.silent, h.left, h.leading = netip.Addr{}, peer.ID{}, true
	h.passing.forget()
	owner, _ := g.machine.Owner(now)
	switch n, _ := g.memberAt(owner.Addr); {
	case silent:
		h.silent = owner.Addr
	case n != nil:
		h.left, h.chain = n.ID, h.chain.led(n.ID)
	}
	h.chain = h.chain.led(g.agent.cluster.id)
}

// follow takes over the chain of the owner, or as owner adds to it who carries
// connections unknown to it.
func (g *group) follow(now time.Time) {
	h, c := &g.handover, &g.agent.cluster
	for n := range c.table.All() {
		m := g.member(n)
		switch {
		case m == nil:
		case g.machine.Owns() && m.Role == peer.Shadow:
			h.chain = h.chain.joined(n.ID)
		case !g.wanted && m.Role == peer.Owner && m.Announced && g.advertises(now, m.Source):
			if !slices.Equal(h.chain, m.Holders) {
				h.chain = slices.Clone(m.Holders)
			}
			if slices.Contains(m.Holders, c.id) {
				g.heeded(m.Heard)
			}
		}
	}
	g.carry(now)
}

// meetRival passes on to a second owner, which is to yield: its connections live
// on.
func (g *group) meetRival(now time.Time) {
	h := &g.handover
	rival, there := g.machine.Rival(now)
	if !there {
		return
	}
	h.rival, h.rivalUntil = g.hopAt(rival.Addr), now.Add(peer.Lifetime)
	if n, _ := g.memberAt(rival.Addr); n != nil {
		h.chain = h.chain.joined(n.ID)
	}
	g.carry(now)
}

// memberAt is the peer, alive or not, whose part in the group has the address.
func (g *group) memberAt(addr netip.Addr) (*peer.Node, *peer.Member) {
	for n := range g.agent.cluster.table.All() {
		if m := n.Member(g.cfg.Addresses); m != nil && m.Source == addr {
			return n, m
		}
	}
	return nil, nil
}

// carries tells whether a node still has connections of the group. One that said
// that it owns the VIP lives while its adverts are heard.
func (g *group) carries(now time.Time, id peer.ID) bool {
	n := g.agent.cluster.table.Node(id)
	if n == nil || g.link == nil || !n.Capabilities.Has(peer.Shadows) {
		return false
	}
	m := n.Member(g.cfg.Addresses)
	if m == nil || m.Done || m.Interface != g.link.name {
		return false
	}
	switch m.Role {
	case peer.Shadow:
		return n.Condition == peer.Alive || n.Condition == peer.Left && now.Sub(m.Heard) < m.Grace
	case peer.Claiming:
		return n.Condition == peer.Alive
	case peer.Owner, peer.Listening:
		// Of the one that this node displaced the next hello may be late.
		left := id == g.handover.left && n.Condition == peer.Alive && now.Sub(g.handover.ledAt) < peer.Lifetime
		return left || g.advertises(now, m.Source)
	default:
		return false
	}
}

// advertises tells whether another node's adverts are heard, whatever their
// priority: who resigns serves on until its successor does.
func (g *group) advertises(now time.Time, from netip.Addr) bool {
	owner, _ := g.machine.Owner(now)
	rival, _ := g.machine.Rival(now)
	fresh := func(s vrrp.Sighting) bool {
		return s.Addr == from && now.Sub(s.Heard) < s.ActiveDownInterval(0)
	}
	return fresh(rival) || from != g.handover.silent && fresh(owner)
}

// passOnTo is where this node passes on what it does not know, and whether that
// node changes its own part just now.
func (g *group) passOnTo(now time.Time) (to Hop, settling bool) {
	h := &g.handover
	h.predecessor = peer.ID{}
	if h.passing.blocked != "" {
		return Hop{}, false
	}
	next := h.chain.after(g.agent.cluster.id, func(id peer.ID) bool { return g.carries(now, id) })
	switch {
	case !next.IsZero():
		h.predecessor = next
		m := g.agent.cluster.table.Node(next).Member(g.cfg.Addresses)
		return g.hop(m), m.Role == peer.Claiming
	case g.wanted && now.Before(h.rivalUntil):
		return h.rival, false
	}
	return Hop{}, false
}

// carriage is what the group wants of the kernel for its open connections.
func (g *group) carriage(now time.Time) carriage {
	if !g.preserves() || g.link == nil || g.gone {
		return carriage{}
	}
	w := carriage{
		placed: placed{interfaceName: g.link.name, addrs: g.cfg.Addresses},
		errand: errand{name: g.cfg.Name, port: g.cfg.Port, lifetime: flowLifetime},
	}
	switch {
	case g.wanted && (g.byLease() || !g.listens()):
		// Who passes a lease on is off the segment, and takes new work from those
		// who do not know yet.
		w.part, w.onLo = owning, g.shadow.casts() && !g.shadow.absent
		if w.onLo && g.byLease() {
			lifetime, by := g.machine.lease.Lifetime(now, flowLifetime)
			switch {
			case lifetime == 0 && g.handover.told.onLo && !g.handover.told.until.IsZero():
				return g.handover.told // it ends in the kernel, which was told until when
			case lifetime == 0:
				return carriage{}
			}
			if !by.IsZero() {
				w.until = by.Add(lifetime)
			}
		}
		w.prev, w.settling = g.passOnTo(now)
		if w.prev == (Hop{}) && !w.onLo {
			w.lifetime = ownerLifetime
		}
		return w
	case g.shadow.casts():
		w.part, w.onLo, w.rulesFirst = shadowing, true, g.shadow.absent
		w.prev, w.settling = g.passOnTo(now)
		if owner, _ := g.machine.Owner(now); g.advertises(now, owner.Addr) {
			w.owner = g.hopAt(owner.Addr)
		}
		if g.shadow.absent && w.owner == (Hop{}) {
			return carriage{}
		}
		return w
	}
	return carriage{}
}

// carry tells the carrier what the group wants, if that changed, and returns the
// carrier's version of it.
func (g *group) carry(now time.Time) uint64 {
	h := &g.handover
	if g.shadow.ends() && !g.wanted {
		return h.version // what ends is not to be begun again before it is over
	}
	w := g.carriage(now)
	if w.equal(&h.told) {
		return h.version
	}
	h.told = w
	h.version = g.agent.carrier.set(g, w)
	g.agent.planRenewal(now)
	return h.version
}

// hopAt is the node that adverts come from at the address.
func (g *group) hopAt(addr netip.Addr) Hop {
	if _, m := g.memberAt(addr); m != nil {
		return g.hop(m)
	}
	var h Hop
	if g.advertFrom == addr {
		h.MAC = g.advertMAC
	}
	if addr.Is4() {
		h.V4 = addr
	} else {
		h.V6 = addr
	}
	return h
}

// hop is a peer as next hop.
func (g *group) hop(m *peer.Member) Hop {
	return Hop{V4: g.neighbour(m, false), V6: g.neighbour(m, true), MAC: m.Link.MAC}
}

// neighbour is an address of the peer that this node reaches without a router;
// the zero Addr: none is known.
func (g *group) neighbour(m *peer.Member, ipv6 bool) netip.Addr {
	near := func(addr netip.Addr) bool {
		return addr.Is6() == ipv6 && (addr.Is6() && addr.IsLinkLocalUnicast() || g.agent.interfaces[g.link.name].reaches(addr))
	}
	if near(m.Source) {
		return m.Source
	}
	if i := slices.IndexFunc(m.Link.Addresses, near); i >= 0 {
		return m.Link.Addresses[i]
	}
	return netip.Addr{}
}

// reaches tells whether an address is in a subnet of the interface.
func (i Interface) reaches(addr netip.Addr) bool {
	return slices.ContainsFunc(i.Addresses, func(a Address) bool { return !a.Prefix.IsSingleIP() && a.Prefix.Masked().Contains(addr) })
}

// planRenewal plans when the kernel has to hear again of what it keeps up.
func (a *Agent) planRenewal(now time.Time) {
	var at time.Time
	for _, g := range a.groups {
		switch w := &g.handover.told; {
		case w.part == apart && !w.onLo:
		case w.lifetime == ownerLifetime:
			at = earliest(at, now.Add(ownerRenewal))
		case w.prev != (Hop{}) && now.Sub(g.handover.ledAt) < freshLead:
			at = earliest(at, now.Add(blockedAfter))
		default:
			at = earliest(at, now.Add(flowRenewal))
		}
	}
	a.renewAt = at
}

// tickCarrier renews what the kernel keeps up for this node.
func (a *Agent) tickCarrier(now time.Time) {
	if due(a.adoptBy, now) {
		a.adoptBy = time.Time{}
		a.carrier.resume()
	}
	if !due(a.renewAt, now) {
		return
	}
	for _, g := range a.groups {
		g.carry(now)
	}
	a.carrier.renew()
	a.planRenewal(now)
}
