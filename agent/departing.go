package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
)

// depart goes on serving addresses that the configuration took from a group,
// until no router sends to them any more: to the group's end it is as if the node
// were drained of them. What departs has no election and no health; the fence is
// kept up for it.
func (a *Agent) depart(now time.Time, from *group, addrs []netip.Addr) {
	g := &group{
		agent: a, log: from.log, cfg: from.cfg, machine: resigned(), counters: from.counters,
		shown: shown{state: StateInit}, endFollowing: func() {},
		gone: true, wanted: true, releasing: true, held: slices.Clone(addrs), route: from.route,
	}
	g.cfg.Election, g.cfg.Addresses = config.ElectionNone, g.held
	g.route.leave(now)
	if g.cfg.Fence > 0 {
		g.refreshAt = now // from now on it is this one's
	}
	a.departing = append(a.departing, g)
	g.log.Info("the configuration has the addresses no more; their routes are made worse, then withdrawn, and the addresses go last", "addresses", addrs)
}

// resigned is the elector of what has no election any more.
func resigned() elector {
	m := &everyNode{state: vrrp.Backup, duty: vrrp.Resign}
	return elector{standing: m, every: m}
}

// tickDeparting takes off what no router sends to any more.
func (a *Agent) tickDeparting(now time.Time) {
	if len(a.departing) == 0 {
		return
	}
	for _, g := range a.departing {
		g.tickDeparture(now)
	}
	a.departing = slices.DeleteFunc(a.departing, func(g *group) bool { return !g.wanted && !g.releasing })
}

func (g *group) tickDeparture(now time.Time) {
	g.yield()
	if g.wanted && len(g.cfg.Addresses) == 0 && (len(g.held) == 0 || g.route.left(now)) {
		g.wanted, g.releasing, g.held = false, false, nil
		return
	}
	if due(g.refreshAt, now) && len(g.cfg.Addresses) > 0 {
		g.refreshAt = now.Add(g.cfg.Fence / refreshes)
		g.order(now, order{hold: true})
	}
	g.tickRoute(now)
}

// yield leaves addresses to groups that hold them in the same place from now on.
// They are announced until that other one announces them.
func (g *group) yield() {
	for _, o := range g.agent.groups {
		if !o.wanted || o.seat() != g.seat() {
			continue
		}
		g.cfg.Addresses = without(g.cfg.Addresses, o.cfg.Addresses)
		g.held = without(g.held, o.held)
	}
}

// without is a new list of those that are not among others.
func without(addrs, others []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return slices.Contains(others, a) })
}

// departingDeadline is when tickDeparting is due; zero: not.
func (a *Agent) departingDeadline() time.Time {
	var d time.Time
	for _, g := range a.departing {
		d = earliest(d, earliest(g.refreshAt, g.route.deadline()))
	}
	return d
}
