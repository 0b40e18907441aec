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
	// said is what was said last, sayAt when it has to be said again. generation
	// counts configurations.
	said       bgp.Wanted
	sayAt      time.Time
	generation uint64
	// routerID is what is used where none is configured: one that was chosen
	// stays, because another one begins all sessions anew.
	routerID netip.Addr

	state SpeakerChanged
	// since is when each neighbour came to its state.
	since map[netip.Addr]time.Time
	// lateness is BFD's.
	lateness lateness
}

// sayRoutes tells the speaker what is to be announced, when that changed and
// when it has to be said again: the speaker takes a daemon that says nothing for
// dead.
func (a *Agent) sayRoutes(now time.Time) {
	if a.edges.Speaker == nil {
		return
	}
	b := &a.announcing
	w := a.wantedRoutes(now)
	if len(w.Neighbors) == 0 && len(b.said.Neighbors) == 0 {
		b.sayAt = time.Time{}
		return
	}
	if !due(b.sayAt, now) && reflect.DeepEqual(w, b.said) {
		return
	}
	b.said, b.sayAt = w, now.Add(bgp.Beat)
	a.edges.Speaker.Want(w)
}

// routesDeadline is when sayRoutes is due; zero: not.
func (a *Agent) routesDeadline() time.Time { return a.announcing.sayAt }

// wantedRoutes is what is to be announced now, and to whom. Nobody is told
// anything before it is known who this node is.
func (a *Agent) wantedRoutes(now time.Time) bgp.Wanted {
	c := a.config.BGP
	w := bgp.Wanted{ASN: c.ASN, RouterID: c.RouterID, Generation: a.announcing.generation}
	if !a.announcing.routerID.IsValid() {
		a.announcing.routerID = a.firstAddress()
	}
	if !w.RouterID.IsValid() {
		w.RouterID = a.announcing.routerID
	}
	var ipv4, ipv6 bool
	for _, g := range a.groups {
		if g.cfg.Announce != config.AnnounceBGP {
			continue
		}
		as := g.announcedAs(now)
		for _, addr := range g.cfg.Addresses {
			ipv4, ipv6 = ipv4 || addr.Is4(), ipv6 || addr.Is6()
			if as != unannounced && slices.Contains(g.held, addr) {
				w.Routes = append(w.Routes, routeTo(addr, as, c))
			}
		}
	}
	if !w.RouterID.IsValid() || !ipv4 && !ipv6 {
		return w
	}
	for _, n := range c.Neighbors {
		w.Neighbors = append(w.Neighbors, neighborOf(n, c, ipv4, ipv6))
	}
	return w
}

func neighborOf(n config.Neighbor, c config.BGP, ipv4, ipv6 bool) bgp.Neighbor {
	wanted := bgp.Neighbor{
		Address: n.Address, ASN: n.ASN, Port: n.Port, PasswordFile: n.PasswordFile,
		Multihop: n.Multihop, TTLSecurity: n.TTLSecurity,
		HoldTime: n.HoldTime, GracefulRestart: n.GracefulRestart, IPv4: ipv4, IPv6: ipv6,
		BFD: bgp.BFD(n.BFD),
	}
	if c.LocalAddress.IsValid() && c.LocalAddress.Is6() == n.Address.Is6() {
		wanted.Source = c.LocalAddress
	}
	return wanted
}

// internalPreference is RFC 4271's usual LOCAL_PREF (9.1.1); 0 is the worst.
const internalPreference = 100

// routeTo is the route to an address that is announced in some grade.
func routeTo(addr netip.Addr, as grade, c config.BGP) bgp.Route {
	r := bgp.Route{Prefix: netip.PrefixFrom(addr, addr.BitLen()), MED: c.MED, LocalPreference: internalPreference}
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

// firstAddress is the node's first IPv4 address, by the number of its interface,
// that is no VIP and not on lo; invalid: it has none.
func (a *Agent) firstAddress() netip.Addr {
	for _, i := range a.host() {
		for _, p := range i.Prefixes {
			_, vip := (*a.watched.Load())[p.Addr()]
			if i.Name != loopback && p.Addr().Is4() && p.Addr().IsGlobalUnicast() && !vip {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

// speakerChanged takes a report, and tells what changed.
func (a *Agent) speakerChanged(now time.Time, ev SpeakerChanged) {
	b := &a.announcing
	before := b.state.Report.Neighbors
	since := map[netip.Addr]time.Time{}
	for _, n := range ev.Report.Neighbors {
		since[n.Address] = now.Add(-n.Age)
		i := slices.IndexFunc(before, func(o bgp.NeighborReport) bool { return o.Address == n.Address })
		was := bgp.NeighborReport{State: bgp.Idle}
		if i >= 0 {
			was = before[i]
		}
		a.tellNeighbor(was, n)
	}
	b.state, b.since = ev, since
	b.lateness.note(now, ev.Report.Lateness)
}

// tellNeighbor logs what an operator wants to know of a neighbour.
func (a *Agent) tellNeighbor(was, is bgp.NeighborReport) {
	log := a.log.With("neighbor", is.Address, "asn", is.ASN)
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
// read anew.
func (a *Agent) reviseRoutes() {
	a.announcing.generation++
	for _, g := range a.groups {
		g.route.configure(a.config.BGP)
	}
}
