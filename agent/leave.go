package agent

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// pathPatience is how long one look for another path may take at the most, and
	// pathPause the pause before the next one.
	pathPatience = 5 * time.Second
	pathPause    = 250 * time.Millisecond
)

// Paths finds out whether others serve.
type Paths interface {
	// Prove asks for the group's service by the ways to the given routers, as a
	// client elsewhere would. nil: nodes other than this one served. Of a group that
	// another daemon announces, whose routers are not known and may prefer this node
	// still, it asks by the default route, and nil: another node served too.
	Prove(ctx context.Context, v config.VIP, routers []netip.Addr) error
}

// pathProved is the outcome of a look for another path.
type pathProved struct {
	group  *group
	number uint64
	err    error
}

func (pathProved) event() {}

// pathProof is what a drain knows of other paths to a VIP behind routers.
type pathProof struct {
	// number tells looks apart. asking: one is under way; askAt: when to look.
	number uint64
	asking bool
	askAt  time.Time
	// proved: another node serves. why: it is not known that one does.
	proved bool
	why    string
}

// beginPath looks for another path when routers have had the time to prefer it.
// What another daemon announces can not be made worse, so there is nothing to wait
// for; where one node is elected, its advert is what is known of it.
func (g *group) beginPath(now time.Time) {
	g.path = pathProof{number: g.path.number + 1}
	switch {
	case g.cfg.Announce == config.AnnounceBGP:
		g.path.askAt = now.Add(g.agent.config.BGP.Leaving.Wait)
	case g.everywhere():
		g.path.askAt = now
	case g.cfg.Announce == config.AnnounceLocal:
		g.path.proved = true
	}
}

// seekPath looks for another path, when it is time to.
func (g *group) seekPath(now time.Time) {
	p := &g.path
	if p.asking || p.proved || !due(p.askAt, now) {
		return
	}
	p.asking, p.askAt = true, time.Time{}
	a, v, number, routers := g.agent, g.cfg, p.number, g.agent.routersToAsk()
	a.spawn(func(ctx context.Context) {
		bounded, cancel := context.WithTimeout(ctx, pathPatience)
		defer cancel()
		err := a.edges.Paths.Prove(bounded, v, routers)
		a.Post(ctx, pathProved{group: g, number: number, err: err})
	})
}

// routersToAsk are those with a session: no other one was told a way here. Where
// there is none, one of them may work all the same.
func (a *Agent) routersToAsk() []netip.Addr {
	var all, told []netip.Addr
	for _, n := range a.config.BGP.Neighbors {
		all = append(all, n.Address)
		if r, _ := reportOn(n.Address, a.announcing.state.Report); isEstablished(r) {
			told = append(told, n.Address)
		}
	}
	if len(told) > 0 {
		return told
	}
	return all
}

// pathDeadline is when seekPath is due; zero: it is not to be called, because a
// group that every node holds was left.
func (g *group) pathDeadline() time.Time {
	if g.everywhere() && !g.machine.Owns() {
		return time.Time{}
	}
	return g.path.askAt
}

// withdrawing: another path is proved, and what is left of the drain ends by
// itself when routers have had their time.
func (g *group) withdrawing() bool { return g.releasing && g.path.proved }

func (g *group) pathProved(now time.Time, ev pathProved) {
	p := &g.path
	if ev.number != p.number {
		return
	}
	p.asking, p.proved = false, ev.err == nil
	if ev.err != nil {
		p.why, p.askAt = ev.err.Error(), now.Add(pathPause)
	}
}

// advanceEverywhere looks at a group that every node holds: it is left when
// another node was seen to serve.
func (g *drainedGroup) advanceEverywhere(now time.Time, op *drain) {
	switch {
	case g.machine.Owns() && g.path.proved:
		op.say(now, g.group, "another node serves; withdrawing")
		g.step(now, vrrp.Abandon{Reason: election.Drain})
		return
	case g.machine.Owns() && op.request.Force && due(g.forceAt, now):
		g.step(now, vrrp.Abandon{Reason: election.Forced, Detail: "vipd drain --force, and no other path was found"})
		return
	case g.machine.Owns():
		g.seekPath(now)
		return
	case g.releasing:
		return
	case !g.wasOwner:
		op.say(now, g.group, "this node does not hold it")
	case g.path.proved:
		op.say(now, g.group, "withdrawn; other nodes serve")
	default:
		op.say(now, g.group, "given up without another path")
	}
	g.finished = true
}

// pathless is why a drain found no other path to a VIP behind routers in time;
// empty: that is not why.
func (op *drain) pathless() string {
	for _, g := range op.groups {
		waits := g.everywhere() || !g.machine.Owns()
		if g.finished || !g.cfg.Announce.Routed() || !waits {
			continue
		}
		if why := g.pathless(); why != "" {
			return why
		}
	}
	return ""
}

// pathless is why no other path to the group is known; empty: one is, or none is
// looked for.
func (g *group) pathless() string {
	switch p := &g.path; {
	case p.proved:
		return ""
	case p.why != "":
		return "no other path to the VIP is known to work: " + p.why
	case p.asking:
		return "no other path to the VIP was found in time; give the drain longer (--timeout, drain.timeout)"
	case !p.askAt.IsZero():
		return fmt.Sprintf("it was too early to look for another path: routers get bgp.leaving.wait, %v, to prefer one first; give the drain longer (--timeout, drain.timeout)", g.agent.config.BGP.Leaving.Wait)
	}
	return ""
}
