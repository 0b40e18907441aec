package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// escalateMin and escalateIntervals: how long priority 1 is tried before
	// priority 0, for neighbours that do not preempt and so ignore 1.
	escalateMin       = time.Second
	escalateIntervals = 5
	// forcedRelease is how long a forced drain waits for the kernel after it gave
	// the VIP up.
	forcedRelease = time.Second
	// progressQueue is how many lines of a drain's story may wait to be read.
	progressQueue = 64
)

// drain is one running request to give VIPs up.
type drain struct {
	request DrainRequest
	groups  []*drainedGroup
	endsAt  time.Time
	// seenAt is when balancers have seen that this node leaves; waiting: that it
	// is waited for was told.
	seenAt    time.Time
	waiting   bool
	cancelled bool
	ended     bool
	lines     chan DrainProgress
	result    chan DrainResult
}

// drainedGroup is a drain's view of one group.
type drainedGroup struct {
	*group
	// wasOwner: it had the VIP when the drain began, or connections to it.
	wasOwner bool
	// escalateAt is when priority 1 has been tried for long enough, forceAt when
	// a forced drain gives up waiting.
	escalateAt time.Time
	forceAt    time.Time
	proof      proof
	// waitUntil ends the wait for open connections; zero: it has not begun.
	waitUntil time.Time
	// resets are connections that were ended although they were waited for.
	resets   int
	finished bool
}

// Drain gives VIPs up to healthy successors and keeps them off this node until
// Undrain. fn is told how it goes. When ctx ends, or no successor is heard in
// time, this node may own again what has not moved.
func (a *Agent) Drain(ctx context.Context, r DrainRequest, fn func(DrainProgress)) (DrainResult, error) {
	op := &drain{request: r, lines: make(chan DrainProgress, progressQueue), result: make(chan DrainResult, 1)}
	cancel := func() { a.Post(context.WithoutCancel(ctx), requested{do: func() { op.cancelled = true }}) }
	var failed error
	if err := a.ask(ctx, func() { failed = a.beginDrain(time.Now(), op) }); err != nil {
		cancel() // it may have begun all the same
		return "", err
	}
	if failed != nil {
		return "", failed
	}
	gone := ctx.Done()
	for {
		select {
		case line := <-op.lines:
			fn(line)
		case result := <-op.result:
			return a.concluded(ctx, op, result, fn)
		case <-gone:
			gone = nil
			cancel()
		case <-a.stopped:
			select {
			case result := <-op.result:
				return a.concluded(ctx, op, result, fn)
			default:
				return "", ErrStopping
			}
		}
	}
}

// concluded tells the lines that are left, and makes a drain that was done
// survive a restart.
func (a *Agent) concluded(ctx context.Context, op *drain, result DrainResult, fn func(DrainProgress)) (DrainResult, error) {
	for len(op.lines) > 0 {
		fn(<-op.lines)
	}
	if result != DrainDone && result != DrainReset {
		return result, nil
	}
	return result, a.storeMark(context.WithoutCancel(ctx))
}

func (a *Agent) named(name string) ([]*group, error) {
	if name == "" {
		return slices.Clone(a.groups), nil
	}
	for _, g := range a.groups {
		if g.cfg.Name == name {
			return []*group{g}, nil
		}
	}
	return nil, &UnknownVIPError{Name: name}
}

func (a *Agent) beginDrain(now time.Time, op *drain) error {
	if a.shutdown != nil {
		return ErrStopping
	}
	groups, err := a.named(op.request.VIP)
	if err != nil {
		return err
	}
	timeout := op.request.Timeout
	if timeout <= 0 {
		timeout = a.config.Drain.Timeout
	}
	op.endsAt = now.Add(timeout)
	if op.refuse(now, groups) {
		op.end(DrainNoSuccessor)
		return nil
	}
	op.seenAt = a.balancersSee(now)
	for _, g := range groups {
		g.log.Info("a drain begins", "timeout", timeout, "force", op.request.Force)
		op.add(now, g)
	}
	if op.request.Force {
		op.endsAt = op.endsAt.Add(forcedRelease)
	}
	a.drains = append(a.drains, op)
	return nil
}

// refuse tells whether the operation is known to fail before it begins: nothing
// is touched then.
func (op *drain) refuse(now time.Time, groups []*group) bool {
	refused := false
	for _, g := range groups {
		if op.request.Force || !g.machine.Owns() {
			continue
		}
		if why, certain := g.nobodyCan(now); certain {
			refused = true
			op.say(now, g, "no healthy successor: %s; this node serves on", why)
		}
	}
	return refused
}

// hopeless tells why no successor can come any more; certain: for one of the
// groups it is so.
func (op *drain) hopeless(now time.Time) (why string, certain bool) {
	for _, g := range op.groups {
		if op.request.Force || g.finished || g.gone || !g.machine.Owns() {
			continue
		}
		if why, certain := g.nobodyCan(now); certain {
			return why, true
		}
	}
	return "", false
}

