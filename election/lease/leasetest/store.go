// Package leasetest has a store of leases in memory, and what package lease relies
// on of any store, as tests.
package leasetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vipd/vipd/election/lease"
)

// Store keeps one group's leases and keys. It is meant for a synctest bubble: its
// leases end to the instant. It must be made in the bubble.
type Store struct {
	mu       sync.Mutex
	epoch    uint64
	revision int64
	nextID   lease.ID
	leases   map[lease.ID]*granted
	owner    lease.Owner
	nodes    map[string]lease.Candidate
	term     uint64
	// owned is the revision of the last change of the owner to another one.
	owned int64
	// renewal is the owner's last, bound to a lease.
	renewal  int64
	renewing lease.ID
	// least is the shortest TTL that it grants.
	least   time.Duration
	changed chan struct{}
	// History is every owner that there was, in order.
	history []lease.Owner
}

type granted struct {
	ttl   time.Duration
	timer *time.Timer
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{epoch: 1, revision: 1, leases: map[lease.ID]*granted{}, nodes: map[string]lease.Candidate{}, changed: make(chan struct{})}
}

// Least makes the store grant no shorter TTL.
func (s *Store) Least(ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.least = ttl
}

// Owner is the owner key as it is.
func (s *Store) Owner() lease.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}

// History is every owner that there was, in order.
func (s *Store) History() []lease.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]lease.Owner(nil), s.history...)
}

// Delete deletes the owner key, as an operator may.
func (s *Store) Delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = lease.Owner{}
	s.change()
}

// Forget makes it another store, as one that was made anew: nothing is in it.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.leases {
		g.timer.Stop()
	}
	s.epoch++
	s.revision, s.term, s.owned = 1, 0, 0
	s.leases, s.nodes, s.owner, s.renewal = map[lease.ID]*granted{}, map[string]lease.Candidate{}, lease.Owner{}, 0
	s.change()
}

// change tells watchers. The lock is held.
func (s *Store) change() {
	s.revision++
	close(s.changed)
	s.changed = make(chan struct{})
}

// end ends a lease. The lock is held.
func (s *Store) end(id lease.ID) {
	g, ok := s.leases[id]
	if !ok {
		return
	}
	g.timer.Stop()
	delete(s.leases, id)
	if s.owner.Lease == id {
		s.owner = lease.Owner{}
	}
	if s.renewing == id {
		s.renewal, s.renewing = 0, 0
	}
	for name, c := range s.nodes {
		if c.Lease == id {
			delete(s.nodes, name)
		}
	}
	s.change()
}

// carryOut does what an order asks. The lock is held.
func (s *Store) carryOut(o lease.Order, a *lease.Answer) {
	a.Epoch = s.epoch
	switch o.Kind {
	case lease.Renew:
		s.renew(o, a)
	case lease.Stand:
		if a.Lost = s.leases[o.Lease] == nil; !a.Lost {
			s.change()
			s.nodes[o.Self.Node] = lease.Candidate{Record: o.Self, Lease: o.Lease, Revision: s.revision}
			a.Done = true
		}
	case lease.Take:
		if a.Lost = s.leases[o.Lease] == nil; !a.Lost {
			missed := o.Seen == 0 && s.owned > o.Viewed
			s.write(o, o.Lease, !missed && (!o.Unrenewed || o.Renewal == s.renewal), a)
		}
	case lease.Pass:
		if s.leases[o.To.Lease] != nil {
			s.write(o, o.To.Lease, s.nodes[o.To.Node].Revision == o.To.Revision, a)
		}
	case lease.Resign:
		if a.Lost = s.leases[o.Lease] == nil; a.Lost {
			return
		}
		if a.Done = s.owner.Revision == o.Seen; a.Done {
			s.owner = lease.Owner{}
			s.change()
			s.nodes[o.Self.Node] = lease.Candidate{Record: o.Self, Lease: o.Lease, Revision: s.revision}
		}
		a.Revision, a.Owner = s.revision, s.owner
	case lease.Leave:
		s.end(o.Lease)
		a.Done = true
	default:
		panic("leasetest: unhandled order")
	}
}

