package agent

import (
	"math"
	"slices"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// stopWaitMin is the least time that each of priority 1 and priority 0 is tried
// at a stop.
const stopWaitMin = 500 * time.Millisecond

// shutdown hands VIPs over at the end of the daemon's life. Within a fixed
// budget it asks first for a vipd successor (priority 1), then for any
// (priority 0), and serves on meanwhile. A VIP that nobody takes is left to its
// fence: whoever starts next, here or elsewhere, finds it.
type shutdown struct {
	steps []stopStep
	// endsAt is the end of the budget, but for what the speaker needs to part from
	// routers; seenAt is when balancers have seen that this node stops; zero: they
	// need not.
	endsAt, seenAt time.Time
}

// stopStep is the plan of one group that this node owns, or is about to have
// released.
type stopStep struct {
	group            *group
	resignAt, giveUp time.Time
	// resigned: priority 0 is advertised. left: nobody took the VIP in time.
	resigned, left bool
}

func (a *Agent) beginShutdown(now time.Time) {
	seenAt := a.balancersSee(now)
	// What a drain began goes on as part of the stop, which balancers are given
	// the time to see as well.
	for _, op := range a.drains {
		if op.settled() {
			a.complete(now, op)
			continue
		}
		for _, g := range op.groups {
			op.say(now, g.group, "vipd is stopping, and hands over on its way")
		}
		op.end(DrainCancelled)
	}
	a.drains = nil
	budget := a.config.Drain.ShutdownTimeout
	ends := now.Add(budget)
	a.stopEnds.Store(&ends)
	if len(a.announcing.said.Neighbors) > 0 {
		budget -= a.config.Drain.Parting()
	}
	s := &shutdown{endsAt: now.Add(budget), seenAt: seenAt}
	for _, g := range a.departing {
		s.steps = append(s.steps, stopStep{group: g})
	}
	for _, g := range a.groups {
		switch {
		case g.releasing:
			s.steps = append(s.steps, stopStep{group: g})
		case g.machine.Owns():
			wait := min(budget/2, max(stopWaitMin, escalateIntervals*g.cfg.VRRP.AdvertInterval))
			if g.everywhere() {
				wait = min(budget/2, a.config.BGP.Leaving.Wait) / 2
			}
			patience := 2 * wait
			if g.byLease() {
				patience = budget // etcd may be slow, and there is no shorter way
			}
			s.steps = append(s.steps, stopStep{group: g, resignAt: now.Add(wait), giveUp: now.Add(patience)})
			g.log.Info("stopping; serving on until a successor is heard", "at most", patience)
		}
		g.withdraw(now, election.Shutdown)
	}
	a.shutdown = s
}

// TimeLeft is what is left of the budget of a stop, drain.shutdown_timeout; there is
// all the time in the world before one.
func (a *Agent) TimeLeft() time.Duration {
	if ends := a.stopEnds.Load(); ends != nil {
		return max(0, time.Until(*ends))
	}
	return math.MaxInt64
}

// deadline is when the shutdown has to be looked at.
func (s *shutdown) deadline() time.Time {
	d := s.endsAt
	if !s.open() {
		d = earliest(d, s.seenAt)
	}
	for _, step := range s.steps {
		switch {
		case step.left || !step.group.machine.Owns():
		case step.resigned:
			d = earliest(d, step.giveUp)
		default:
			d = earliest(d, step.resignAt)
		}
	}
	return d
}

func (s *shutdown) advance(now time.Time) {
	for i := range s.steps {
		step := &s.steps[i]
		if !step.group.machine.Owns() {
			continue
		}
		if !step.resigned && !now.Before(step.resignAt) {
			step.resigned = true
			step.group.step(now, vrrp.SetDuty{Duty: vrrp.Resign, Reason: election.Shutdown})
		}
		why, nobody := step.group.hopeless(now)
		if end := earliest(step.giveUp, s.endsAt); !step.left && (nobody || !now.Before(end)) {
			step.left = true
			step.group.leave(now, why)
		}
	}
}

// hopeless tells that no other node will take the group over from one that stops.
func (g *group) hopeless(now time.Time) (why string, certain bool) {
	switch {
	case g.everywhere():
		return "", false
	case g.byLease():
		return g.nobodyStands(now, election.Unhealthy)
	}
	return g.nobodyCan(now)
}

// over tells whether the loop may end: the budget is spent, or neither a
// successor nor a release nor a balancer is waited for.
func (s *shutdown) over(now time.Time) bool {
	return !now.Before(s.endsAt) || !now.Before(s.seenAt) && !s.open()
}

// open tells whether a successor or a release is waited for.
func (s *shutdown) open() bool {
	return slices.ContainsFunc(s.steps, func(step stopStep) bool {
		return step.group.releasing || step.group.machine.Owns() && !step.left
	})
}

// leave ends an ownership that nobody took over.
func (g *group) leave(now time.Time, why string) {
	if g.everywhere() {
		g.step(now, vrrp.Abandon{Reason: election.Shutdown})
		return
	}
	if g.cfg.Fence > 0 {
		g.log.Warn("nobody took the VIP over; it stays on this node until the kernel removes it", "within", g.cfg.Fence, "addresses", g.cfg.Addresses, "peers", why)
		return
	}
	g.log.Warn("nobody took the VIP over; without a fence it is removed now", "addresses", g.cfg.Addresses)
	g.step(now, vrrp.Abandon{Reason: election.Shutdown, Detail: "no fence is set"})
}