// add begins to drain a group.
func (op *drain) add(now time.Time, g *group) {
	wait := max(escalateMin, escalateIntervals*g.cfg.VRRP.AdvertInterval)
	op.groups = append(op.groups, &drainedGroup{
		group: g, wasOwner: g.machine.Owns() || g.shadow.casts(),
		escalateAt: now.Add(wait), forceAt: earliest(now.Add(2*wait), op.endsAt),
	})
	if g.machine.Owns() {
		op.say(now, g, "draining; serving on until a successor is heard")
		g.beginPath(now)
		if n, m := g.successor(); n != nil {
			op.say(now, g, "%s (%v) is asked to take over", n.Name, m.Source)
		}
	}
	g.withdraw(now, election.Drain)
}

// withdraw makes the group serve only until a successor is heard. An owner that
// is on its way out already, and may have come to priority 0, does not step
// back to 1.
func (g *group) withdraw(now time.Time, reason election.Reason) {
	if g.machine.Band() > election.Draining {
		g.step(now, vrrp.SetDuty{Duty: vrrp.Drain, Reason: reason})
	}
}

// timeout is when a drain has waited long enough for successors; zero: all are
// there. What is withdrawn because of one is not taken back.
func (op *drain) timeout() time.Time {
	for _, g := range op.groups {
		if !g.finished && g.waitUntil.IsZero() && !g.withdrawing() {
			return op.endsAt
		}
	}
	return time.Time{}
}

// unproven is why a drain that waited in vain did.
func (op *drain) unproven(now time.Time) string {
	if why := op.pathless(); why != "" {
		return why
	}
	for _, g := range op.groups {
		if !g.finished && !g.machine.Owns() && g.proof.missing != "" {
			return "another node took the VIP over, but is not proven to serve: " + g.proof.missing
		}
		if why := g.withoutEtcd(now); !g.finished && why != "" {
			return "the lease could not be passed on: " + why
		}
	}
	return "no healthy successor was heard"
}

// outcome is the result of a drain that is done.
func (op *drain) outcome() DrainResult {
	for _, g := range op.groups {
		if g.resets > 0 {
			return DrainReset
		}
	}
	return DrainDone
}

// concerns tells whether the operation runs and is about the group.
func (op *drain) concerns(g *group) bool {
	return !op.ended && slices.ContainsFunc(op.groups, func(d *drainedGroup) bool { return d.group == g })
}

// deadline is when the operation has to be looked at.
func (op *drain) deadline() time.Time {
	d := op.timeout()
	if op.settled() {
		return op.seenAt
	}
	for _, g := range op.groups {
		if g.finished {
			continue
		}
		if !g.waitUntil.IsZero() || !g.machine.Owns() {
			d = earliest(earliest(d, g.pathDeadline()), g.proof.deadline())
			if g.shadow.cause == "" {
				d = earliest(d, g.waitUntil)
			}
			continue
		}
		if g.everywhere() {
			d = earliest(d, g.pathDeadline())
		} else {
			d = earliest(d, g.escalateAt)
		}
		if op.request.Force {
			d = earliest(d, g.forceAt)
		}
	}
	return d
}

// say tells a line; a reader that does not keep up misses some.
func (op *drain) say(now time.Time, g *group, format string, args ...any) {
	op.tell(DrainProgress{Time: now, VIP: g.cfg.Name, Message: fmt.Sprintf(format, args...), Owner: g.owner(now)})
}

func (op *drain) tell(line DrainProgress) {
	select {
	case op.lines <- line:
	default:
	}
}

// advanceDrains looks how far each drain has come.
func (a *Agent) advanceDrains(now time.Time) {
	for _, op := range a.drains {
		if !op.ended {
			a.advanceDrain(now, op)
		}
	}
	a.drains = slices.DeleteFunc(a.drains, func(op *drain) bool { return op.ended })
}

func (a *Agent) advanceDrain(now time.Time, op *drain) {
	hopeless, certain := op.hopeless(now)
	for _, g := range op.groups {
		if !g.finished {
			g.advance(now, op)
		}
	}
	switch {
	case op.settled() && !op.awaitsBalancers(now):
		a.complete(now, op)
	case op.cancelled:
		a.undo(now, op, DrainCancelled, "the drain was cancelled")
	case certain:
		a.undo(now, op, DrainNoSuccessor, "no healthy successor: "+hopeless)
	case due(op.timeout(), now):
		a.undo(now, op, DrainNoSuccessor, op.unproven(now))
	}
}

// complete ends a drain of which nothing is left to do: the VIPs stay off this
// node.
func (a *Agent) complete(now time.Time, op *drain) {
	for _, g := range op.groups {
		if !g.gone {
			a.keepOff(now, g.group)
		}
	}
	op.end(op.outcome())
}

func (op *drain) end(result DrainResult) {
	op.ended = true
	for _, g := range op.groups {
		g.log.Info("the drain ended", "result", string(result))
	}
	op.result <- result
}

