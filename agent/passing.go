package agent

import (
	"net/netip"
	"time"
)

// blockedAfter is how long packets must have been passed on without one of them
// leaving this host.
const blockedAfter = 200 * time.Millisecond

// passing is what became of the packets that were passed on.
type passing struct {
	// read is what was read last; on counts over all readings, as the kernel's own
	// count begins anew with new rules.
	read Passed
	on   uint64
	// heldBackSince is when packets were first seen to be passed on and not to
	// leave; blocked says why nothing is passed on any more.
	heldBackSince time.Time
	blocked       string
}

// note takes in a reading, and tells whether packets have been passed on for a
// while and none left.
func (p *passing) note(now time.Time, next Passed) (blocked bool) {
	was := p.read
	if next.On < was.On || next.Left < was.Left {
		was = Passed{}
	}
	p.read = next
	p.on += next.On - was.On
	switch {
	case next.Left > was.Left:
		p.heldBackSince = time.Time{}
	case next.On > was.On && p.heldBackSince.IsZero():
		p.heldBackSince = now
	}
	return !p.heldBackSince.IsZero() && now.Sub(p.heldBackSince) >= blockedAfter
}

// notePassed judges whether what the group passes on leaves this host.
func (g *group) notePassed(now time.Time, all map[netip.Addr]Passed) {
	h := &g.handover
	if h.told.prev == (Hop{}) || all == nil {
		return
	}
	var sum Passed
	for _, addr := range g.cfg.Addresses {
		sum.On += all[addr].On
		sum.Left += all[addr].Left
	}
	blocked := h.passing.note(now, sum)
	g.counters.Forwarded.Store(h.passing.on)
	switch {
	case blocked && h.passing.blocked == "":
		rule := g.agent.edges.Flows.AcceptRule(g.cfg.Port)
		h.passing.blocked = "this host's firewall drops what is passed on; add to its output chain: " + rule
		g.log.Warn("open connections cannot be carried: what is passed on to the former owner does not leave this host. They are reset; add the rule to the output chain of the firewall", "rule", rule)
		g.carry(now)
	case !h.passing.heldBackSince.IsZero():
		g.agent.renewAt = earliest(g.agent.renewAt, h.passing.heldBackSince.Add(blockedAfter))
	}
}

// carried hears what the carrier did.
func (a *Agent) carried(now time.Time, ev carried) {
	a.noteRulesError(ev.err)
	for g, done := range ev.groups {
		g.carried(now, ev.version, done)
	}
	for _, g := range a.groups {
		g.notePassed(now, ev.passed)
	}
}

// noteRulesError tells once of rules that the kernel refused.
func (a *Agent) noteRulesError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == a.rulesError:
	case text == "":
		a.log.Info("the kernel takes the rules for open connections again")
	default:
		a.log.Warn("the kernel refuses the rules for open connections: VIPs move all the same, but connections that are open then are reset", "error", text)
	}
	a.rulesError = text
}

// count is a number of connections as counters have it.
func count(n int) uint64 { return uint64(max(0, n)) } //nolint:gosec // not negative
