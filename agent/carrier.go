package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// retryRules is the pause before a watch of the rules that failed is begun again.
const retryRules = 5 * time.Second

// part is what a node is to a group's open connections.
type part uint8

const (
	// apart: nothing.
	apart part = iota
	// owning: it takes new ones and passes on what it does not know.
	owning
	// shadowing: it carries those that are open here.
	shadowing
)

// ending is which connections of a group are to be ended.
type ending uint8

const (
	endNone ending = iota
	endIdle
	endAll
)

// carriage is what a group wants of the kernel for its open connections.
type carriage struct {
	placed
	errand
}

// errand is the part of a carriage that can be compared.
type errand struct {
	name        string
	port        uint16
	part        part
	prev, owner Hop
	settling    bool
	// lifetime is how long the kernel keeps it up after the last renewal.
	lifetime time.Duration
	// until is when the lease ends that it must not outlive; zero: it is bound to none.
	until time.Time
	// onLo: the addresses are silently on lo. rulesFirst: they come there after the
	// rules, so that nothing new is taken.
	onLo, rulesFirst bool
	// end is done once, before the addresses leave lo; cause is why.
	end   ending
	cause EndCause
}

// bounded is what is left of a carriage whose lease ends.
func (c carriage) bounded(now time.Time) carriage {
	if c.until.IsZero() {
		return c
	}
	if c.lifetime = min(c.lifetime, c.until.Sub(now).Truncate(time.Second)); c.lifetime <= 0 {
		c.part, c.onLo = apart, false
	}
	return c
}

// deadline is when it is too late to tell the kernel of the addresses on lo.
func (c *carriage) deadline(now time.Time) time.Time {
	by := now.Add(holdDeadline)
	if c.until.IsZero() {
		return by
	}
	return earliest(by, c.until.Add(-c.lifetime))
}

func (c *carriage) equal(o *carriage) bool {
	return c.errand == o.errand && c.interfaceName == o.interfaceName && slices.Equal(c.addrs, o.addrs)
}

// carrier brings the kernel's rules and shadows to what the groups want of them,
// in a goroutine of its own: nftables may make it wait for transactions of
// others, and no fence may wait for that.
type carrier struct {
	flows Flows

	mu     sync.Mutex
	wanted map[*group]carriage
	// ends are those of wanted that are not done yet.
	ends map[*group]carriage
	// version counts what was wanted; done is the last that was carried out, failed
	// are the groups whose shadow did not come about then.
	version, done uint64
	failed        map[*group]bool
	// settled is closed and replaced when done grows.
	settled chan struct{}
	wake    chan struct{}
	// paused: the rules of an earlier life stay as they are.
	paused bool

	// shadows are the addresses on lo; they belong to run.
	shadows map[*group]placed
}

func newCarrier(flows Flows) *carrier {
	return &carrier{
		flows: flows, wanted: map[*group]carriage{}, ends: map[*group]carriage{},
		settled: make(chan struct{}), wake: make(chan struct{}, 1), shadows: map[*group]placed{},
	}
}

// set replaces what a group wants, and returns a version to wait for. An owner's
// connections are new ones: ends that were wanted before are not for them.
func (c *carrier) set(g *group, w carriage) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case w.part == owning:
		delete(c.ends, g)
	case w.end > c.ends[g].end:
		c.ends[g] = w
	}
	c.wanted[g] = w
	c.version++
	c.renew()
	return c.version
}

// renew makes the carrier do all that is wanted once more.
func (c *carrier) renew() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// pause makes it leave the kernel as it is until resume.
func (c *carrier) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
}

func (c *carrier) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		c.paused = false
		c.renew()
	}
}

// settle waits until a version was carried out, or a time has come, and tells
// whether it was, and the group's shadow came about.
func (c *carrier) settle(g *group, version uint64, until time.Time) bool {
	var late <-chan time.Time
	for {
		c.mu.Lock()
		done, failed, settled := c.done >= version, c.failed[g], c.settled
		c.mu.Unlock()
		if done {
			return !failed
		}
		if late == nil {
			late = time.After(time.Until(until))
		}
		select {
		case <-settled:
		case <-late:
			return false
		}
	}
}

// round is what one run of the carrier is to do. Groups that let go of addresses
// come first: another may hold them now.
type round struct {
	version uint64
	groups  []*group
	wanted  map[*group]carriage
}

func (c *carrier) take() (r round, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		return r, false
	}
	r = round{version: c.version, wanted: map[*group]carriage{}}
	for g, w := range c.wanted {
		if end, ok := c.ends[g]; ok {
			w.end, w.cause = end.end, end.cause
		}
		r.wanted[g] = w
		if w.onLo {
			r.groups = append(r.groups, g)
		} else {
			r.groups = slices.Insert(r.groups, 0, g)
		}
		if w.part == apart && !w.onLo {
			delete(c.wanted, g)
		}
	}
	clear(c.ends)
	return r, true
}

func (c *carrier) finish(r round, done carrierDone) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = r.version
	c.failed = map[*group]bool{}
	for g, one := range done.groups {
		c.failed[g] = one.err != nil
	}
	close(c.settled)
	c.settled = make(chan struct{})
}

