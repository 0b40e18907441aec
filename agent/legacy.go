package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/peer"
)

const (
	// adoptWait is how long the rules of an earlier life are left as they are: the
	// owner tells a shadow's place in the chain, and the nodes behind it that they
	// live.
	adoptWait = 1500 * time.Millisecond
	// bequestWait is how long a stop waits for the kernel.
	bequestWait = time.Second
)

// findShadows looks what an earlier life left in the kernel.
func (a *Agent) findShadows(now time.Time) {
	var addrs []netip.Addr
	for _, g := range a.groups {
		addrs = append(addrs, g.cfg.Addresses...)
	}
	found, err := a.edges.Flows.FindShadows(context.Background(), addrs)
	if err != nil {
		a.log.Warn("what an earlier vipd carries is not known; it ends by itself", "error", err)
	}
	a.found = found
	if len(found) > 0 {
		a.adoptBy = now.Add(adoptWait)
		a.carrier.pause()
	}
	a.carrier.renew()
}

// inherit takes over, on the group's interface, what an earlier life left there;
// what cannot be carried on is ended.
func (g *group) inherit(now time.Time) {
	if g.inherited {
		return
	}
	g.inherited = true
	found := func(addr netip.Addr) bool { return slices.Contains(g.agent.found, addr) }
	here := slices.ContainsFunc(g.cfg.Addresses, found)
	if here && g.becomeShadow(now) {
		g.shadow.adopted = true
		g.log.Info("an earlier vipd on this node was owner; the connections that are open here are carried on")
		g.carry(now)
		return
	}
	if !here && (g.leftBehind() || !g.agent.abilities.Resets) {
		return
	}
	// Sockets of a VIP that is not on this host any more are as good as dead.
	g.agent.carrier.set(g, carriage{
		placed: placed{interfaceName: g.link.name, addrs: g.cfg.Addresses},
		errand: errand{name: g.cfg.Name, port: g.cfg.Port, end: endAll, cause: EndUnkept},
	})
}

// heeded notes that the owner passes on to this node. What an earlier life passed
// on stays as it is while a node behind this one may be alive and unheard.
func (g *group) heeded(at time.Time) {
	g.shadow.heededAt = at
	unheard := func(id peer.ID) bool { return g.agent.cluster.table.Node(id) == nil }
	if !g.agent.adoptBy.IsZero() && !g.handover.chain.after(g.agent.cluster.id, unheard).IsZero() {
		return
	}
	g.shadow.adopted = false
	if !slices.ContainsFunc(g.agent.groups, func(o *group) bool { return o.shadow.adopted }) {
		g.agent.carrier.resume()
	}
}

// bequeath leaves to the kernel what this node carries, for what is left of the
// grace: the next life adopts it. What an owner passes on ends with its fence.
func (a *Agent) bequeath(now time.Time) {
	var version uint64
	for _, g := range a.groups {
		s := &g.shadow
		w := g.carriage(now)
		switch {
		case !s.casts() || s.muted || s.adopted || s.done() || s.cut != 0 || w.part != shadowing:
			continue
		case s.cause != "" || g.graceLeft(now) == 0:
			w.end, w.cause = endAll, s.cause
		default:
			w.lifetime = max(g.graceLeft(now), flowLifetime)
			g.log.Info("open connections live on in the kernel until the next start of vipd", "at most", w.lifetime.Round(time.Second))
		}
		version = a.carrier.set(g, w)
	}
	if !a.carrier.settle(nil, version, now.Add(bequestWait)) {
		a.log.Warn("the kernel was not told in time to keep open connections; they may be reset")
	}
}
