package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// proofPatience is how long one look for another path may take, and
	// proofPause the pause before the next one.
	proofPatience = 2 * time.Second
	proofPause    = 250 * time.Millisecond
)

// Paths finds out whether others serve.
type Paths interface {
	// Prove asks for the group's service by the network, as a client elsewhere
	// would, from the given address of this node. nil: a node other than this one
	// served.
	Prove(ctx context.Context, v config.VIP, from netip.Addr) error
}

// pathProved is the outcome of a look for another path.
type pathProved struct {
	group  *group
	number uint64
	err    error
}

func (pathProved) event() {}

// proof is what a drain knows of other paths to a group that every node holds.
type proof struct {
	// number tells looks apart. asking: one is under way; askAt: when to look.
	number uint64
	asking bool
	askAt  time.Time
	// proved: another node serves. why: it is not known that one does.
	proved bool
	why    string
}

// beginProof looks for another path when routers have had the time to prefer it.
func (g *group) beginProof(now time.Time) {
	g.proof = proof{number: g.proof.number + 1, askAt: now.Add(g.agent.config.BGP.Leaving.Wait)}
}

// prove looks for another path, when it is time to.
func (g *group) prove(now time.Time) {
	p := &g.proof
	if p.asking || p.proved || !due(p.askAt, now) {
		return
	}
	p.asking, p.askAt = true, time.Time{}
	a, v, number, from := g.agent, g.cfg, p.number, g.own
	a.spawn(func(ctx context.Context) {
		bounded, cancel := context.WithTimeout(ctx, proofPatience)
		defer cancel()
		err := a.edges.Paths.Prove(bounded, v, from)
		a.Post(ctx, pathProved{group: g, number: number, err: err})
	})
}

func (g *group) pathProved(now time.Time, ev pathProved) {
	p := &g.proof
	if ev.number != p.number {
		return
	}
	p.asking, p.proved = false, ev.err == nil
	if ev.err != nil {
		p.why, p.askAt = ev.err.Error(), now.Add(proofPause)
	}
}

// advanceEverywhere looks at a group that every node holds: it is left when
// another node was seen to serve.
func (g *drainedGroup) advanceEverywhere(now time.Time, op *drain) {
	switch {
	case g.machine.Owns() && !g.proof.proved && !(op.request.Force && due(g.forceAt, now)):
		g.prove(now)
		return
	case g.machine.Owns() && g.proof.proved:
		op.say(now, g.group, "another node serves; withdrawing")
		g.step(now, vrrp.Abandon{Reason: election.Drain})
		return
	case g.machine.Owns():
		g.step(now, vrrp.Abandon{Reason: election.Forced, Detail: "vipd drain --force, and no other path was found"})
		return
	case g.releasing:
		return
	case !g.wasOwner:
		op.say(now, g.group, "this node does not hold it")
	case g.proof.proved:
		op.say(now, g.group, "withdrawn; other nodes serve")
	default:
		op.say(now, g.group, "given up without another path")
	}
	g.finished = true
}

// inVain is why a drain did not come to its end in time.
func (op *drain) inVain() string {
	for _, g := range op.groups {
		if g.everywhere() && !g.finished && g.proof.why != "" {
			return "no other path to " + g.cfg.Name + " works: " + g.proof.why
		}
	}
	return "no healthy successor was heard"
}
