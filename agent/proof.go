package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vipd/vipd/peer"
)

const (
	// proofLimit bounds one attempt to prove that a successor serves, proofPause is
	// the time before the next one.
	proofLimit = time.Second
	proofPause = 200 * time.Millisecond
)

// proof is what is known of a successor: that it advertises does not say that
// clients get there.
type proof struct {
	asking bool
	// askAt is when to ask next; zero: at once.
	askAt time.Time
	// of is the owner that was proven to serve.
	of netip.Addr
	// missing is what was not proven, for people.
	missing string
}

func (p *proof) deadline() time.Time {
	if p.asking {
		return time.Time{}
	}
	return p.askAt
}

// proved is the outcome of an attempt.
type proved struct {
	op    *drain
	group *drainedGroup
	owner netip.Addr
	// missing is empty for a proof.
	missing string
}

func (proved) event() {}

// prove tells whether the successor serves new connections: by hello it has
// announced itself, and a connection to the VIP that leaves this host is answered,
// by its station.
func (g *drainedGroup) prove(now time.Time, op *drain, owner netip.Addr) bool {
	p := &g.proof
	switch {
	case p.of == owner || op.request.Force:
		return true
	case g.cfg.Announce.Routed():
		g.seekPath(now)
		return g.path.proved
	case g.link == nil:
		return true
	case p.asking || !p.askAt.IsZero():
		return false
	}
	n, m := g.memberAt(owner)
	if n != nil && n.Condition == peer.Alive && !(m.Role == peer.Owner && m.Announced) {
		p.missing = fmt.Sprintf("%v has not announced the VIP yet", owner)
		return false // its next hello tells
	}
	p.asking = true
	var station string
	if m != nil && m.Link.MAC != [6]byte{} {
		station = net.HardwareAddr(m.Link.MAC[:]).String()
	}
	if len(g.questions()) < len(g.cfg.Addresses) {
		op.say(now, g.group, "this node has no address of its own to ask for each of %v; those are taken as served", g.cfg.Addresses)
	}
	name, questions, listens := g.link.name, g.questions(), len(g.cfg.Health) > 0
	a := g.agent
	a.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, proofLimit)
		defer cancel()
		done := proved{op: op, group: g, owner: owner}
		for _, q := range questions {
			if done.missing = a.knock(ctx, name, q, station, listens); done.missing != "" {
				break
			}
		}
		a.Post(context.WithoutCancel(ctx), done)
	})
	return false
}

// question asks for one address of a VIP, from an own address of its family.
type question struct {
	from netip.Addr
	vip  netip.AddrPort
}

// questions are for each address that this node can ask for.
func (g *group) questions() []question {
	var all []question
	for _, vip := range g.cfg.Addresses {
		var from netip.Addr
		for _, own := range g.agent.interfaces[g.link.name].Addresses {
			addr := own.Prefix.Addr()
			_, other := (*g.agent.watched.Load())[addr]
			if addr.Is6() != vip.Is6() || own.Unusable || other || from.IsValid() && !own.Prefix.Contains(vip) {
				continue
			}
			from = addr
		}
		if from.IsValid() {
			all = append(all, question{from: from, vip: netip.AddrPortFrom(vip, g.cfg.Port)})
		}
	}
	return all
}

// knock asks one question and returns what is missing. listens: a server is to be
// behind the VIP.
func (a *Agent) knock(ctx context.Context, interfaceName string, q question, station string, listens bool) string {
	mac, open, err := a.edges.Prober.Knock(ctx, interfaceName, q.from, q.vip)
	switch {
	case err != nil:
		return err.Error()
	case station != "" && mac != station:
		return fmt.Sprintf("%v is answered by %s, which is not the owner's station %s", q.vip.Addr(), mac, station)
	case listens && !open:
		return fmt.Sprintf("nothing listens at %v on the new owner", q.vip)
	}
	return ""
}

// proved hears of an attempt.
func (a *Agent) proved(now time.Time, ev proved) {
	p := &ev.group.proof
	p.asking = false
	if ev.missing == "" {
		p.of = ev.owner
		return
	}
	p.askAt = now.Add(proofPause)
	if p.missing != ev.missing {
		p.missing = ev.missing
		ev.op.say(now, ev.group.group, "the new owner is not proven to serve: %s", ev.missing)
	}
}
