package leasetest

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/lease"
)

// Caller is a node's way to a store.
type Caller interface {
	Call(ctx context.Context, o lease.Order) lease.Answer
	Watch(ctx context.Context, seen func(lease.View), trouble func(error))
}

// Contract tests what package lease relies on. Each test runs in what in makes;
// open returns a way to a store that nobody else uses.
func Contract(t *testing.T, in func(*testing.T, func(*testing.T)), open func(*testing.T) Caller) {
	for _, row := range []struct {
		name string
		test func(*contract)
	}{
		{"a free key is taken once", (*contract).free},
		{"a free key that came and went meanwhile is not taken", (*contract).missed},
		{"a key that changed meanwhile is not taken, and its owner is told", (*contract).stale},
		{"a key that is taken again has another revision", (*contract).again},
		{"the key goes to the candidate that it is passed to, bound to its lease", (*contract).passed},
		{"a candidate that changed meanwhile is not passed to", (*contract).otherCandidate},
		{"a key that changed meanwhile is not passed", (*contract).otherOwner},
		{"a candidate that is gone is not passed to", (*contract).deadCandidate},
		{"a key is resigned if it did not change", (*contract).resigned},
		{"who leaves takes its candidacy along", (*contract).left},
		{"a lease that is not renewed ends, and its keys with it", (*contract).expired},
		{"a lease that ended is lost for all orders", (*contract).lost},
		{"terms are remembered when the key is gone", (*contract).terms},
		{"changes are told one by one, with growing revisions", (*contract).watched},
	} {
		t.Run(row.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				row.test(&contract{t: t, ctx: ctx, way: open(t)})
			})
		})
	}
}

type contract struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // a test's
	way    Caller
	number uint64
}

const contractTTL = 3 * time.Second

func (c *contract) call(o lease.Order) lease.Answer {
	c.t.Helper()
	c.number++
	o.Number, o.Timeout = c.number, 5*time.Second
	a := c.way.Call(c.ctx, o)
	if a.Err != nil {
		c.t.Fatal(a.Err)
	}
	if a.Kind != o.Kind || a.Number != o.Number || a.Sent.IsZero() {
		c.t.Errorf("the answer %+v does not belong to the order %+v", a, o)
	}
	return a
}

// grant makes a lease.
func (c *contract) grant() lease.ID {
	c.t.Helper()
	a := c.call(lease.Order{Kind: lease.Renew, TTL: contractTTL})
	if !a.Done || a.Lease == 0 || a.TTL < contractTTL {
		c.t.Fatalf("granted: %+v", a)
	}
	return a.Lease
}

func record(name string) lease.Record {
	return lease.Record{Node: name, Addr: netip.MustParseAddr("192.0.2.11"), Band: election.Healthy, Priority: 200}
}

func (c *contract) take(id lease.ID, seen int64, term uint64) lease.Answer {
	c.t.Helper()
	return c.call(lease.Order{Kind: lease.Take, Lease: id, Seen: seen, Owner: lease.Owner{Record: record("cp1"), Term: term, Reason: election.LeaseFree}})
}

// candidate makes one, cp2, and returns it as the store has it.
func (c *contract) candidate() lease.Candidate {
	c.t.Helper()
	id := c.grant()
	if a := c.call(lease.Order{Kind: lease.Stand, Lease: id, Self: record("cp2")}); !a.Done {
		c.t.Fatalf("candidacy: %+v", a)
	}
	v := c.look(func(v lease.View) bool { return find(v, "cp2").Lease == id })
	return find(v, "cp2")
}

func find(v lease.View, name string) lease.Candidate {
	for _, c := range v.Candidates {
		if c.Node == name {
			return c
		}
	}
	return lease.Candidate{}
}

// look watches until the store is as wanted.
func (c *contract) look(wanted func(lease.View) bool) lease.View {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	var last, found lease.View
	c.way.Watch(ctx, func(v lease.View) {
		last = v
		if ctx.Err() == nil && wanted(v) {
			found = v
			cancel()
		}
	}, func(err error) { c.t.Log(err) })
	if c.ctx.Err() != nil {
		c.t.Fatalf("in vain; the last view is %+v", last)
	}
	return found
}

func (c *contract) pass(owner lease.Owner, to lease.Candidate) lease.Answer {
	c.t.Helper()
	return c.call(lease.Order{Kind: lease.Pass, Lease: owner.Lease, Seen: owner.Revision, To: to, Owner: lease.Owner{
		Record: to.Record, Term: owner.Term + 1, From: "cp1", Reason: election.OwnerDraining,
	}})
}

// is compares a whole owner.
func (c *contract) is(got, want lease.Owner) {
	c.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		c.t.Errorf("the owner (-want +got):\n%s", diff)
	}
}