func (s *Store) renew(o lease.Order, a *lease.Answer) {
	id := o.Lease
	if id == 0 {
		s.nextID++
		id = s.nextID
		ttl := max(o.TTL, s.least)
		s.leases[id] = &granted{ttl: ttl, timer: time.AfterFunc(ttl, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.end(id)
		})}
	}
	g, ok := s.leases[id]
	if !ok {
		a.Lost = true
		return
	}
	g.timer.Reset(g.ttl)
	if a.Renewed = o.Seen != 0 && s.owner.Revision == o.Seen; a.Renewed {
		s.change()
		s.renewal, s.renewing = s.revision, id
	}
	a.Done, a.Lease, a.TTL, a.Revision, a.Owner = true, id, g.ttl, s.revision, s.owner
}

func (s *Store) write(o lease.Order, to lease.ID, unchanged bool, a *lease.Answer) {
	if a.Done = unchanged && s.owner.Revision == o.Seen; a.Done {
		s.change()
		s.owner = o.Owner
		s.owner.Lease, s.owner.Revision = to, s.revision
		s.term, s.owned = o.Owner.Term, s.revision
		s.history = append(s.history, s.owner)
	}
	if !a.Done {
		a.Renewal = s.renewal
	}
	a.Revision, a.Owner = s.revision, s.owner
}

func (s *Store) view() (v lease.View, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v = lease.View{Epoch: s.epoch, Revision: s.revision, Owner: s.owner, Renewal: s.renewal, Term: s.term}
	for _, c := range s.nodes {
		v.Candidates = append(v.Candidates, c)
	}
	return v, s.changed
}

var errCut = errors.New("no answer")

// Client is a node's way to a store.
type Client struct {
	store *Store

	mu sync.Mutex
	// cut: nothing gets there or back; deaf: nothing gets back; dropped: changes do
	// not get there. delay is how long it takes, each way.
	cut, deaf, dropped bool
	delay              time.Duration
	news               chan struct{}
}

// Client returns a way to the store.
func (s *Store) Client() *Client { return &Client{store: s, news: make(chan struct{})} }

// Cut cuts the way; what is on it is lost.
func (c *Client) Cut() { c.set(func() { c.cut = true }) }

// Lose loses the answers to changes, after they were made or before.
func (c *Client) Lose(done bool) { c.set(func() { c.deaf, c.dropped = done, !done }) }

// Mend mends it.
func (c *Client) Mend() { c.set(func() { c.cut, c.deaf, c.dropped = false, false, false }) }

// Delay makes everything take so long, each way.
func (c *Client) Delay(d time.Duration) { c.set(func() { c.delay = d }) }

func (c *Client) set(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
	close(c.news)
	c.news = make(chan struct{})
}

// pass waits for as long as the way takes, and tells whether it was passed.
func (c *Client) pass(ctx context.Context) bool {
	c.mu.Lock()
	delay, cut := c.delay, c.cut
	c.mu.Unlock()
	if cut {
		<-ctx.Done()
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	if delay > 0 { // a timer that is over at once can crash the race detector of Go 1.26 in a bubble
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return false
		}
	}
	c.mu.Lock()
	cut = c.cut
	c.mu.Unlock()
	if cut {
		<-ctx.Done()
	}
	return !cut
}

// Call carries an order out.
func (c *Client) Call(ctx context.Context, o lease.Order) lease.Answer {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	a := lease.Answer{Kind: o.Kind, Number: o.Number, Sent: time.Now(), Lease: o.Lease}
	c.mu.Lock()
	deaf, dropped := c.deaf && o.Kind != lease.Renew, c.dropped && o.Kind != lease.Renew
	c.mu.Unlock()
	if !c.pass(ctx) || dropped {
		<-ctx.Done()
		a.Err = errCut
		return a
	}
	done := a
	c.store.mu.Lock()
	c.store.carryOut(o, &done)
	c.store.mu.Unlock()
	if !c.pass(ctx) || deaf {
		<-ctx.Done()
		a.Err = errCut
		return a
	}
	return done
}

// Watch tells what the store has, until ctx ends.
func (c *Client) Watch(ctx context.Context, seen func(lease.View), trouble func(error)) {
	for ctx.Err() == nil {
		v, changed := c.store.view()
		c.mu.Lock()
		cut, news := c.cut, c.news
		c.mu.Unlock()
		if cut {
			trouble(errCut)
			select {
			case <-news:
			case <-ctx.Done():
			}
			continue
		}
		if !c.pass(ctx) {
			continue
		}
		seen(v)
		select {
		case <-changed:
		case <-news:
		case <-ctx.Done():
		}
	}
}
