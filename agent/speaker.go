package agent

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
)

// Speaker announces routes by BGP. It lives in a process of its own.
type Speaker interface {
	// Want says everything that is to be true. It does not wait. What is not said
	// again for bgp.Lapse is not true any more.
	Want(bgp.Wanted)
}

// SpeakerChanged is the present state of the speaker.
type SpeakerChanged struct {
	// Running: there is a process, and it reports.
	Running bool
	// Restarts counts the processes that died.
	Restarts uint64
	// Error is why the last one died; empty while one runs.
	Error  string
	Report bgp.Report
}

func (SpeakerChanged) event() {}

// announcing is what the loop wants of the speaker and knows of it.
type announcing struct {
	// said is what was said last, sayAt when it has to be said again; it is never
	// changed, because others read it. generation counts configurations.
	said       bgp.Wanted
	sayAt      time.Time
	generation uint64
	// stale: something other than a group's grade changed since.
	stale bool
	// phrases are how routes are told.
	phrases phrases
	succession
	// routerID is what is used where none is configured.
	routerID netip.Addr

	state SpeakerChanged
	// since is when each neighbour of said came to its state.
	since map[netip.Addr]time.Time
	// lateness is BFD's.
	lateness lateness
}

// spoken is how a group was announced last.
type spoken struct {
	as   grade
	held []netip.Addr
}

// sayRoutes tells the speaker what is to be announced, when that changed and
// when it has to be said again: the speaker takes a daemon that says nothing for
// dead. Adverts come by the thousand between two changes, so nothing is worked
// out before one.
func (a *Agent) sayRoutes(now time.Time) {
	b := &a.announcing
	if a.edges.Speaker == nil {
		return
	}
	changed := a.leaveFormer(now) || b.stale
	for _, g := range a.groups {
		changed = g.speaks(now) || changed
	}
	for _, g := range a.departing {
		changed = g.speaks(now) || changed
	}
	if changed {
		b.stale = false
		w := a.wantedRoutes()
		changed = !reflect.DeepEqual(w, b.said)
		b.said = w
		b.know(now)
	}
	switch {
	case len(b.said.Neighbors) == 0 && !changed:
		b.sayAt = time.Time{}
	case changed || due(b.sayAt, now):
		b.sayAt = now.Add(bgp.Beat)
		a.edges.Speaker.Want(b.said)
	}
}

// speaks tells whether the group is announced otherwise than it was.
func (g *group) speaks(now time.Time) bool {
	as := g.announcedAs(now)
	if as == g.spoken.as && (as == unannounced || slices.Equal(g.held, g.spoken.held)) {
		return false
	}
	g.swayed(g.spoken.as, as)
	g.spoken = spoken{as: as, held: g.held}
	return true
}

// routesDeadline is when sayRoutes is due; zero: not.
func (a *Agent) routesDeadline() time.Time { return a.announcing.sayAt }

// wantedRoutes is what is to be announced now, and to whom. What departs is
// announced until another group announces it.
func (a *Agent) wantedRoutes() bgp.Wanted {
	b := &a.announcing
	c := a.config.BGP
	w := bgp.Wanted{ASN: c.ASN, RouterID: a.routerID(), Generation: b.generation}
	var routed, lingering bool
	for _, g := range slices.Concat(a.groups, a.departing) {
		if g.cfg.Announce != config.AnnounceBGP || g.gone && g.spoken.as == unannounced {
			continue
		}
		routed, lingering = true, lingering || g.gone
		w.Routes = g.appendRoutes(w.Routes)
	}
	if !a.known || !routed {
		return w
	}
	for _, n := range c.Neighbors {
		w.Neighbors = append(w.Neighbors, neighborOf(n, c))
	}
	if !lingering && !b.waits() {
		b.former = nil
	}
	if len(b.former) > 0 {
		w.Neighbors = append(w.Neighbors, b.former...)
		if w.ASN == 0 {
			w.ASN = b.said.ASN
		}
	}
	if !w.RouterID.IsValid() {
		for i := range w.Neighbors {
			w.Neighbors[i].Unusable = "this node has no IPv4 address to take as router ID; set bgp.router_id to a number in the form of an IPv4 address that no other node and no router has"
		}
	}
	return w
}

// appendRoutes appends the group's routes, other than to addresses that a group
// before it announces.
func (g *group) appendRoutes(routes []bgp.Route) []bgp.Route {
	if g.spoken.as == unannounced {
		return routes
	}
	for _, addr := range g.spoken.held {
		told := slices.ContainsFunc(routes, func(r bgp.Route) bool { return r.Prefix.Addr() == addr })
		if !told && (g.gone || slices.Contains(g.cfg.Addresses, addr)) {
			routes = append(routes, g.agent.announcing.phrases.route(addr, g.spoken.as))
		}
	}
	return routes
}

