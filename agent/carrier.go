package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

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
	name        string
	port        uint16
	part        part
	prev, owner Hop
	settling    bool
	// lifetime is how long the kernel keeps it up after the last renewal.
	lifetime time.Duration
	// onLo: the addresses are silently on lo.
	onLo bool
	// end is done once, before the addresses leave lo.
	end ending
}

func (c carriage) equal(o carriage) bool {
	return c.interfaceName == o.interfaceName && slices.Equal(c.addrs, o.addrs) && c.name == o.name && c.port == o.port &&
		c.part == o.part && c.prev == o.prev && c.owner == o.owner && c.settling == o.settling &&
		c.lifetime == o.lifetime && c.onLo == o.onLo && c.end == o.end
}

// carrier brings the kernel's rules and shadows to what the groups want of them,
// in a goroutine of its own: nftables may make it wait for transactions of
// others, and no fence may wait for that.
type carrier struct {
	flows Flows

	mu     sync.Mutex
	wanted map[*group]carriage
	// ends are those of wanted that are not done yet.
	ends map[*group]ending
	// version counts what was wanted; done is the last that was carried out.
	version, done uint64
	// settled is closed and replaced when done grows.
	settled chan struct{}
	wake    chan struct{}

	// shadows are the addresses on lo; they belong to run.
	shadows map[*group]placed
}

func newCarrier(flows Flows) *carrier {
	return &carrier{
		flows: flows, wanted: map[*group]carriage{}, ends: map[*group]ending{},
		settled: make(chan struct{}), wake: make(chan struct{}, 1), shadows: map[*group]placed{},
	}
}

// set replaces what a group wants, and returns a version to wait for.
func (c *carrier) set(g *group, w carriage) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[g] = max(c.ends[g], w.end)
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

// settle waits until a version was carried out, for limit at most, and tells
// whether it was.
func (c *carrier) settle(version uint64, limit time.Duration) bool {
	var late <-chan time.Time
	for {
		c.mu.Lock()
		done, settled := c.done >= version, c.settled
		c.mu.Unlock()
		if done {
			return true
		}
		if late == nil {
			late = time.After(limit)
		}
		select {
		case <-settled:
		case <-late:
			return false
		}
	}
}

// round is what one run of the carrier is to do.
type round struct {
	version uint64
	wanted  map[*group]carriage
}

func (c *carrier) take() round {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := round{version: c.version, wanted: map[*group]carriage{}}
	for g, w := range c.wanted {
		w.end = c.ends[g]
		r.wanted[g] = w
		if w.part == apart && !w.onLo {
			delete(c.wanted, g)
		}
	}
	clear(c.ends)
	return r
}

func (c *carrier) finish(r round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = r.version
	close(c.settled)
	c.settled = make(chan struct{})
}

// run works until ctx ends, and reports each round.
func (c *carrier) run(ctx context.Context, report func(carried)) error {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
		r := c.take()
		done := c.carry(context.WithoutCancel(ctx), r)
		c.finish(r)
		report(done)
	}
}

// carry does one round. Shadows come before rules that need them, and go before
// the rules do: a packet for a connection that another node has would be reset
// otherwise.
func (c *carrier) carry(ctx context.Context, r round) carried {
	done := carried{version: r.version, groups: map[*group]carriedGroup{}}
	var groups []FlowGroup
	passing := false
	for g, w := range r.wanted {
		done.groups[g] = c.shade(ctx, g, w)
		if w.part != apart {
			groups = append(groups, w.flowGroup())
			passing = passing || w.prev != (Hop{})
		}
	}
	slices.SortFunc(groups, func(x, y FlowGroup) int { return x.Addresses[0].Compare(y.Addresses[0]) })
	done.err = c.flows.Apply(ctx, groups)
	for g, w := range r.wanted {
		done.groups[g] = c.survey(ctx, w, done.groups[g])
	}
	if passing {
		passed, err := c.flows.Passed(ctx)
		done.passed, done.err = passed, errors.Join(done.err, err)
	}
	return done
}

func (w carriage) flowGroup() FlowGroup {
	return FlowGroup{
		Name: w.name, Interface: w.interfaceName, Addresses: w.addrs, Port: w.port,
		Shadow: w.part == shadowing, Prev: w.prev, Owner: w.owner, Settling: w.settling, Lifetime: w.lifetime,
	}
}

// shade ends connections that are to end, and brings the addresses onto lo or
// off it.
func (c *carrier) shade(ctx context.Context, g *group, w carriage) (one carriedGroup) {
	var errs []error
	if w.end != endNone {
		n, err := c.flows.Reset(ctx, w.addrs, w.port, w.end == endIdle)
		one.reset, errs = n, append(errs, err)
	}
	was := c.shadows[g]
	delete(c.shadows, g)
	gone := slices.DeleteFunc(slices.Clone(was.addrs), func(a netip.Addr) bool {
		return w.onLo && was.interfaceName == w.interfaceName && slices.Contains(w.addrs, a)
	})
	if len(gone) > 0 {
		errs = append(errs, c.flows.ReleaseShadow(ctx, was.interfaceName, gone))
	}
	if w.onLo {
		c.shadows[g] = w.placed
		errs = append(errs, c.flows.HoldShadow(ctx, w.interfaceName, w.addrs, w.lifetime, time.Now().Add(holdDeadline)))
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
