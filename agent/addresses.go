package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election/vrrp"
)

const (
	// retryHold is the pause before addresses that the kernel refused are tried
	// again.
	retryHold = 100 * time.Millisecond
	// unheldMax is how long a group may lack its addresses before its owner
	// counts as unhealthy.
	unheldMax = time.Second
	// unheldPardon is how long a node that failed to hold the addresses, and let
	// go of them, counts as unhealthy. It cannot know when the cause is gone
	// without trying.
	unheldPardon = 30 * time.Second
	// defenceDelay is how long another's claim may be a successor's, which
	// announces before it advertises: to answer that would lead clients back.
	defenceDelay = 100 * time.Millisecond
	// refreshes is how many refreshes of an address fit into its lifetime.
	refreshes = 3
	// refreshPause is the pause after a refresh that a busy kernel left no room for.
	refreshPause = 300 * time.Millisecond
	// holdDeadline bounds how long an order to hold stays valid.
	holdDeadline = 500 * time.Millisecond
)

// want begins to hold the group's addresses, as the machine asked.
func (g *group) want(now time.Time, h vrrp.Hold) {
	if !g.wanted {
		g.unheldSince = now
	}
	g.wanted, g.releasing = true, false
	g.pardonAt = time.Time{}
	g.attempt, g.afterSilence = h.Attempt, h.AfterSilence
	g.agent.carrier.resume()
	g.route.stay()
	g.lead(now, h.AfterSilence)
	o := order{hold: true, announce: true, reseat: true, attempt: h.Attempt}
	// Where nobody is passed on to, clients do not wait for rules.
	if version := g.carry(now); g.handover.told.prev != (Hop{}) || g.handover.told.onLo {
		o.rules = version
	}
	g.order(now, o)
}

// release takes the group's addresses off.
func (g *group) release(now time.Time) {
	owned := g.shown.state == StateOwner || len(g.held) > 0 || g.leftBehind()
	g.wanted, g.held = false, nil
	g.refreshAt, g.retryAt, g.unheldSince, g.defendAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	g.unheldWhy = ""
	g.announcements.stop()
	if g.fitness.unheld != "" && g.pardonAt.IsZero() {
		g.pardonAt = now.Add(unheldPardon)
	}
	g.route.stay()
	if g.seat() == "" {
		g.dropShadow(now, EndUnkept)
		g.leased.off = true
		return
	}
	g.releasing = true
	g.send(now, g.letGo(now, owned))
	g.awaitOff()
}

// letGo is the order to take the addresses off: from an owner that is succeeded
// or has lost its link for a moment, from a shadow that did not come to own, or
// from a node that gives up.
func (g *group) letGo(now time.Time, owned bool) order {
	_, succeeded := g.machine.Owner(now)
	unlinked := g.machine.State() == vrrp.Init
	switch {
	case g.gone:
	case owned && (succeeded || unlinked) && g.becomeShadow(now):
		rules := g.carry(now)
		g.judgeShadow(now) // after the carrier knows the shadow: an owner's connections are not to be ended
		return order{rules: rules}
	case g.shadow.casts() && !g.shadow.muted:
		if g.handover.leading {
			g.handover.chain = g.handover.before
		}
		return order{rules: g.carry(now)}
	}
	g.dropShadow(now, EndUnkept)
	return order{end: owned && !unlinked && g.agent.abilities.Resets, port: g.cfg.Port}
}

// leftBehind tells whether the VIP is on the interface, of whatever life.
func (g *group) leftBehind() bool {
	return g.link != nil && slices.ContainsFunc(g.cfg.Addresses, g.agent.interfaces[g.link.name].has)
}

// order completes and sends an order to hold.
func (g *group) order(now time.Time, o order) {
	g.refreshAt, g.retryAt = time.Time{}, time.Time{}
	if g.seat() == "" {
		return
	}
	o.lifetime = g.cfg.Fence
	o.deadline = now.Add(holdDeadline)
	if g.machine.lease != nil && !g.boundByLease(now, &o) {
		return
	}
	if g.cfg.Fence > 0 {
		g.refreshAt = now.Add(o.lifetime / refreshes)
	}
	if g.machine.lease != nil {
		if last := g.machine.lease.LastRefresh(); last.After(now) {
			g.refreshAt = earliest(g.refreshAt, last)
		}
	}
	g.send(now, o)
}