// advance looks at one group: has a healthy node taken over, or must the
// neighbours be asked more clearly?
func (g *drainedGroup) advance(now time.Time, op *drain) {
	if g.gone {
		g.finished = true
		op.say(now, g.group, "the configuration does not have it any more")
		return
	}
	if g.everywhere() {
		g.advanceEverywhere(now, op)
		return
	}
	if g.machine.Owns() {
		g.press(now, op)
		return
	}
	if !g.waitUntil.IsZero() {
		g.waitOn(now, op)
		return
	}
	if due(g.proof.askAt, now) {
		g.proof.askAt = time.Time{}
	}
	if g.cfg.Announce.Routed() {
		g.seekPath(now)
	}
	owner, alive := g.machine.Owner(now)
	served := alive && (g.wasOwner || vrrp.BandOf(owner.Priority) == election.Healthy)
	switch {
	case g.releasing:
	case served && g.wasOwner:
		if g.prove(now, op, owner.Addr) {
			g.moved(now, op, owner.Addr)
		}
	case served:
		g.finished = true
		op.say(now, g.group, "this node does not hold it; %v serves", owner.Addr)
	case op.request.Force && g.wasOwner:
		g.finished = true
		op.say(now, g.group, "given up without a healthy successor")
	case op.request.Force:
		g.finished = true
		op.say(now, g.group, "this node does not hold it, and no healthy owner is heard")
	}
}

// moved tells that the group is served elsewhere, and begins to wait for its open
// connections if asked to.
func (g *drainedGroup) moved(now time.Time, op *drain, to netip.Addr) {
	op.say(now, g.group, "moved to %v", to)
	g.waitUntil = op.waitEnds(now, &g.shadow)
	if op.request.WaitConnections && g.shadow.casts() {
		op.say(now, g.group, "waiting for open connections to end, for %v at the most", g.waitUntil.Sub(now).Round(time.Second))
	}
	g.waitOn(now, op)
}

// waitOn waits for open connections, whoever owns the VIP by now.
func (g *drainedGroup) waitOn(now time.Time, op *drain) {
	if !op.request.WaitConnections || !g.shadow.casts() {
		g.finished = true
		return
	}
	if due(g.waitUntil, now) {
		g.endShadow(now, EndWaited)
	}
}

// waitEnds is when the wait for open connections ends.
func (op *drain) waitEnds(now time.Time, s *shadow) time.Time {
	if op.request.WaitLimit > 0 && s.casts() {
		return earliest(now.Add(op.request.WaitLimit), s.graceEnds)
	}
	if s.casts() {
		return s.graceEnds
	}
	return now
}

// press makes an owner's wish to leave plainer with time.
func (g *drainedGroup) press(now time.Time, op *drain) {
	if due(g.escalateAt, now) {
		g.escalateAt = time.Time{}
		switch why := g.withoutEtcd(now); {
		case why != "":
			op.say(now, g.group, "the lease cannot be passed on: %s; serving on while it lasts", why)
		case g.byLease():
			op.say(now, g.group, "no healthy candidate in etcd has taken the lease yet; serving on")
		default:
			op.say(now, g.group, "no successor yet; advertising priority 0 while serving on")
			g.step(now, vrrp.SetDuty{Duty: vrrp.Resign, Reason: election.Drain})
		}
	}
	if op.request.Force && due(g.forceAt, now) {
		g.forceAt = time.Time{}
		g.step(now, vrrp.Abandon{Reason: election.Forced, Detail: "vipd drain --force, and no successor was heard"})
	}
}

// undo ends a drain and lets this node own again what it may have owned before
// it, unless another drain is about that too.
func (a *Agent) undo(now time.Time, op *drain, result DrainResult, why string) {
	op.ended = true
	for _, g := range op.groups {
		_, before := a.drained[g.cfg.Name]
		other := slices.ContainsFunc(a.drains, func(o *drain) bool { return o.concerns(g.group) })
		if before || other || g.gone {
			continue
		}
		if g.machine.Owns() {
			op.say(now, g.group, "%s; this node serves on", why)
		} else {
			op.say(now, g.group, "%s; this node does not hold the VIP and may take it again", why)
		}
		g.undrain(now, why)
	}
	op.end(result)
}

// joinDrains makes a group that a reload added part of a drain of the whole
// node.
func (a *Agent) joinDrains(now time.Time, g *group) {
	for _, op := range a.drains {
		if op.request.VIP == "" && !op.ended {
			op.add(now, g)
		}
	}
}

// succeedInDrains puts a group that a reload made anew in the former one's
// place.
func (a *Agent) succeedInDrains(now time.Time, former, g *group) {
	for _, op := range a.drains {
		for _, d := range op.groups {
			if d.group == former && !op.ended {
				d.group = g
				g.beginPath(now)
				g.withdraw(now, election.Drain)
			}
		}
	}
}
