package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// order is a wanted state of one group's addresses.
type order struct {
	// serial tells the group's orders apart; a later one is greater.
	serial uint64
	// hold: the addresses are wanted on the interface; else off.
	hold bool
	placed
	// drop are addresses that the group no longer has, or not there.
	drop []placed
	// lifetime and deadline: as in Addresses.Hold.
	lifetime time.Duration
	deadline time.Time
	// sent is when it was given.
	sent time.Time
	// announce the addresses once they are held.
	announce bool
	// reseat: look whether the VIP stands before the interface's own address.
	reseat bool
	// attempt is the machine's, 0 for a refresh.
	attempt uint64
	// rules is the carrier's version that the order waits for, until rulesBy at the
	// latest; 0: none. certain: without it the addresses are not taken off.
	rules   uint64
	rulesBy time.Time
	certain bool
	// end: connections to port are ended before the addresses go.
	end  bool
	port uint16
}

// placed are addresses on an interface.
type placed struct {
	interfaceName string
	addrs         []netip.Addr
}

// applier brings groups' addresses to the newest wanted state. A newer order
// for a group replaces one that has not begun, so refreshes never queue up.
type applier struct {
	addresses Addresses
	announcer Announcer
	flows     Flows
	carrier   *carrier

	mu     sync.Mutex
	orders map[*group]order
	queue  []*group
	wake   chan struct{}
}

func newApplier(e Edges, c *carrier) *applier {
	return &applier{
		addresses: e.Addresses, announcer: e.Announcer, flows: e.Flows, carrier: c,
		orders: map[*group]order{}, wake: make(chan struct{}, 1),
	}
}

// put replaces the group's wanted state.
func (p *applier) put(g *group, o order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting, ok := p.orders[g]
	if ok {
		o = waiting.replacedBy(o)
	} else {
		p.queue = append(p.queue, g)
	}
	p.orders[g] = o
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// replacedBy is the newer order, with what of the one that waits must not be
// forgotten: an announcement, a look at the order of addresses, the machine's
// attempt, and addresses to be taken off.
func (o order) replacedBy(newer order) order {
	newer.drop = slices.Concat(o.drop, newer.drop)
	if o.interfaceName != newer.interfaceName {
		newer.drop = append(newer.drop, o.placed)
	} else if o.hold && newer.hold {
		newer.announce = newer.announce || o.announce
		newer.reseat = newer.reseat || o.reseat
		newer.attempt = max(newer.attempt, o.attempt)
		newer.rules = max(newer.rules, o.rules)
	}
	if o.end && !newer.hold {
		newer.end, newer.port = true, o.port
	}
	for i, d := range newer.drop {
		if d.interfaceName == newer.interfaceName {
			newer.drop[i].addrs = slices.DeleteFunc(slices.Clone(d.addrs), func(a netip.Addr) bool { return slices.Contains(newer.addrs, a) })
		}
	}
	newer.drop = slices.DeleteFunc(newer.drop, func(d placed) bool { return len(d.addrs) == 0 })
	return newer
}

// idle tells whether nothing waits for the group.
func (p *applier) idle(g *group) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waiting := p.orders[g]
	return !waiting
}

// lost tells whether the group is to be released by now: it must not be announced
// any more, or clients would be led back from its successor.
func (p *applier) lost(g *group) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, waiting := p.orders[g]
	return waiting && !o.hold
}

func (p *applier) take() (*group, order, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil, order{}, false
	}
	g := p.queue[0]
	p.queue = p.queue[1:]
	o := p.orders[g]
	delete(p.orders, g)
	return g, o, true
}

// run carries orders out and reports each, until ctx ends and none is left.
func (p *applier) run(ctx context.Context, report func(applied)) error {
	for {
		g, o, ok := p.take()
		if ok {
			done := p.apply(context.WithoutCancel(ctx), g, o)
			report(done)
			continue
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *applier) apply(ctx context.Context, g *group, o order) applied {
	done := applied{group: g, order: o}
	for _, d := range o.drop {
		done.undropped = errors.Join(done.undropped, p.addresses.Release(ctx, d.interfaceName, d.addrs))
	}
	settled := p.carrier.settle(g, o.rules, o.rulesBy)
	if !o.hold {
		return p.release(ctx, done, settled)
	}
	done.created, done.err = p.addresses.Hold(ctx, o.interfaceName, o.addrs, o.lifetime, o.deadline)
	if done.err == nil && o.reseat {
		_, done.err = p.addresses.Reseat(ctx, o.interfaceName, o.addrs, o.lifetime, o.deadline)
	}
	// A daemon that was frozen meanwhile must not lead clients back.
	inTime := o.deadline.IsZero() || time.Now().Before(o.deadline)
	if done.err == nil && (o.announce || done.created) && inTime && !p.lost(g) {
		done.unannounced = p.announcer.Announce(o.interfaceName, o.addrs)
	}
	return done
}

// release takes the addresses off, after the connections were ended that are to
// be.
func (p *applier) release(ctx context.Context, done applied, settled bool) applied {
	o := done.order
	if o.certain && !settled {
		done.kept = true
		return done
	}
	var err error
	if o.end {
		done.reset, err = p.flows.Reset(ctx, o.addrs, o.port, false)
	}
	done.err = errors.Join(p.addresses.Release(ctx, o.interfaceName, o.addrs), err)
	return done
}