// send hands an order for the group's addresses to the applier.
func (g *group) send(now time.Time, o order) {
	g.serial++
	o.serial, o.sent = g.serial, now
	if !o.hold {
		g.lastOff = o.serial
	}
	o.rulesBy = now.Add(rulesWait)
	o.placed = placed{interfaceName: g.seat(), addrs: slices.Clone(g.cfg.Addresses)}
	if o.hold && g.machine.lease != nil {
		o.addrs = slices.DeleteFunc(o.addrs, func(a netip.Addr) bool { return !g.machine.lease.MayHave(a) })
	}
	g.agent.applier.put(g, o)
}

// holds tells whether the group's addresses are on this node and may be there:
// an owner that was late listens first, because they may be another's by now.
func (g *group) holds() bool { return len(g.held) > 0 && g.machine.State() != vrrp.Listening }

// applied hears what became of an order.
func (g *group) applied(now time.Time, done applied) {
	if done.undropped != nil {
		g.log.Error("an address that the VIP does not have any more could not be taken off this node; the kernel's deadline will do it", "error", done.undropped)
	}
	switch {
	case !done.order.hold:
		g.released(done)
		g.heedOff(now, done)
	case !g.wanted, done.order.serial < g.lastOff: // they were taken off meanwhile, which is told next
	case g.gone: // what departs is there or is not: the fence knows
	case done.err != nil:
		// A refresh that is refused takes no address off. A route is not withdrawn
		// before the fence has run out: routers would rehash twice.
		if !g.cfg.Announce.Routed() || !g.unheldSince.IsZero() && now.Sub(g.unheldSince) >= g.cfg.Fence {
			g.held = nil
		}
		g.failed(now, done.order, done.err)
	case done.unannounced != nil && done.order.attempt != 0:
		// A new owner whom nobody hears of does not serve.
		g.failed(now, done.order, done.unannounced)
	default:
		g.holding(now, done)
	}
}

func (g *group) released(done applied) {
	if done.order.serial == g.serial {
		g.releasing = false
	}
	if done.reset > 0 {
		countIn(&g.counters.ConnectionsReset, EndUnkept, tally(done.reset))
		g.log.Info("open connections were reset with the release of the VIP", "connections", done.reset)
	}
	if done.err != nil {
		g.log.Error("the VIP could not be taken off this node; the kernel's deadline will do it", "interface", done.order.interfaceName, "error", done.err)
	}
}

// holding hears that the addresses are held.
func (g *group) holding(now time.Time, done applied) {
	o := done.order
	if done.created && o.attempt == 0 && slices.Equal(g.held, o.addrs) {
		g.counters.Restored.Add(1)
		if g.restoredAt.IsZero() || now.Sub(g.restoredAt) >= repeatPause {
			g.restoredAt = now
			g.log.Warn("the VIP had been removed from the interface by someone else; it was put back. Find out who with ip monitor address: keepalived, networkd, NetworkManager or another vipd", "interface", o.interfaceName)
		}
	}
	g.held, g.standsUntil = o.addrs, time.Time{}
	if o.lifetime > 0 {
		g.standsUntil = o.sent.Add(o.lifetime)
	}
	g.resume(now)
	g.unheldSince, g.unheldWhy = time.Time{}, ""
	g.noteAnnounced(done)
	if o.announce && o.attempt != 0 {
		g.tookAt = now
		if !g.cfg.Announce.Routed() {
			g.announcements.begin(now, g.announceAgain(now))
		}
	}
	if g.fitness.setHolding("") {
		g.judge(now)
	}
	if o.attempt != 0 {
		g.step(now, vrrp.Held{Attempt: o.attempt})
	}
}

// removedByKernel tells whether the addresses may have gone from the interface by
// themselves.
func (g *group) removedByKernel(now time.Time) bool {
	return !g.standsUntil.IsZero() && !now.Before(g.standsUntil)
}

// noteAnnounced tells of announcements that fail, once: the next one in the
// schedule may succeed.
func (g *group) noteAnnounced(done applied) {
	why := ""
	if done.unannounced != nil {
		why = done.unannounced.Error()
	}
	if why != "" && why != g.unannounced {
		g.log.Warn("the VIP is held but could not be announced", "interface", done.order.interfaceName, "error", why)
	}
	g.unannounced = why
}

// announceAgain is when a former owner that is frozen has lost the VIP for sure.
func (g *group) announceAgain(now time.Time) time.Time {
	if !g.afterSilence || g.cfg.Fence == 0 {
		return time.Time{}
	}
	return now.Add(g.cfg.Fence + time.Second)
}

