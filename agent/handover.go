package agent

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
	"github.com/vipd/vipd/peer"
)

const (
	// shadowLeast is how long a shadow stays even if nothing is open here: stale
	// neighbour caches lead packets to it that are the owner's.
	shadowLeast = time.Second
	// unheededMax is how long a shadow waits for an owner that passes packets on
	// to it: a life of hellos, and a beat.
	unheededMax = peer.Lifetime + time.Second
	// idleWait is how long the end of a grace waits for each connection to be
	// idle, looking every idlePause.
	idleWait  = 2 * time.Second
	idlePause = 100 * time.Millisecond
	// doneWait is how long a shadow that has nothing left stays after it said so:
	// the others pass on to the node behind it by then.
	doneWait = 300 * time.Millisecond
)

// shadow is what a former owner does for connections that are open here: it
// carries them until they end. The zero shadow carries none.
type shadow struct {
	// since is when it began, graceEnds when it ends at the latest.
	since, graceEnds time.Time
	// adopted: an earlier life began it, and its place in the chain is not known
	// yet.
	adopted bool
	// muted: it is an owner that was late, and is silent until it knows who owns.
	muted bool
	// absent: the kernel had removed the VIP before it began, so that what is new has
	// long been another's: the VIP comes to lo when there is who to pass it on to.
	absent bool
	// most are how many connections of other hosts' clients were open at once,
	// open those that are open now, reset how many were ended by this node.
	most  int
	open  Connections
	reset int
	// heededAt is when the owner said last that it passes on to this node.
	heededAt time.Time
	// lookAt is when the connections have to be looked at.
	lookAt time.Time
	// cause is why it ends; empty: it does not. An end has three steps: idleUntil
	// ends the wait for idle moments, the carrier's version cut ends what is open,
	// and after doneAt, when the others know, its version last is the end.
	cause     EndCause
	idleUntil time.Time
	cut       uint64
	doneAt    time.Time
	last      uint64
}

// casts tells whether there is a shadow.
func (s *shadow) casts() bool { return !s.since.IsZero() }

// done: no connection is open here any more, and none will be.
func (s *shadow) done() bool { return !s.doneAt.IsZero() }

// ends: the carrier was told to let go.
func (s *shadow) ends() bool { return s.last != 0 }

// preserves tells whether connections of the group are carried when it moves.
func (g *group) preserves() bool {
	return g.kernelCarries() && g.cfg.Handover.Preserve && g.agent.config.Hello.Enabled && g.cfg.Announce == config.AnnounceL2
}

func (g *group) kernelCarries() bool {
	able := g.agent.abilities
	for _, addr := range g.cfg.Addresses {
		if addr.Is4() && !able.IPv4 || addr.Is6() && !able.IPv6 {
			return false
		}
	}
	return true
}

// whyEnded is why connections are not carried when the group moves; empty: they
// are.
func (g *group) whyEnded() string {
	switch {
	case g.preserves():
		return g.handover.passing.blocked
	case !g.cfg.Handover.Preserve:
		return "handover.preserve is false"
	case !g.agent.config.Hello.Enabled:
		return "hello.enabled is false, so nodes do not know each other"
	case g.cfg.Announce != config.AnnounceL2:
		return "the VIP is not announced on its segment"
	}
	return "this kernel has not all that it takes: " + g.agent.abilities.Missing
}

// becomeShadow begins to carry what is open here, and tells whether it does.
func (g *group) becomeShadow(now time.Time) bool {
	if !g.preserves() {
		return false
	}
	g.handover.silent = netip.Addr{} // who was before this node may be its successor
	s := &g.shadow
	if !s.casts() || s.muted {
		absent := s.absent || !s.casts() && g.removedByKernel(now)
		*s = shadow{since: now, graceEnds: now.Add(g.cfg.Handover.Grace), absent: absent}
	}
	*s = shadow{since: s.since, graceEnds: s.graceEnds, most: s.most, open: s.open, reset: s.reset, absent: s.absent}
	s.heededAt, s.lookAt = now, now.Add(shadowLeast)
	if g.shown.state == StateBackup && g.why.reason == "" {
		g.why = cause{reason: election.Startup, detail: "an earlier vipd on this node was owner; its connections are carried on", told: true}
	}
	return true
}

