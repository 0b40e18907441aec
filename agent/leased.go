package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/lease"
)

// leased is a group's part in an election by etcd: what its machine orders is done
// by two goroutines, one of which does nothing but renew the lease, so that no
// other call stands before that.
type leased struct {
	group            LeaseGroup
	renewals, writes chan lease.Order
	end              func()
	// off: the addresses are off the segment, which the machine is to be told;
	// offBy is the order that takes them off, 0: none.
	off   bool
	offBy uint64
	// held: the machine held the lease when it was asked last. reached: it was told
	// that etcd was reached.
	held, reached bool
	// noting: it is being noted that etcd was reached, next at noteAt; unnoted is why
	// that did not succeed.
	noting  bool
	noteAt  time.Time
	unnoted complaint
	// unseen is why the keys cannot be followed, since unseenSince; empty: they can.
	unseen      string
	unseenSince time.Time
	// trouble and discord are what is told of etcd, and of the other nodes' addresses.
	trouble, discord complaint
	// claimed are the addresses that this node, as owner, may have.
	claimed lease.Addresses
}

// unseenPatience is how long keys may not be followed before that is told: a watch
// ends with each restart of etcd's member, and is begun again.
const unseenPatience = 5 * time.Second

func (l *leased) stop() {
	if l.end != nil {
		l.end()
	}
}

// leaseConfig is what the group's machine needs to know.
func (g *group) leaseConfig() lease.Config {
	known := true
	if g.agent.edges.Leases != nil {
		var err error
		if known, err = g.agent.edges.Leases.Known(); err != nil {
			known = true
			g.log.Warn("whether this node has reached etcd before is not known; it waits for etcd", "error", err)
		}
	}
	v := g.cfg.Etcd
	return lease.Config{
		Node: g.agent.config.Node, TTL: v.TTL, Keep: v.WithoutEtcd == config.WithoutEtcdKeep,
		Bootstrap: v.Bootstrap == config.BootstrapVRRP && !known, Fence: g.cfg.Fence,
		Addresses: g.cfg.Addresses, VRRP: g.prepare(),
	}
}

// useEtcd starts what a group that is elected by etcd needs of it.
func (g *group) useEtcd() {
	a := g.agent
	if g.machine.lease == nil || a.edges.Leases == nil {
		return
	}
	l := &g.leased
	l.group = LeaseGroup{Cluster: a.config.Cluster, VIP: g.cfg.Name}
	l.renewals, l.writes = make(chan lease.Order, 1), make(chan lease.Order, 1)
	ends := make([]func(), 0, 3)
	for _, lane := range []chan lease.Order{l.renewals, l.writes} {
		ends = append(ends, a.spawn(func(ctx context.Context) { g.carryOut(ctx, lane) }))
	}
	id := l.group
	ends = append(ends, a.spawn(func(ctx context.Context) {
		a.edges.Leases.Watch(ctx, id,
			func(v lease.View) { a.Post(ctx, leaseSeen{group: g, view: v}) },
			func(err error) { a.Post(ctx, leaseUnseen{group: g, err: err}) })
	}))
	l.end = func() {
		for _, end := range ends {
			end()
		}
	}
}

// standsAnew: the group's keys in etcd have another place from now on, or who
// elects before etcd was reached has changed and it was not.
func (g *group) standsAnew(v config.VIP) bool {
	m := g.machine.lease
	return m != nil && (v.Name != g.cfg.Name || v.Etcd.Bootstrap != g.cfg.Etcd.Bootstrap && !m.Reached())
}

// moveLeases begins groups anew whose keys stand under another cluster's name now.
func (a *Agent) moveLeases(now time.Time) {
	for _, g := range slices.Clone(a.groups) {
		if g.machine.lease != nil && g.leased.group.Cluster != "" && g.leased.group.Cluster != a.config.Cluster {
			a.replaceGroup(now, g, g.cfg)
		}
	}
}

// carryOut asks etcd what is ordered, one thing after the other.
func (g *group) carryOut(ctx context.Context, orders <-chan lease.Order) {
	a, id := g.agent, g.leased.group
	for {
		select {
		case o := <-orders:
			a.Post(ctx, leaseAnswered{group: g, answer: a.edges.Leases.Call(ctx, id, o)})
		case <-ctx.Done():
			return
		}
	}
}

