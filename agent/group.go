package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// group is one VIP group at run time.
type group struct {
	agent   *Agent
	log     *slog.Logger
	cfg     config.VIP
	machine elector
	link    *link
	own     netip.Addr
	// fault is why the group cannot be served; without a reason: it can.
	fault cause
	// filePeers are the peers of peers_file.
	filePeers []netip.Addr
	// memberPeers are the members of etcd, where they are on the group's interface;
	// departed are those that were until lately. unplaced is what was told last of
	// members that are elsewhere.
	memberPeers []netip.Addr
	departed    []departed
	unplaced    string

	fitness       fitness
	announcements announcements
	defence       defence
	// route is how the group is announced by BGP, if it is.
	route route
	// spoken is what the speaker was told of the group.
	spoken spoken
	// rehash is what history tells of the group's paths.
	rehash rehash
	// path is what a drain knows of other paths.
	path pathProof

	// wanted: the addresses are to be on this node. attempt and afterSilence
	// are the machine's Hold.
	wanted       bool
	attempt      uint64
	afterSilence bool
	// held are the addresses that the last order put on; none: it failed, or
	// there was none. tookAt is when the machine's Hold was carried out.
	held   []netip.Addr
	tookAt time.Time
	// releasing: the last order, to release, was not carried out yet. serial
	// counts orders, lastOff is the last one to take the addresses off.
	releasing bool
	serial    uint64
	lastOff   uint64
	refreshAt time.Time
	retryAt   time.Time
	// standsUntil is until when the kernel has the addresses on the interface, unless
	// they are taken off before; zero: they have no lifetime there, or were not there.
	standsUntil time.Time
	// unheldSince is when the wanted addresses began to be missing.
	unheldSince time.Time
	unheldWhy   string
	// pardonAt is when a node that let go of addresses that it could not hold
	// counts as fit to try again.
	pardonAt time.Time
	// unannounced is the error of the last announcement, to tell it once.
	unannounced string
	// rejoinAt is when an interface is tried again.
	rejoinAt time.Time
	// next is the group's deadline as it was worked out last; stale: that may be
	// another one by now.
	next  time.Time
	stale bool

	// claimedAt is when another station claimed a VIP last. accused is what it
	// claimed, to be answered at defendAt.
	claimedAt time.Time
	accused   claimed
	defendAt  time.Time

	// shown is what status says; why is the cause of the change that comes.
	shown shown
	why   cause
	// off: a drain took the VIP off this node, or is about to.
	off bool
	// gone: the configuration does not have the group any more.
	gone bool

	// advertised and unicastTo are what adverts list and whom they go to.
	advertised []netip.Addr
	unicastTo  []netip.Addr
	// password is that of version 2 adverts.
	password    vrrp.Password
	buffer      []byte
	sendErrorAt time.Time
	restoredAt  time.Time
	stray       stray
	counters    *Counters
	// shadow is what this node carries as a former owner, handover its place among
	// the owners.
	shadow   shadow
	handover handover
	// inherited: what an earlier life left was looked at.
	inherited bool
	// advertFrom and advertMAC are where the last advert came from.
	advertFrom netip.Addr
	advertMAC  [6]byte
	// hello is what hellos say of the group, and what is known by them.
	hello groupHello
	// endFollowing ends the goroutine that follows peers_file.
	endFollowing func()
	// leased is the group's part in an election by etcd.
	leased leased
}

// cause is why a group's state is about to change.
type cause struct {
	reason election.Reason
	detail string
	// told: to be told even if the state stays.
	told bool
}