// run works until ctx ends, and reports each round.
func (c *carrier) run(ctx context.Context, report func(carrierDone)) error {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
		r, ok := c.take()
		if !ok {
			continue
		}
		done := c.carry(context.WithoutCancel(ctx), r)
		c.finish(r, done)
		report(done)
	}
}

// carry does one round. Shadows come before rules that need them, and go before
// the rules do: a packet for a connection that another node has would be reset
// otherwise. One of a node that has not had the addresses for a moment comes after
// them: it would take new connections, which are another's by now.
func (c *carrier) carry(ctx context.Context, r round) carrierDone {
	done := carrierDone{version: r.version, groups: map[*group]carriedGroup{}}
	var groups []FlowGroup
	passing := false
	for _, g := range r.groups {
		w := r.wanted[g].bounded(time.Now())
		r.wanted[g] = w
		done.groups[g] = c.shade(ctx, g, w)
		if w.part != apart {
			groups = append(groups, w.flowGroup())
			passing = passing || w.prev != (Hop{})
		}
	}
	slices.SortFunc(groups, func(x, y FlowGroup) int { return x.Addresses[0].Compare(y.Addresses[0]) })
	done.err = c.flows.Apply(ctx, groups)
	for _, g := range r.groups {
		w, one := r.wanted[g], done.groups[g]
		if w.onLo && w.rulesFirst {
			one.err = errors.Join(one.err, c.cast(ctx, g, w))
		}
		done.groups[g] = c.survey(ctx, w, one)
	}
	if passing {
		passed, err := c.flows.Passed(ctx)
		done.passed, done.err = passed, errors.Join(done.err, err)
	}
	return done
}

func (c *carriage) flowGroup() FlowGroup {
	return FlowGroup{
		Name: c.name, Interface: c.interfaceName, Addresses: c.addrs, Port: c.port,
		Shadow: c.part == shadowing, Prev: c.prev, Owner: c.owner, Settling: c.settling, Lifetime: c.lifetime,
	}
}

// cast keeps the addresses on lo.
func (c *carrier) cast(ctx context.Context, g *group, w carriage) error {
	c.shadows[g] = w.placed
	return c.flows.HoldShadow(ctx, w.interfaceName, w.addrs, w.lifetime, w.deadline(time.Now()))
}

// shade ends connections that are to end, and brings the addresses onto lo or
// off it.
func (c *carrier) shade(ctx context.Context, g *group, w carriage) (one carriedGroup) {
	var errs []error
	if w.end != endNone {
		n, err := c.flows.Reset(ctx, w.addrs, w.port, w.end == endIdle)
		one.reset, one.cause, errs = n, w.cause, append(errs, err)
	}
	was := c.shadows[g]
	if w.end != endNone && !w.onLo {
		was = w.placed // what an earlier life left is let go of too
	}
	delete(c.shadows, g)
	gone := slices.DeleteFunc(slices.Clone(was.addrs), func(a netip.Addr) bool {
		return w.onLo && was.interfaceName == w.interfaceName && slices.Contains(w.addrs, a)
	})
	if len(gone) > 0 {
		errs = append(errs, c.flows.ReleaseShadow(ctx, was.interfaceName, gone))
	}
	if w.onLo && !w.rulesFirst {
		errs = append(errs, c.cast(ctx, g, w))
	}
	one.err = errors.Join(errs...)
	return one
}

// survey counts the connections of a shadow, and ends those of this host's
// clients that the kernel cannot carry.
func (c *carrier) survey(ctx context.Context, w carriage, one carriedGroup) carriedGroup {
	var errs []error
	if w.part == owning && w.prev != (Hop{}) && !c.flows.Abilities().LocalClients {
		n, err := c.flows.ResetClients(ctx, w.addrs, w.port)
		one.stranded, errs = n, append(errs, err)
	}
	if w.onLo {
		open, err := c.flows.Connections(ctx, w.addrs, w.port)
		one.open, one.counted, errs = open, err == nil, append(errs, err)
	}
	one.err = errors.Join(append(errs, one.err)...)
	return one
}

// watchRules puts rules back that somebody else takes away, until ctx ends. A
// watch that fails is begun again; each error is told once.
func (a *Agent) watchRules(ctx context.Context) {
	told := map[string]bool{}
	for {
		err := a.edges.Flows.WatchRules(ctx, a.carrier.renew)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			a.log.Warn("rules that somebody else removes would be put back within a second only; the watch is begun again every 5 s", "error", err)
		}
		select {
		case <-time.After(retryRules):
		case <-ctx.Done():
			return
		}
	}
}

// carrierDone hears what the carrier did.
func (a *Agent) carrierDone(now time.Time, ev carrierDone) {
	a.noteRulesError(ev.err)
	for g, done := range ev.groups {
		g.carried(now, ev.version, done)
	}
	for _, g := range a.groups {
		g.notePassed(now, ev.passed)
	}
}

// noteRulesError tells once of rules that the kernel refused.
func (a *Agent) noteRulesError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == a.rulesError:
	case text == "":
		a.log.Info("the kernel takes the rules for open connections again")
	default:
		a.log.Warn("the kernel refuses the rules for open connections: VIPs move all the same, but connections that are open then are reset", "error", text)
	}
	a.rulesError = text
}

// tally is a number of connections as counters have it.
func tally(n int) uint64 { return uint64(max(0, n)) } //nolint:gosec // not negative
