package agent

import (
	"net/netip"
	"time"
)

// blockedAfter is how long packets must have been passed on without one of them
// leaving this host.
const blockedAfter = 200 * time.Millisecond

// passing is what became of the packets that a group passed on.
type passing struct {
	by map[netip.Addr]*passage
	// on counts over all readings, as the kernel's own count begins anew with new
	// rules.
	on uint64
	// blocked says why nothing is passed on any more.
	blocked string
}

// passage is what became of the packets of one VIP.
type passage struct {
	read Passed
	// heldBackSince is when packets were first seen to be passed on and not to
	// leave.
	heldBackSince time.Time
}

// forget begins anew; what was read is known still.
func (p *passing) forget() {
	p.blocked = ""
	for _, one := range p.by {
		one.heldBackSince = time.Time{}
	}
}

// note takes in a reading of one VIP, and tells how many packets were passed on
// since the last, and whether none has left for a while.
func (p *passage) note(now time.Time, next Passed) (on uint64, blocked bool) {
	was := p.read
	if next.On < was.On || next.Left < was.Left {
		was = Passed{}
	}
	p.read = next
	switch {
	case next.Left > was.Left:
		p.heldBackSince = time.Time{}
	case next.On > was.On && p.heldBackSince.IsZero():
		p.heldBackSince = now
	}
	return next.On - was.On, !p.heldBackSince.IsZero() && now.Sub(p.heldBackSince) >= blockedAfter
}

// notePassed judges whether what the group passes on leaves this host.
func (g *group) notePassed(now time.Time, all map[netip.Addr]Passed) {
	h := &g.handover
	if h.told.prev == (Hop{}) || all == nil {
		return
	}
	p := &h.passing
	if p.by == nil {
		p.by = map[netip.Addr]*passage{}
	}
	anyBlocked := false
	for _, addr := range g.cfg.Addresses {
		if p.by[addr] == nil {
			p.by[addr] = &passage{}
		}
		on, blocked := p.by[addr].note(now, all[addr])
		p.on += on
		anyBlocked = anyBlocked || blocked
		if since := p.by[addr].heldBackSince; !since.IsZero() && !blocked {
			g.agent.renewAt = earliest(g.agent.renewAt, since.Add(blockedAfter))
		}
	}
	g.counters.Forwarded.Store(p.on)
	if anyBlocked && p.blocked == "" {
		rule := g.agent.edges.Flows.AcceptRule(g.cfg.Port)
		p.blocked = "this host's firewall drops what is passed on; add to its output chain: " + rule
		g.log.Warn("open connections cannot be carried: what is passed on to the former owner does not leave this host. They are reset; add the rule to the output chain of the firewall and run vipd reload", "rule", rule)
		g.carry(now)
	}
}