func (a *Agent) addGroup(now time.Time, v config.VIP) *group {
	g := &group{
		agent: a, log: a.log.With("vip", v.Name), cfg: v,
		counters: newCounters(),
		shown:    shown{state: StateInit, reason: election.Startup, since: now},
	}
	g.machine = g.newElector()
	g.route.configure(now, a.config.BGP)
	g.announcements = announcements{burst: v.GARP.Burst, refresh: v.GARP.Refresh}
	g.fitness = newFitness(now, v)
	g.route.judge(now, g.fitness.healthy())
	a.groups = append(a.groups, g)
	g.useEtcd()
	if _, ok := a.drained[v.Name]; ok {
		g.off = true
		g.step(now, vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
	}
	g.step(now, vrrp.Health{Healthy: g.fitness.healthy(), Unproven: !g.fitness.checks.Judged()})
	g.watchHealth()
	g.followPeers()
	g.relink(now, election.Reloaded)
	return g
}

// removeGroup ends a group that the configuration no longer has, or has as
// another one.
func (a *Agent) removeGroup(now time.Time, g *group) {
	detail := "the configuration ended the group, or made it another one"
	g.step(now, vrrp.Abandon{Reason: election.Reloaded, Detail: detail})
	if g.shown.state != StateInit {
		g.why = cause{reason: election.Reloaded, detail: detail}
		g.tell(now, StateInit)
	}
	g.gone = true
	g.dropShadow(now, EndUnkept)
	if !g.route.leaveAt.IsZero() {
		a.depart(now, g, g.held)
		g.wanted, g.held = false, nil
	}
	g.unlink()
	g.fitness.stop()
	g.endFollowing()
	g.leased.stop()
	a.groups = slices.DeleteFunc(a.groups, func(o *group) bool { return o == g })
}

// ipv6 tells the family that carries the adverts.
func (g *group) ipv6() bool { return g.cfg.Addresses[0].Is6() }

// prepare notes what adverts carry and whom they go to, and returns the
// machine's configuration.
func (g *group) prepare() vrrp.Config {
	v := g.cfg.VRRP
	c := vrrp.Config{
		VRID: v.VRID, Rhythm: vrrp.Rhythm{Interval: v.AdvertInterval},
		Priority: v.Priority, UnhealthyPriority: v.UnhealthyPriority,
		Preempt: v.Preempt == config.PreemptAlways, PreemptDelay: v.PreemptDelay,
		StartupDelay:   v.StartupDelay,
		Peers:          g.peers(),
		FollowChecksum: v.Checksum == config.ChecksumAuto,
	}
	if v.Version == 2 {
		c.Version = vrrp.Version2
	}
	g.password = vrrp.Password{}
	copy(g.password[:], v.Password)
	if v.Checksum == config.ChecksumPseudoHeader {
		c.Checksum = vrrp.PseudoHeader
	}
	for _, a := range g.cfg.Addresses {
		if a.Is6() == g.ipv6() {
			c.Addresses = append(c.Addresses, a)
		}
	}
	// RFC 9568 5.2.9: an IPv6 link-local address, if any, comes first.
	slices.SortStableFunc(c.Addresses, func(a, b netip.Addr) int {
		return linkLocalFirst(a) - linkLocalFirst(b)
	})
	g.hello.prepare(g.cfg)
	g.agent.cluster.stale = true
	g.advertised = c.Addresses
	g.unicastTo = nil
	if g.unicast() {
		g.unicastTo = slices.Clone(c.Peers)
	}
	for _, d := range g.departed {
		g.unicastTo = append(g.unicastTo, d.addr)
	}
	return c
}

func linkLocalFirst(a netip.Addr) int {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return 0
	}
	return 1
}