// followLease does what a machine of a lease wants beyond its actions.
func (g *group) followLease(now time.Time) {
	l, m := &g.leased, g.machine.lease
	for l.off {
		l.off, l.offBy = false, 0
		for _, act := range m.Off(now) {
			g.perform(now, act)
		}
	}
	for _, o := range m.Orders() {
		lane := l.writes
		if o.Kind == lease.Renew {
			lane = l.renewals
		}
		if lane != nil { // each has room for the one order that may be under way
			lane <- o
		}
	}
	s := m.Status(now)
	if held := s.Held; held != l.held {
		l.held = held
		if held && g.holds() {
			g.order(now, order{hold: true}) // what VRRP gave it is bound by the lease from now on
		}
	}
	if claimed := m.Claimed(); claimed != l.claimed {
		l.claimed = claimed
		g.holdClaimed(now)
	}
	g.tellTrouble(now, s)
	if m.Reached() && s.Trouble == "" {
		g.remember(now)
	}
}

// byLease tells whether a lease decides who owns the group; else it is VRRP, for
// good or until etcd was reached.
func (g *group) byLease() bool {
	return g.machine.lease != nil && !g.machine.lease.Bootstraps()
}

// withoutEtcd is why etcd does not answer for the lease that elects the group; empty:
// it does, or no lease does.
func (g *group) withoutEtcd(now time.Time) string {
	if !g.byLease() {
		return ""
	}
	return g.leaseTrouble(now, g.machine.lease.Status(now))
}

// nobodyStands tells why no other node of a band or a better one would take the
// group's lease; certain: it is so.
func (g *group) nobodyStands(now time.Time, least election.Band) (why string, certain bool) {
	s := g.machine.lease.Status(now)
	if !s.Reached || g.leaseTrouble(now, s) != "" {
		return "", false
	}
	addresses := lease.SetOf(g.cfg.Addresses)
	var all []string
	for _, c := range s.Candidates {
		switch {
		case c.Node == g.agent.config.Node:
		case !c.Addresses.Agrees(addresses):
			all = append(all, c.Node+" has other addresses")
		case c.Band >= least:
			return "", false
		default:
			all = append(all, fmt.Sprintf("%s is %s", c.Node, c.Band))
		}
	}
	if len(all) == 0 {
		return "no other node is a candidate in etcd", true
	}
	slices.Sort(all)
	return strings.Join(all, ", "), true
}

// notePeriod is the time between two looks at what is noted of etcd: its CA may
// have been replaced, or the disk may have been full.
const notePeriod = time.Minute

// remember notes for the next start that etcd was reached.
func (g *group) remember(now time.Time) {
	l, a := &g.leased, g.agent
	if l.noting || now.Before(l.noteAt) {
		return
	}
	if !l.reached {
		g.log.Info("etcd was reached; it elects from now on, after a restart too")
	}
	l.reached, l.noting, l.noteAt = true, true, now.Add(notePeriod)
	a.spawn(func(ctx context.Context) {
		err := a.edges.Leases.Remember(ctx)
		a.Post(ctx, leaseNoted{group: g, err: err})
	})
}

func (g *group) leaseNoted(now time.Time, err error) {
	l, why := &g.leased, ""
	if err != nil {
		why = err.Error()
	}
	l.noting = false
	switch begins, ends := l.unnoted.hear(now, why); {
	case begins:
		g.log.Error("after a restart without etcd, VRRP will elect on this node as before its first contact with etcd; trying again each minute", "error", err)
	case ends:
		g.log.Info("it is noted that etcd was reached; it elects after a restart too")
	}
}

// holdClaimed holds addresses that a reload added, when they are claimed.
func (g *group) holdClaimed(now time.Time) {
	if !g.holds() || len(without(g.cfg.Addresses, g.held)) == 0 {
		return
	}
	g.order(now, order{hold: true, announce: true})
	if !g.cfg.Announce.Routed() {
		g.announcements.begin(now, time.Time{})
	}
}