func (c *contract) free() {
	id, other := c.grant(), c.grant()
	a := c.take(id, 0, 1)
	if !a.Done {
		c.t.Fatalf("%+v", a)
	}
	c.is(a.Owner, lease.Owner{Record: record("cp1"), Lease: id, Revision: a.Revision, Term: 1, Reason: election.LeaseFree})
	second := c.take(other, 0, 1)
	if second.Done {
		c.t.Error("it was taken twice")
	}
	c.is(second.Owner, a.Owner)
	c.is(c.call(lease.Order{Kind: lease.Renew, Lease: other}).Owner, a.Owner)
	c.is(c.look(func(v lease.View) bool { return v.Owner.Lease != 0 }).Owner, a.Owner)
}

func (c *contract) missed() {
	owner, other := c.grant(), c.grant()
	before := c.look(func(lease.View) bool { return true })
	a := c.take(owner, 0, 1)
	c.call(lease.Order{Kind: lease.Resign, Lease: owner, Seen: a.Owner.Revision, Self: record("cp1")})
	late := lease.Order{Kind: lease.Take, Lease: other, Viewed: before.Revision, Owner: lease.Owner{Record: record("cp2"), Term: 1}}
	if got := c.call(late); got.Done {
		c.t.Errorf("%+v", got)
	}
	after := c.look(func(v lease.View) bool { return v.Term == 1 })
	late.Viewed, late.Owner.Term = after.Revision, 2
	if got := c.call(late); !got.Done {
		c.t.Errorf("%+v", got)
	}
}

func (c *contract) stale() {
	id := c.grant()
	first := c.take(id, 0, 1)
	second := c.take(id, first.Owner.Revision, 2)
	if !second.Done {
		c.t.Fatalf("%+v", second)
	}
	late := c.take(c.grant(), first.Owner.Revision, 3)
	if late.Done {
		c.t.Error("a change by a former revision was done")
	}
	c.is(late.Owner, second.Owner)
}

func (c *contract) again() {
	id := c.grant()
	first := c.take(id, 0, 1)
	again := c.take(id, first.Owner.Revision, 1)
	if !again.Done || again.Owner.Revision <= first.Owner.Revision || again.Owner.Revision != again.Revision {
		c.t.Errorf("first %+v, then %+v", first, again)
	}
}

func (c *contract) passed() {
	mine := c.take(c.grant(), 0, 1)
	to := c.candidate()
	a := c.pass(mine.Owner, to)
	if !a.Done {
		c.t.Fatalf("%+v", a)
	}
	want := lease.Owner{Record: record("cp2"), Lease: to.Lease, Revision: a.Revision, Term: 2, From: "cp1", Reason: election.OwnerDraining}
	c.is(a.Owner, want)
	c.is(c.call(lease.Order{Kind: lease.Renew, Lease: to.Lease}).Owner, want)
	c.call(lease.Order{Kind: lease.Leave, Lease: to.Lease})
	c.look(func(v lease.View) bool { return v.Owner.Lease == 0 })
}

func (c *contract) otherCandidate() {
	mine := c.take(c.grant(), 0, 1)
	to := c.candidate()
	ill := record("cp2")
	ill.Band = election.Unhealthy
	c.call(lease.Order{Kind: lease.Stand, Lease: to.Lease, Self: ill})
	a := c.pass(mine.Owner, to)
	if a.Done {
		c.t.Error("it was passed")
	}
	c.is(a.Owner, mine.Owner)
	v := c.look(func(v lease.View) bool { return find(v, "cp2").Revision != to.Revision })
	if diff := cmp.Diff(ill, find(v, "cp2").Record, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		c.t.Errorf("the candidate (-want +got):\n%s", diff)
	}
}

func (c *contract) otherOwner() {
	id := c.grant()
	mine := c.take(id, 0, 1)
	to := c.candidate()
	after := c.take(id, mine.Owner.Revision, 1)
	a := c.pass(mine.Owner, to)
	if a.Done {
		c.t.Error("it was passed by a former revision")
	}
	c.is(a.Owner, after.Owner)
}

func (c *contract) deadCandidate() {
	mine := c.take(c.grant(), 0, 1)
	to := c.candidate()
	c.call(lease.Order{Kind: lease.Leave, Lease: to.Lease})
	if a := c.pass(mine.Owner, to); a.Done || a.Lost {
		c.t.Errorf("%+v", a)
	}
	c.is(c.call(lease.Order{Kind: lease.Renew, Lease: mine.Owner.Lease}).Owner, mine.Owner)
}