// peers are the other members known by configuration.
func (g *group) peers() []netip.Addr {
	var all []netip.Addr
	for _, p := range g.listed() {
		if p.Is6() == g.ipv6() && p != g.own && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// listed are the peers of all sources, this node itself perhaps among them.
func (g *group) listed() []netip.Addr {
	if !g.cfg.VRRP.EtcdPeers {
		return slices.Concat(g.cfg.VRRP.Peers, g.filePeers)
	}
	return slices.Concat(g.cfg.VRRP.Peers, g.filePeers, g.memberPeers)
}

// unicast tells whether adverts go to peers rather than to the multicast group.
// Before etcd has told of another member they go to the latter: then joiners
// hear the owner, and it hears them.
func (g *group) unicast() bool {
	return len(g.cfg.VRRP.Peers) > 0 || g.cfg.VRRP.PeersFile != "" || g.cfg.VRRP.EtcdPeers && len(g.memberPeers) > 0
}

// deadline is when the group has to be ticked; zero: not. With hundreds of
// groups most of them have nothing to do with what wakes the loop, so it is
// worked out anew only for those that something happened to.
func (g *group) deadline() time.Time {
	if g.stale {
		g.next, g.stale = g.workOutDeadline(), false
	}
	return g.next
}

func (g *group) workOutDeadline() time.Time {
	d := g.machine.Deadline()
	for _, t := range [...]time.Time{
		g.fitness.deadline(), g.refreshAt, g.retryAt, g.unheldDeadline(),
		g.pardonAt, g.defendAt, g.rejoinAt, g.shadowDeadline(), g.departing(),
	} {
		d = earliest(d, t)
	}
	if g.holds() {
		d = earliest(d, g.announcements.deadline())
	}
	if g.cfg.Announce == config.AnnounceBGP {
		d = earliest(d, g.route.deadline())
	}
	return d
}

// tick does what is due.
func (g *group) tick(now time.Time) {
	if d := g.deadline(); d.IsZero() || now.Before(d) {
		return
	}
	g.stale = true
	if d := g.machine.Deadline(); !d.IsZero() && !now.Before(d) {
		if now.Sub(d) > g.cfg.VRRP.AdvertInterval {
			g.agent.loop.Late.Add(1)
		}
		g.step(now, vrrp.Tick{})
	}
	if g.fitness.tick(now) {
		g.judge(now)
	}
	if due(g.rejoinAt, now) {
		g.relink(now, election.NoInterface)
	}
	if due(g.departing(), now) {
		g.forgetDeparted(now)
	}
	g.tickAddresses(now)
	g.tickAnnouncements(now)
	g.tickRoute(now)
	g.tickShadow(now)
}

// step tells the machine an event and does what it wants.
func (g *group) step(now time.Time, ev vrrp.Event) {
	g.stale = true
	g.do(now, g.machine.Step(now, ev))
}

// do does what the machine wants.
func (g *group) do(now time.Time, actions []vrrp.Action) {
	for _, act := range actions {
		g.perform(now, act)
	}
	if g.machine.lease != nil {
		g.followLease(now)
	}
}

func (g *group) perform(now time.Time, act vrrp.Action) {
	switch act := act.(type) {
	case *vrrp.SendAdvert:
		g.sendAdvert(now, act)
	case vrrp.Hold:
		g.want(now, act)
	case vrrp.Release:
		if g.machine.lease != nil && g.why.reason == election.LeaseLost {
			g.release(now) // it may be another's at any moment
		} else {
			g.retire(now)
		}
	case vrrp.Defend:
		g.meetRival(now)
		g.attacked(now)
	case vrrp.Probe:
		g.probe(act.Attempt)
	case vrrp.Reach:
		g.reach(act)
	case vrrp.Transition:
		g.transition(now, act)
	case vrrp.Report:
		g.report(now, act)
	default:
		panic("agent: unhandled action")
	}
}

func (g *group) transition(now time.Time, t vrrp.Transition) {
	g.log.Debug("election", "from", t.From.String(), "to", t.To.String(), "reason", t.Reason, "detail", t.Detail)
	if t.To == vrrp.Listening {
		g.mute(now)
	}
	internal := t.To == vrrp.Displacing || t.To == vrrp.Listening || t.To == vrrp.Probing && t.Reason != election.VIPAnswered
	if internal {
		return
	}
	if t.Reason == election.Drain || t.Reason == election.Forced {
		g.off = true
	}
	if t.Reason == election.Startup && g.why.reason != "" {
		return // down and up again in one turn: told is why it went down
	}
	g.why = cause{reason: t.Reason, detail: t.Detail, told: t.Reason == election.VIPAnswered || t.Reason == election.Late}
	if t.Reason == election.VIPAnswered {
		g.why.detail += "; " + g.whyUnheard(now)
	}
	if t.Reason == election.Unwell {
		g.why.detail = g.fitness.why() + "; " + t.Detail
		if g.fitness.unheld != "" {
			g.why.reason = election.HoldFailed
		}
	}
}

// report logs what the machine found. Those that name a MAC are about the advert
// at hand.
func (g *group) report(now time.Time, r vrrp.Report) {
	switch r.Kind {
	case vrrp.Foreign:
		g.log.Warn("another group uses this VIP's VRID on the segment; its adverts are ignored", "from", r.From, "mac", g.sender(), "detail", r.Detail)
	case vrrp.Differs:
		g.log.Warn("a member of the group lists other addresses; make the configurations equal", "from", r.From, "mac", g.sender(), "detail", r.Detail)
	case vrrp.Rival:
		g.log.Warn("another node advertises as owner of the VIP too; the better one stays", "from", r.From, "mac", g.sender(), "detail", r.Detail)
	case vrrp.Answered:
		g.log.Warn("the VIP is in use by another station; it is not claimed", "detail", r.Detail, "mend", g.whyUnheard(now))
	case vrrp.OwnAddress:
		g.log.Warn("another station uses this node's own address; find it by its MAC and give it another", "address", r.From, "mac", g.sender(), "detail", r.Detail)
	case vrrp.Deaf:
		g.log.Warn("another node advertises as owner and does not hear this one; look for what loses frames on the way to it", "to", r.From, "detail", r.Detail)
	case vrrp.Undone:
		g.log.Warn("the VIP could not be taken over from its living owner; it stays there", "owner", r.From, "detail", r.Detail)
	}
}

// probe asks the segment for each address; any answer counts.
func (g *group) probe(attempt uint64) {
	if g.cfg.Announce.Routed() {
		// Routers know; the segment does not.
		g.agent.spawn(func(ctx context.Context) { g.agent.Post(ctx, probed{group: g, attempt: attempt}) })
		return
	}
	if g.link == nil {
		return
	}
	name, addrs := g.link.name, slices.Clone(g.cfg.Addresses)
	g.agent.spawn(func(ctx context.Context) {
		done := probed{group: g, attempt: attempt}
		answers := make(chan probed, len(addrs))
		for _, addr := range addrs {
			go func() {
				mac, err := g.agent.edges.Prober.Probe(ctx, name, addr)
				answers <- probed{mac: mac, err: err}
			}()
		}
		for range addrs {
			one := <-answers
			if one.mac != "" {
				done.mac = one.mac
			}
			if one.err != nil {
				done.err = fmt.Errorf("ask who answers for the VIP on %s: %w", name, one.err)
			}
		}
		g.agent.Post(ctx, done)
	})
}

func (g *group) probed(now time.Time, p probed) {
	if p.err != nil {
		g.log.Warn("nobody could be asked for the VIP; it is taken as unused", "error", p.err)
	}
	g.step(now, vrrp.Probed{Attempt: p.attempt, MAC: p.mac})
}