// mute makes an owner that was late silent without letting go: another may own by
// now.
func (g *group) mute(now time.Time) {
	if g.byLease() {
		g.muteForLease(now)
		return
	}
	if !g.preserves() || len(g.held) == 0 || g.shadow.casts() {
		return
	}
	g.shadow = shadow{since: now, muted: true, absent: g.removedByKernel(now)}
	g.held = nil
	g.send(now, order{rules: g.carry(now), certain: true})
}

// listens tells whether an owner that was late is mute: it waits for adverts, or
// has heard another owner and lets go next.
func (g *group) listens() bool {
	return g.machine.State() == vrrp.Listening || g.shadow.muted && !g.machine.Owns()
}

// resume ends being a shadow because this node has the VIP again.
func (g *group) resume(now time.Time) {
	g.handover.leading = false
	s := &g.shadow
	if !s.casts() {
		return
	}
	if !s.muted {
		g.noteHandover(now, HandoverResumed)
	}
	*s = shadow{}
	g.carry(now)
}

// endShadow ends what is still open here. After a grace it prefers moments at
// which nothing is under way.
func (g *group) endShadow(now time.Time, why EndCause) {
	s := &g.shadow
	if !s.casts() || s.cause != "" {
		return
	}
	s.cause = why
	if why == EndGrace {
		s.idleUntil, s.lookAt = now.Add(idleWait), now
		return
	}
	g.cutShadow(endAll)
}

// cutShadow has the carrier end connections.
func (g *group) cutShadow(which ending) {
	w := g.handover.told
	w.end, w.cause = which, g.shadow.cause
	g.agent.carrier.resume()
	version := g.agent.carrier.set(g, w)
	if which == endAll {
		g.shadow.cut, g.shadow.lookAt = version, time.Time{}
	}
}

// concludeShadow tells how a handover ended.
func (g *group) concludeShadow(now time.Time) {
	s := g.shadow
	result := HandoverCompleted
	if s.reset > 0 {
		result = HandoverReset
	}
	g.noteHandover(now, result)
	if g.shown.state == StateHandover {
		g.why = cause{reason: election.HandoverEnded, detail: s.account()}
	} else {
		// A fault stays what the status tells.
		g.agent.record(Entry{
			Time: now, VIP: g.cfg.Name, From: g.shown.state, To: g.shown.state, Reason: election.HandoverEnded,
			Detail: s.account(), Owner: g.owner(now), DurationSeconds: now.Sub(s.since).Seconds(),
		})
	}
	g.log.Info("the handover ended", "detail", s.account(), "after", now.Sub(s.since).Round(time.Millisecond))
	for _, op := range g.agent.drains {
		for _, d := range op.groups {
			if d.group == g && op.request.WaitConnections && s.cause != EndLocal {
				d.resets += s.reset
			}
		}
	}
	g.shadow = shadow{}
	g.carry(now)
}

// dropShadow ends being a shadow at once: there is nothing to carry on with.
func (g *group) dropShadow(now time.Time, why EndCause) {
	s, h := &g.shadow, &g.handover
	if !s.casts() {
		g.carry(now)
		return
	}
	w := h.told
	w.part, w.onLo, w.end, w.cause = apart, false, endAll, why
	h.told, h.version = carriage{}, g.agent.carrier.set(g, w)
	if !s.muted {
		g.noteHandover(now, HandoverReset)
		g.log.Info("the handover ended", "detail", "what was open is reset: "+why.explain(), "after", now.Sub(s.since).Round(time.Millisecond))
	}
	*s = shadow{}
	g.carry(now)
}