// leaseTrouble is what is wrong between this node and etcd; empty: nothing.
func (g *group) leaseTrouble(now time.Time, s lease.Status) string {
	l := &g.leased
	if s.Trouble == "" && l.unseen != "" && now.Sub(l.unseenSince) >= unseenPatience {
		return l.unseen // although the lease is renewed
	}
	return s.Trouble
}

// tellTrouble tells what is wrong between this node and etcd, and between the nodes.
func (g *group) tellTrouble(now time.Time, s lease.Status) {
	l := &g.leased
	trouble := g.leaseTrouble(now, s)
	switch begins, ends := l.trouble.hear(now, trouble); {
	case begins:
		g.log.Warn("etcd does not answer for the lease, or not in full", "error", trouble, "bootstrapping", s.Bootstraps)
	case ends:
		g.log.Info("etcd answers for the lease again")
	}
	switch begins, ends := l.discord.hear(now, s.Discord); {
	case begins:
		g.log.Error("the nodes do not mean the same VIP", "error", s.Discord)
	case ends:
		g.log.Info("the nodes mean the same VIP again")
	}
}

func (g *group) leaseSeen(now time.Time, v lease.View) {
	g.leased.unseen = ""
	g.do(now, g.machine.lease.Seen(now, v))
}

func (g *group) leaseUnseen(now time.Time, err error) {
	l := &g.leased
	if l.unseen == "" {
		l.unseenSince = now
	}
	l.unseen = "etcd's keys cannot be followed: " + err.Error()
	g.tellTrouble(now, g.machine.lease.Status(now))
}

// boundByLease bounds an order to hold by the lease, and tells whether it may be
// given. One that may not comes again when the lease was renewed.
func (g *group) boundByLease(now time.Time, o *order) bool {
	lifetime, by := g.machine.lease.Lifetime(now, g.cfg.Fence)
	if lifetime > 0 {
		o.lifetime, o.deadline = lifetime, earliest(o.deadline, by)
		return true
	}
	if o.attempt != 0 {
		g.retryAt = now.Add(retryHold)
	} else {
		g.refreshAt = now.Add(retryHold)
	}
	return false
}

// muteForLease takes the addresses off the segment while the lease is passed on.
// Where connections are kept, the VIP stays silently on lo and serves those who
// know this node's MAC; routers go on sending here until they know better.
func (g *group) muteForLease(now time.Time) {
	g.refreshAt, g.retryAt = time.Time{}, time.Time{}
	switch {
	case g.cfg.Announce.Routed():
		g.leased.off = true
		return
	case !g.preserves():
		end := len(g.held) > 0 && g.agent.abilities.Resets
		g.held = nil
		g.send(now, order{end: end, port: g.cfg.Port})
	default:
		g.held = nil
		if !g.shadow.casts() {
			g.shadow = shadow{since: now, muted: true, absent: g.removedByKernel(now)}
		}
		g.send(now, order{rules: g.carry(now), certain: true})
	}
	g.announcements.stop()
	g.awaitOff()
}

// awaitOff has the machine told when the last order, to take the addresses off,
// was carried out.
func (g *group) awaitOff() { g.leased.off, g.leased.offBy = false, g.serial }

// heedOff hears that an order to take the addresses off was carried out, or not.
func (g *group) heedOff(now time.Time, done applied) {
	l := &g.leased
	if g.machine.lease == nil || g.gone || l.offBy == 0 || done.order.serial != l.offBy {
		return
	}
	switch {
	case done.kept && g.muted():
		// Once more, and then without: a node that cannot keep its connections is
		// to be left all the same.
		g.send(now, order{rules: g.agent.carrier.set(g, g.handover.told)})
		g.awaitOff()
	case !done.kept && done.err == nil:
		l.off = true
		g.stale = true
		g.do(now, nil)
	}
}

// muted: the lease is being passed on.
func (g *group) muted() bool { return g.shadow.muted }

// leaveEtcd takes this node's candidacies back, as its last act.
func (a *Agent) leaveEtcd(ctx context.Context) {
	var all sync.WaitGroup
	for _, g := range a.groups {
		if g.machine.lease == nil || a.edges.Leases == nil {
			continue
		}
		o, wanted := g.machine.lease.Farewell()
		if !wanted {
			continue
		}
		all.Go(func() { a.edges.Leases.Call(ctx, g.leased.group, o) })
	}
	all.Wait()
}
