package agent

import (
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/vrrp"
)

// elector decides whether this node holds a group's addresses. It is pure, and
// speaks in the events and actions of package vrrp. One of its machines is set;
// an interface in their place would make each event escape to the heap, and
// adverts come by the thousand.
type elector struct {
	standing
	vrrp  *vrrp.Machine
	lease *lease.Machine
	every *everyNode
}

// Step tells an event and returns what to do, in order, before the next Step.
func (e *elector) Step(now time.Time, ev vrrp.Event) []vrrp.Action {
	switch {
	case e.every != nil:
		return e.every.Step(now, ev)
	case e.lease != nil:
		return e.lease.Step(now, ev)
	}
	return e.vrrp.Step(now, ev)
}

// standing is what an elector knows.
type standing interface {
	// Deadline is when a vrrp.Tick is wanted; zero: never.
	Deadline() time.Time
	State() vrrp.State
	// Owns tells whether this node is the owner, or one of them.
	Owns() bool
	Band() election.Band
	// Priority is the byte that this node advertises or would advertise; 0 where
	// there are no adverts.
	Priority(now time.Time) uint8
	// Owner is the other node that was last heard as owner; ok: it is alive.
	Owner(now time.Time) (s vrrp.Sighting, ok bool)
	// Rival is another node that advertises as owner while this one is it.
	Rival(now time.Time) (s vrrp.Sighting, ok bool)
}

// newElector returns the group's elector, in Init. The addresses may be on this
// node from an earlier life.
func (g *group) newElector() elector {
	if g.everywhere() {
		m := &everyNode{}
		return elector{standing: m, every: m}
	}
	if g.cfg.Election == config.ElectionEtcd {
		m := lease.New(g.leaseConfig(), true)
		return elector{standing: m, lease: m}
	}
	m := vrrp.New(g.prepare(), true)
	return elector{standing: m, vrrp: m}
}

// everywhere tells whether every node holds the group's addresses.
func (g *group) everywhere() bool { return g.cfg.Election == config.ElectionNone }

// everyNode is the elector that elects each node (election: none). How good a
// node is shows in its announcement; see route.
type everyNode struct {
	state   vrrp.State
	healthy bool
	duty    vrrp.Duty
	attempt uint64
	actions []vrrp.Action
}

// Step is an elector's. What concerns others is no concern of it.
func (m *everyNode) Step(_ time.Time, ev vrrp.Event) []vrrp.Action {
	m.actions = m.actions[:0]
	switch ev := ev.(type) {
	case vrrp.LinkUp:
		m.linkUp()
	case vrrp.LinkDown:
		m.leave(vrrp.Init, ev.Reason, ev.Detail)
	case vrrp.Health:
		m.healthy = ev.Healthy
	case vrrp.SetDuty:
		m.setDuty(ev)
	case vrrp.Abandon:
		if m.state != vrrp.Init {
			m.leave(vrrp.Backup, ev.Reason, ev.Detail)
		}
	case vrrp.Tick, vrrp.Advert, vrrp.Held, vrrp.Probed, vrrp.Configure, vrrp.Named, vrrp.Members, vrrp.Company, vrrp.Doubt:
	default:
		panic("agent: unhandled event of an election")
	}
	return m.actions
}

func (m *everyNode) linkUp() {
	switch {
	case m.state != vrrp.Init:
	case m.duty != vrrp.Serve:
		m.actions = append(m.actions, vrrp.Release{}) // an earlier life may have left them
		m.enter(vrrp.Backup, election.Startup, "")
	default:
		m.serve(election.EveryNode)
	}
}

func (m *everyNode) setDuty(ev vrrp.SetDuty) {
	m.duty = ev.Duty
	if m.state == vrrp.Backup && ev.Duty == vrrp.Serve {
		m.serve(ev.Reason)
	}
}

func (m *everyNode) serve(reason election.Reason) {
	m.attempt++
	m.actions = append(m.actions, vrrp.Hold{Attempt: m.attempt})
	m.enter(vrrp.Active, reason, "")
}

func (m *everyNode) leave(to vrrp.State, reason election.Reason, detail string) {
	m.actions = append(m.actions, vrrp.Release{})
	if m.state != to {
		m.enter(to, reason, detail)
	}
}

func (m *everyNode) enter(to vrrp.State, reason election.Reason, detail string) {
	m.actions = append(m.actions, vrrp.Transition{From: m.state, To: to, Reason: reason, Detail: detail})
	m.state = to
}

// Deadline implements standing: nothing is waited for.
func (m *everyNode) Deadline() time.Time { return time.Time{} }

// State implements standing.
func (m *everyNode) State() vrrp.State { return m.state }

// Owns implements standing.
func (m *everyNode) Owns() bool { return m.state == vrrp.Active }

// Band implements standing.
func (m *everyNode) Band() election.Band {
	switch {
	case m.duty == vrrp.Resign:
		return election.Resigned
	case m.duty == vrrp.Drain:
		return election.Draining
	case m.healthy:
		return election.Healthy
	}
	return election.Unhealthy
}

// Priority implements standing.
func (m *everyNode) Priority(time.Time) uint8 { return 0 }

// Owner implements standing: nobody is heard.
func (m *everyNode) Owner(time.Time) (vrrp.Sighting, bool) { return vrrp.Sighting{}, false }

// Rival implements standing.
func (m *everyNode) Rival(time.Time) (vrrp.Sighting, bool) { return vrrp.Sighting{}, false }