func (c *contract) resigned() {
	id := c.grant()
	first := c.take(id, 0, 1)
	second := c.take(id, first.Owner.Revision, 1)
	late := c.call(lease.Order{Kind: lease.Resign, Lease: id, Seen: first.Owner.Revision, Self: record("cp1")})
	if late.Done {
		c.t.Error("resigned by a former revision")
	}
	c.is(late.Owner, second.Owner)
	if a := c.call(lease.Order{Kind: lease.Resign, Lease: id, Seen: second.Owner.Revision, Self: record("cp1")}); !a.Done || a.Owner.Lease != 0 {
		c.t.Errorf("%+v", a)
	}
	if a := c.call(lease.Order{Kind: lease.Renew, Lease: id}); a.Lost || a.Owner.Lease != 0 {
		c.t.Errorf("afterwards: %+v", a)
	}
	c.look(func(v lease.View) bool { return find(v, "cp1").Record == record("cp1") && v.Owner.Lease == 0 })
}

func (c *contract) left() {
	to := c.candidate()
	if a := c.call(lease.Order{Kind: lease.Leave, Lease: to.Lease}); !a.Done {
		c.t.Errorf("%+v", a)
	}
	c.look(func(v lease.View) bool { return find(v, "cp2").Lease == 0 })
}

func (c *contract) expired() {
	id, kept := c.grant(), c.grant()
	a := c.take(id, 0, 1)
	c.call(lease.Order{Kind: lease.Stand, Lease: kept, Self: record("cp2")})
	for c.call(lease.Order{Kind: lease.Renew, Lease: kept}).Owner.Lease != 0 {
		if time.Since(a.Sent) > 20*time.Second {
			c.t.Fatal("it does not end")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if lasted := time.Since(a.Sent); lasted < contractTTL {
		c.t.Errorf("it ended after %v", lasted)
	}
	if v := c.look(func(lease.View) bool { return true }); find(v, "cp2").Lease != kept {
		c.t.Errorf("a lease that was renewed ended: %+v", v)
	}
}

func (c *contract) lost() {
	id := c.grant()
	c.call(lease.Order{Kind: lease.Leave, Lease: id})
	for _, o := range []lease.Order{
		{Kind: lease.Renew, Lease: id, TTL: contractTTL},
		{Kind: lease.Stand, Lease: id, Self: record("cp1")},
		{Kind: lease.Take, Lease: id, Owner: lease.Owner{Record: record("cp1"), Term: 1}},
	} {
		if a := c.call(o); !a.Lost || a.Done {
			c.t.Errorf("order %d: %+v", o.Kind, a)
		}
	}
}

func (c *contract) terms() {
	id := c.grant()
	a := c.take(id, 0, 41)
	c.call(lease.Order{Kind: lease.Resign, Lease: id, Seen: a.Owner.Revision, Self: record("cp1")})
	if v := c.look(func(v lease.View) bool { return v.Owner.Lease == 0 }); v.Term != 41 {
		c.t.Errorf("the term is %d", v.Term)
	}
}

func (c *contract) watched() {
	ctx, cancel := context.WithCancel(c.ctx)
	var mu sync.Mutex
	var views []lease.View
	var all sync.WaitGroup
	all.Go(func() {
		c.way.Watch(ctx, func(v lease.View) {
			mu.Lock()
			defer mu.Unlock()
			views = append(views, v)
		}, func(err error) { c.t.Error(err) })
	})
	await := func(wanted func(lease.View) bool) {
		for {
			mu.Lock()
			ok := len(views) > 0 && wanted(views[len(views)-1])
			mu.Unlock()
			if ok || ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	await(func(lease.View) bool { return true })
	id := c.grant()
	a := c.take(id, 0, 1)
	await(func(v lease.View) bool { return v.Owner.Lease == id && v.Revision >= a.Revision })
	c.call(lease.Order{Kind: lease.Stand, Lease: id, Self: record("cp1")})
	await(func(v lease.View) bool { return find(v, "cp1").Lease == id })
	c.call(lease.Order{Kind: lease.Leave, Lease: id})
	await(func(v lease.View) bool { return v.Owner.Lease == 0 && len(v.Candidates) == 0 })
	cancel()
	all.Wait()
	if !slices.IsSortedFunc(views, func(a, b lease.View) int { return int(a.Revision - b.Revision) }) {
		c.t.Errorf("revisions do not grow: %+v", views)
	}
	var story []string
	for _, v := range views {
		line := v.Owner.Node
		for _, o := range v.Candidates {
			line += "+" + o.Node
		}
		if len(story) == 0 || story[len(story)-1] != line {
			story = append(story, line)
		}
	}
	// etcd ends what is bound to a lease key by key, at one revision.
	if got := strings.Join(story, " "); got != " cp1 cp1+cp1 " {
		c.t.Errorf("seen: %q", got)
	}
}
