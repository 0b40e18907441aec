package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/peer"
)

// reach asks the sender of the advert at hand, and the other members, whether
// they hear this host.
func (g *group) reach(r vrrp.Reach) {
	if g.link == nil {
		return
	}
	name, of, mac, third := g.link.name, r.Of, g.agent.frame.MAC, g.third(r.Of)
	g.agent.spawn(func(ctx context.Context) {
		answer, err := g.agent.edges.Prober.Reach(ctx, name, of, mac, third)
		answer.Attempt = r.Attempt
		g.agent.Post(ctx, reached{group: g, of: of, Reached: answer, err: err})
	})
}

// third are the members besides one other: those that live by their hellos, else
// those of the configuration. The silence of one that is off proves nothing.
func (g *group) third(other netip.Addr) []netip.Addr {
	var all []netip.Addr
	for n := range g.agent.cluster.table.All() {
		if m := g.member(n); m != nil {
			all = append(all, m.Source)
		}
	}
	if len(all) == 0 {
		all = g.peers()
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return a == other })
}

func (g *group) reached(now time.Time, r reached) {
	if r.err != nil {
		g.log.Warn("nobody could be asked whether this node is heard; nothing is concluded", "error", r.err)
		r.Other = vrrp.Unclear
	}
	if r.Other == vrrp.Silent && r.Third > 0 && g.agent.hearsOthers(now, r.of) {
		g.log.Debug("the other owner does not hear this node, but says that it hears others", "of", r.of)
		r.Other = vrrp.Unclear
	}
	g.step(now, r.Reached)
}

// hearsOthers tells whether the node at an address says in its hellos that it
// hears any node: frames get lost on the way from here to there, not all around
// it.
func (a *Agent) hearsOthers(now time.Time, at netip.Addr) bool {
	for n := range a.cluster.table.All() {
		fresh := !n.Overheard.IsZero() && now.Sub(n.Overheard) < peer.Lifetime
		if fresh && n.Echoes > 0 && slices.ContainsFunc(n.Members, func(m peer.Member) bool { return m.Source == at }) {
			return true
		}
	}
	return false
}