func neighborOf(n config.Neighbor, c config.BGP) bgp.Neighbor {
	wanted := bgp.Neighbor{
		Address: n.Address, ASN: n.ASN, Port: n.Port, PasswordFile: n.PasswordFile,
		Multihop: n.Multihop, TTLSecurity: n.TTLSecurity,
		HoldTime: n.HoldTime, GracefulRestart: n.GracefulRestart, BFD: bgp.BFD(n.BFD),
	}
	if c.LocalAddress.IsValid() && c.LocalAddress.Is6() == n.Address.Is6() {
		wanted.Source = c.LocalAddress
	}
	return wanted
}

// internalPreference is RFC 4271's usual LOCAL_PREF (9.1.1); 0 is the worst.
const internalPreference = 100

// phrases are routes of each grade, but for the address.
type phrases [well + 1]bgp.Route

func phrasesOf(c config.BGP) phrases {
	var all phrases
	for as := range all {
		all[as] = phrase(grade(as), c) //nolint:gosec // a grade
	}
	return all
}

// route is the route to an address that is announced in some grade.
func (p *phrases) route(addr netip.Addr, as grade) bgp.Route {
	r := p[as]
	r.Prefix = netip.PrefixFrom(addr, addr.BitLen())
	return r
}

func phrase(as grade, c config.BGP) bgp.Route {
	r := bgp.Route{MED: c.MED, LocalPreference: internalPreference}
	for _, text := range c.Communities {
		community, large, isLarge, err := bgp.ParseCommunity(text)
		switch {
		case err != nil:
			panic("agent: the configuration was not checked")
		case isLarge:
			r.LargeCommunities = append(r.LargeCommunities, large)
		default:
			r.Communities = append(r.Communities, community)
		}
	}
	switch as {
	case unwell:
		worsen(&r, c.Unhealthy)
	case leaving:
		worsen(&r, c.Leaving.Worse)
	case unannounced, well:
	}
	return r
}

// worsen makes a route worse than another node's, by everything that routers
// look at: with an AS number for each node, only a longer path takes one out of
// ECMP; with one AS number for all, local preference does.
func worsen(r *bgp.Route, w config.Worse) {
	r.MED, r.Prepend, r.LocalPreference = w.MED, w.Prepend, 0
	if w.GracefulShutdown {
		r.Communities = append(r.Communities, bgp.GracefulShutdown)
	}
}

// know begins to note the states of neighbours that are new, and forgets those of
// others.
func (b *announcing) know(now time.Time) {
	since := map[netip.Addr]time.Time{}
	for _, n := range b.said.Neighbors {
		since[n.Address] = now
		if at, known := b.since[n.Address]; known {
			since[n.Address] = at
		}
	}
	b.since = since
}

// speakerChanged takes a report, and tells what changed. The sessions of a speaker
// that died ended with it.
func (a *Agent) speakerChanged(now time.Time, ev SpeakerChanged) {
	b := &a.announcing
	for _, w := range b.said.Neighbors {
		was, reported := reportOn(w.Address, b.state.Report)
		is, reports := reportOn(w.Address, ev.Report)
		switch {
		case reports:
			b.since[w.Address] = now.Add(-is.Age)
		case reported:
			b.since[w.Address] = now
			is.Error = ev.Error
		}
		a.tellNeighbor(w, was, is)
	}
	b.state = ev
	b.arrive(now, ev.Report, a.config.BGP.Leaving.Wait)
	b.lateness.note(now, ev.Report.Lateness)
}

// reportOn is what a report says of a neighbour; without a word it is idle.
func reportOn(neighbor netip.Addr, r bgp.Report) (n bgp.NeighborReport, found bool) {
	i := slices.IndexFunc(r.Neighbors, func(n bgp.NeighborReport) bool { return n.Address == neighbor })
	if i < 0 {
		return bgp.NeighborReport{Address: neighbor, State: bgp.Idle}, false
	}
	return r.Neighbors[i], true
}

// tellNeighbor logs what an operator wants to know of a neighbour.
func (a *Agent) tellNeighbor(n bgp.Neighbor, was, is bgp.NeighborReport) {
	log := a.log.With("neighbor", n.Address, "asn", n.ASN)
	switch {
	case is.State == was.State:
	case is.State == bgp.Established:
		log.Info("the BGP session is established")
	case was.State == bgp.Established:
		log.Warn("the BGP session is lost", "state", string(is.State), "error", is.Error)
	case is.State == bgp.Quarantined, is.State == bgp.Unusable:
		log.Error("the BGP session is not tried", "state", string(is.State), "error", is.Error)
	}
}

// reviseRoutes brings announcements in line with a new configuration. Files are
// read anew. Neighbours that it has no more are kept for as long as routes depart:
// they are to hear first that these are worse; and until those that are new are
// there.
func (a *Agent) reviseRoutes(now time.Time) {
	b := &a.announcing
	b.generation++
	b.stale = true
	b.phrases = phrasesOf(a.config.BGP)
	for _, g := range a.groups {
		g.route.configure(now, a.config.BGP)
	}
	b.succeed(now, b.said, a.config.BGP)
}
