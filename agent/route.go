package agent

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// maxFlaps bounds how often return_delay doubles.
	maxFlaps = 5
	// steady is how long health has to be good for former flaps to be forgotten.
	steady = 10 * time.Minute
)

// grade is how a group is announced by BGP.
type grade uint8

const (
	// unannounced: not at all.
	unannounced grade = iota
	// leaving: worse than others, because it ends soon.
	leaving
	// unwell: worse than others, because this node is not healthy, or has not
	// been for long enough.
	unwell
	// well: as good as can be.
	well
)

// String is the grade for status and tests.
func (g grade) String() string {
	return [...]string{"", "leaving", "unhealthy", "healthy"}[g]
}

// route decides how a group is announced by BGP. Routers that spread by ECMP
// break streams when a path comes, so a node becomes good only after its health
// was good for a while, and for longer each time that it flaps. A path that goes
// is made worse first, withdrawn then, and served on until routers know.
type route struct {
	delay time.Duration
	wait  time.Duration

	healthy bool
	// since is when health last became good or bad; flaps is how often it became
	// bad not long after it had become good.
	since time.Time
	flaps int
	// wellAt is when health, which is good, has been so for long enough.
	wellAt time.Time
	// worseAt is when the announcement was made worse because this node leaves,
	// leaveAt when the addresses were to be given up; zero: they are not.
	worseAt, leaveAt time.Time
	// seen is the time up to which deadlines were served.
	seen time.Time
}

// configure sets the delays. A longer one does not make a node worse that is well.
func (r *route) configure(now time.Time, b config.BGP) {
	r.delay, r.wait = b.ReturnDelay, b.Leaving.Wait
	if now.Before(r.wellAt) {
		r.ripen()
	}
}

// ripen works out when health has been good for long enough.
func (r *route) ripen() { r.wellAt = r.since.Add(r.delay << r.flaps) }

// judge notes this node's health.
func (r *route) judge(now time.Time, healthy bool) {
	if healthy == r.healthy {
		return
	}
	lasted := now.Sub(r.since)
	r.healthy, r.since = healthy, now
	switch {
	case healthy:
		r.ripen()
	case lasted >= steady:
		r.flaps = 0
	default:
		r.flaps = min(r.flaps+1, maxFlaps)
	}
}

// leave begins to give the addresses up.
func (r *route) leave(now time.Time) {
	if r.leaveAt.IsZero() {
		r.leaveAt = now
	}
	r.worsen(now)
}

// worsen notes that the announcement is worse from now on.
func (r *route) worsen(now time.Time) {
	if r.worseAt.IsZero() {
		r.worseAt = now
	}
}

// stay ends leave.
func (r *route) stay() { r.worseAt, r.leaveAt = time.Time{}, time.Time{} }

// left tells whether the addresses may be taken off: no router sends to them any
// more.
func (r *route) left(now time.Time) bool { return due(r.offAt(), now) }

// withdrawAt follows leave, when routers have had the time to prefer others;
// zero: it was not asked.
func (r *route) withdrawAt() time.Time {
	if r.leaveAt.IsZero() {
		return time.Time{}
	}
	return latest(r.leaveAt, r.worseAt.Add(r.wait))
}

// offAt is when packets that were on their way have arrived; zero: see
// withdrawAt.
func (r *route) offAt() time.Time {
	if r.leaveAt.IsZero() {
		return time.Time{}
	}
	return r.withdrawAt().Add(r.wait)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// grade is how to announce addresses that this node holds.
func (r *route) grade(now time.Time, band election.Band) grade {
	if band <= election.Draining {
		r.worsen(now)
	} else if r.leaveAt.IsZero() {
		r.worseAt = time.Time{}
	}
	switch {
	case due(r.withdrawAt(), now):
		return unannounced
	case !r.leaveAt.IsZero() || band <= election.Draining:
		return leaving
	case !r.healthy || now.Before(r.wellAt):
		return unwell
	}
	return well
}

// deadline is when the grade changes by itself, or the addresses may be taken
// off; zero: not.
func (r *route) deadline() time.Time {
	var d time.Time
	for _, at := range [...]time.Time{r.withdrawAt(), r.offAt(), r.wellDeadline()} {
		if at.After(r.seen) {
			d = earliest(d, at)
		}
	}
	return d
}

func (r *route) wellDeadline() time.Time {
	if !r.healthy {
		return time.Time{}
	}
	return r.wellAt
}

// seat is the interface that holds the group's addresses; empty: none may now.
// That of a group behind routers never goes, whatever becomes of the interface that
// its adverts go by.
func (g *group) seat() string {
	switch {
	case g.cfg.Announce.Routed():
		return loopback
	case g.link != nil:
		return g.link.name
	}
	return ""
}

// loopback holds addresses that routers lead here.
const loopback = "lo"

// retire gives the group's addresses up: those that are announced to routers not
// before the routers know.
func (g *group) retire(now time.Time) {
	if g.cfg.Announce != config.AnnounceBGP || len(g.held) == 0 || g.gone {
		g.release(now)
		return
	}
	g.route.leave(now)
	g.releasing = true
}

// tickRoute takes addresses off that no router sends to any more.
func (g *group) tickRoute(now time.Time) {
	g.route.seen = now
	if g.route.left(now) {
		g.route.stay()
		g.release(now)
	}
}

// announcedAs is how the group is announced by BGP now.
func (g *group) announcedAs(now time.Time) grade {
	serves := g.machine.Owns() || !g.route.leaveAt.IsZero()
	if g.cfg.Announce != config.AnnounceBGP || len(g.held) == 0 || !serves {
		return unannounced
	}
	return g.route.grade(now, g.machine.Band())
}

// relinkEverywhere is relink for a group that has no adverts, and so no
// interface whose carrier would matter: its addresses are on lo, and the ways to
// the routers are watched by BGP.
func (g *group) relinkEverywhere(now time.Time) {
	for _, name := range g.cfg.TrackInterfaces {
		if !g.agent.interfaces[name].Up {
			g.setFault(now, cause{reason: election.TrackedInterface, detail: name + " is down or has no link"})
			return
		}
	}
	for _, i := range g.agent.interfaces {
		if fault, ok := g.conflict(i); ok {
			g.setFault(now, fault)
			return
		}
	}
	g.fault = cause{}
	g.own = g.agent.firstIPv4()
	g.step(now, vrrp.LinkUp{Own: g.own})
}

// onSegments are the edges with an Announcer that knows interfaces without
// neighbours.
func (e Edges) onSegments() Edges {
	e.Announcer = onSegments{e.Announcer}
	return e
}

// onSegments announces on interfaces that have neighbours.
type onSegments struct{ Announcer }

// Announce does nothing on lo: routers are told otherwise.
func (s onSegments) Announce(name string, addrs []netip.Addr) error {
	if name == loopback {
		return nil
	}
	return s.Announcer.Announce(name, addrs)
}