// account is one line about the connections of a shadow that ended.
func (s *shadow) account() string {
	if s.most == 0 && s.reset == 0 {
		return "no connection was open"
	}
	text := fmt.Sprintf("of %d connections that were carried %d ended by themselves", s.most, max(0, s.most-s.reset))
	if s.reset == 0 {
		return text
	}
	return fmt.Sprintf("%s; %d were reset: %s", text, s.reset, s.cause.explain())
}

// noteHandover counts a handover that ended.
func (g *group) noteHandover(now time.Time, result HandoverResult) {
	countIn(&g.counters.Handovers, result, 1)
	g.counters.HandoverDuration.Observe(now.Sub(g.shadow.since))
}

// shadowDeadline is when the shadow has to be looked at; zero: not.
func (g *group) shadowDeadline() time.Time {
	s := &g.shadow
	if !s.casts() || s.ends() || g.wanted {
		return time.Time{}
	}
	switch {
	case s.done():
		return s.doneAt
	case s.cut != 0:
		return time.Time{}
	case s.cause == EndGrace:
		return earliest(s.lookAt, s.idleUntil)
	}
	return earliest(s.lookAt, earliest(s.graceEnds, s.heededAt.Add(unheededMax)))
}

// tickShadow does what is due.
func (g *group) tickShadow(now time.Time) {
	s := &g.shadow
	if !due(g.shadowDeadline(), now) {
		return
	}
	switch {
	case s.done():
		w := g.handover.told
		w.part, w.onLo = apart, false
		g.handover.told = w
		s.last = g.agent.carrier.set(g, w)
	case due(s.idleUntil, now):
		g.cutShadow(endAll)
	case s.cause == EndGrace:
		s.lookAt = now.Add(idlePause)
		g.cutShadow(endIdle)
	case due(s.graceEnds, now):
		g.endShadow(now, EndGrace)
	case now.Sub(s.heededAt) >= unheededMax:
		g.endShadow(now, EndUnheeded)
	default:
		s.lookAt = time.Time{}
		g.agent.carrier.renew()
	}
}

// carried hears what the carrier did for the group, and found.
func (g *group) carried(now time.Time, version uint64, done carriedGroup) {
	s := &g.shadow
	g.noteCarryError(done.err)
	if done.stranded > 0 {
		countIn(&g.counters.ConnectionsReset, EndStranded, tally(done.stranded))
	}
	if done.reset > 0 {
		s.reset += done.reset
		countIn(&g.counters.ConnectionsReset, done.cause, tally(done.reset))
	}
	if !s.casts() {
		return
	}
	if done.counted {
		s.open = done.open
		s.most = max(s.most, done.open.Remote)
		s.absent = s.absent && version < g.handover.version
	}
	switch {
	case s.ends() && version >= s.last:
		g.concludeShadow(now)
	case s.cut != 0 && version >= s.cut && !s.done():
		s.doneAt = now.Add(doneWait)
	case g.wanted || s.cause != "" || !done.counted:
	case s.open.Remote == 0 && now.Sub(s.since) >= shadowLeast:
		g.endShadow(now, EndLocal)
	}
}

// noteCarryError tells once what could not be done.
func (g *group) noteCarryError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != g.handover.carryError {
		g.log.Warn("open connections of the VIP cannot all be kept, or ended, as they should", "error", text)
	}
	g.handover.carryError = text
}

// judgeShadow ends the shadow of an API server that hangs.
func (g *group) judgeShadow(now time.Time) {
	if g.fitness.liveness == counter.Hung && !g.wanted {
		g.endShadow(now, EndHung)
	}
}

// graceLeft is how long the shadow may last.
func (g *group) graceLeft(now time.Time) time.Duration {
	s := &g.shadow
	if !s.casts() || s.muted || s.ends() {
		return 0
	}
	return max(0, s.graceEnds.Sub(now))
}