// failed hears that an order to hold did not succeed, and tries again soon.
func (g *group) failed(now time.Time, o order, err error) {
	if g.unheldSince.IsZero() {
		g.unheldSince = now
	}
	if g.unheldWhy != err.Error() {
		g.unheldWhy = err.Error()
		g.log.Error("the VIP could not be put on this node; trying again", "interface", o.interfaceName, "error", err)
	}
	g.retryAt = now.Add(retryHold)
	if o.attempt != 0 {
		g.step(now, vrrp.Held{Attempt: o.attempt, Err: err})
	}
}

// unheldDeadline is when missing addresses make this owner unhealthy.
func (g *group) unheldDeadline() time.Time {
	if g.unheldSince.IsZero() || g.fitness.unheld != "" {
		return time.Time{}
	}
	return g.unheldSince.Add(unheldMax)
}

// tickAddresses refreshes and retries. A late owner that listens does neither:
// it may have lost the VIP.
func (g *group) tickAddresses(now time.Time) {
	g.tickFitnessToHold(now)
	if !g.wanted || g.machine.State() == vrrp.Listening {
		g.refreshAt, g.retryAt = time.Time{}, time.Time{}
		return
	}
	switch {
	case due(g.retryAt, now):
		g.order(now, order{hold: true, announce: true, reseat: true, attempt: g.attempt})
	case due(g.refreshAt, now):
		g.refreshAt = now.Add(min(g.cfg.Fence/refreshes, refreshPause))
		if g.agent.applier.idle(g) {
			g.order(now, order{hold: true})
		}
	}
}

// tickFitnessToHold makes an owner unhealthy that lacks its addresses, and a
// backup that let go of them fit to try again.
func (g *group) tickFitnessToHold(now time.Time) {
	changed := false
	if due(g.unheldDeadline(), now) {
		why := g.unheldWhy
		if why == "" {
			why = "the kernel did not answer"
		}
		changed = g.fitness.setHolding(why)
	}
	if due(g.pardonAt, now) {
		g.pardonAt = time.Time{}
		changed = g.fitness.setHolding("")
	}
	if changed {
		g.judge(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// addressRemoved puts a VIP back that someone took off.
func (a *Agent) addressRemoved(now time.Time, ev AddressRemoved) {
	for _, g := range a.groups {
		if !g.holds() || g.seat() != ev.Interface || !slices.Contains(g.held, ev.Addr) {
			continue
		}
		if g.unheldSince.IsZero() {
			g.unheldSince = now
		}
		g.order(now, order{hold: true})
	}
}

// claimed hears that another station claims a VIP. Before this node owns it, and
// just after, that is the former owner or another candidate.
func (a *Agent) claimed(now time.Time, ev claimed) {
	for _, g := range a.groups {
		if !g.wanted || g.seat() != ev.link || !slices.Contains(g.cfg.Addresses, ev.addr) {
			continue
		}
		if !g.machine.Owns() || now.Sub(g.tookAt) < defenceDelay {
			g.announcements.outcry(now)
			continue
		}
		g.accused = ev
		if g.defendAt.IsZero() {
			g.defendAt = now.Add(defenceDelay)
		}
	}
}

// defend answers another station's claim to the VIP.
func (g *group) defend(now time.Time) {
	g.defendAt = time.Time{}
	g.claimedAt = now
	if g.attacked(now) {
		g.log.Warn("another station claims the VIP; this node announces it again. Find the station by its MAC and take the VIP off it", "address", g.accused.addr, "mac", g.accused.mac)
	}
}

// attacked announces against another claimant and tells whether an episode
// began.
func (g *group) attacked(now time.Time) bool {
	began := g.defence.begins(now)
	if began {
		g.counters.DuplicateOwners.Add(1)
	}
	if !g.holds() {
		return began
	}
	if began {
		g.announcements.begin(now, time.Time{})
	}
	if began {
		g.order(now, order{hold: true, announce: true, rules: g.handover.version})
		return began
	}
	if at := g.defence.answer(now); !at.IsZero() {
		g.announcements.makeUp(at)
	}
	return began
}

// tickAnnouncements announces what is due.
func (g *group) tickAnnouncements(now time.Time) {
	if !g.holds() {
		g.defendAt = time.Time{}
		return
	}
	if g.announcements.due(now) {
		g.order(now, order{hold: true, announce: true, rules: g.handover.version})
	}
	if due(g.defendAt, now) {
		g.defend(now)
	}
}
