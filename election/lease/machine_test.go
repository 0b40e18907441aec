package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	ms = time.Millisecond
	// stageTTL and stageFence are those of the node on stage: margin 250 ms.
	stageTTL, stageFence = 5 * time.Second, 3 * time.Second
	// stageOver is after what time without a renewal others take the key.
	stageOver = stageTTL + grace
)

var (
	theVIP = netip.MustParseAddr("192.0.2.10")
	self   = Record{Node: "cp1", Addr: netip.MustParseAddr("192.0.2.11"), Band: election.Healthy, Priority: 200, TTL: stageTTL, Addresses: "192.0.2.10"}
	second = Candidate{Record: Record{Node: "cp2", Addr: netip.MustParseAddr("192.0.2.12"), Band: election.Healthy, Priority: 200, TTL: stageTTL, Addresses: "192.0.2.10"}, Lease: 2, Revision: 12}
	third  = Candidate{Record: Record{Node: "cp3", Addr: netip.MustParseAddr("192.0.2.13"), Band: election.Healthy, Priority: 190, TTL: stageTTL, Addresses: "192.0.2.10"}, Lease: 3, Revision: 13}
)

// stage has cp1's machine and plays its world: clock, agent and store.
type stage struct {
	t     *testing.T
	m     *Machine
	began time.Time
	now   time.Time
	// did is what the machine wanted, without adverts; adverts are counted.
	did     []string
	adverts int
	// orders are those without an answer yet.
	orders []Order
	view   View
	// granted is the lease's TTL.
	granted time.Duration
}

// onStage is a healthy cp1 that etcd knows under lease 1, beside the candidates.
func onStage(t *testing.T, change func(*Config), beside ...Candidate) *stage {
	c := Config{
		Node: "cp1", TTL: stageTTL, Fence: stageFence,
		Addresses: []netip.Addr{theVIP},
		VRRP:      vrrp.Config{VRID: 51, Addresses: []netip.Addr{theVIP}, Rhythm: vrrp.Rhythm{Interval: 100 * ms}, Priority: 200, UnhealthyPriority: 100},
	}
	if change != nil {
		change(&c)
	}
	s := &stage{t: t, m: New(c, false), began: time.Unix(1000, 0), now: time.Unix(1000, 0)}
	s.step(vrrp.Health{Healthy: true})
	s.step(vrrp.LinkUp{Own: self.Addr})
	s.view = View{Epoch: 1, Revision: 20, Candidates: beside}
	return s
}

// reached has etcd answer for the first time, with an owner or none.
func (s *stage) reached(owner Owner) *stage {
	s.view.Owner, s.view.Term = owner, owner.Term
	s.renewed()
	s.seen()
	s.stood()
	return s
}

// seated is an owner for some seconds, whose last renewal was just confirmed.
func (s *stage) seated() *stage {
	s.t.Helper()
	s.reached(Owner{})
	for range 40 {
		if s.m.State() == vrrp.Active {
			break
		}
		s.let(100 * ms)
		s.renewedIfAsked()
		s.takenIfAsked()
	}
	s.is(vrrp.Active)
	s.m.renewAt = s.now
	s.step(vrrp.Tick{})
	s.renewedIfAsked()
	s.did, s.adverts = nil, 0
	return s
}

func (s *stage) do(actions []vrrp.Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case *vrrp.SendAdvert:
			s.adverts++
			if a.Priority != Priority && !s.m.Bootstraps() {
				s.t.Errorf("advertised priority %d", a.Priority)
			}
		case vrrp.Transition:
			s.did = append(s.did, fmt.Sprintf("%v: %s", a.To, a.Reason))
		case vrrp.Hold:
			s.did = append(s.did, "hold")
		case vrrp.Release:
			s.did = append(s.did, "release")
		case vrrp.Report:
			s.did = append(s.did, fmt.Sprintf("report %v", a.From))
		case vrrp.Probe, vrrp.Reach, vrrp.Defend:
		}
	}
	s.orders = append(s.orders, s.m.Orders()...)
}

func (s *stage) step(ev vrrp.Event) { s.do(s.m.Step(s.now, ev)) }

func (s *stage) seen() { s.do(s.m.Seen(s.now, s.view)) }

// let lets time pass, with a tick at each deadline.
func (s *stage) let(d time.Duration) {
	s.t.Helper()
	end := s.now.Add(d)
	for n := 0; ; n++ {
		at := s.m.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if n > 10000 {
			s.t.Fatalf("it asks again and again to be ticked at %v", at.Sub(s.began))
		}
		if at.After(s.now) {
			s.now = at
		}
		s.step(vrrp.Tick{})
	}
	s.now = end
}

// letRenewed lets time pass in which etcd answers renewals.
func (s *stage) letRenewed(d time.Duration) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		s.let(min(100*ms, end.Sub(s.now)))
		s.renewedIfAsked()
	}
}

// takesAfter: the key is not asked for before, and then it is.
func (s *stage) takesAfter(d time.Duration) {
	s.t.Helper()
	s.letRenewed(d - 100*ms)
	s.wants()
	s.letRenewed(100 * ms)
	s.wants(Take)
}

// ordered takes the order of a kind off the list; ok: there is one.
func (s *stage) ordered(kind Kind) (o Order, ok bool) {
	i := slices.IndexFunc(s.orders, func(o Order) bool { return o.Kind == kind })
	if i < 0 {
		return o, false
	}
	o = s.orders[i]
	s.orders = slices.Delete(s.orders, i, i+1)
	return o, true
}

func (s *stage) order(kind Kind) Order {
	s.t.Helper()
	o, ok := s.ordered(kind)
	if !ok {
		s.t.Fatalf("order %d is not among %+v; did %v", kind, s.orders, s.did)
	}
	return o
}

func (s *stage) answer(o Order, a Answer) {
	a.Kind, a.Number = o.Kind, o.Number
	if a.Sent.IsZero() {
		a.Sent = s.now
	}
	if a.Lease == 0 {
		a.Lease = o.Lease
	}
	if a.Epoch == 0 {
		a.Epoch = s.view.Epoch
	}
	s.do(s.m.Answered(s.now, a))
}

// renewed answers the renewal that is under way, as the store is.
func (s *stage) renewed() {
	s.t.Helper()
	s.confirm(s.order(Renew), s.now)
}

func (s *stage) renewedIfAsked() {
	if o, ok := s.ordered(Renew); ok {
		s.confirm(o, s.now)
	}
}

func (s *stage) confirm(o Order, sent time.Time) {
	id := o.Lease
	if id == 0 {
		id, s.granted = 1, o.TTL
	}
	renewed := o.Seen != 0 && o.Seen == s.view.Owner.Revision
	if renewed {
		s.view.Revision++
		s.view.Renewal = s.view.Revision
	}
	s.answer(o, Answer{Done: true, Renewed: renewed, Sent: sent, Lease: id, TTL: s.granted, Revision: s.view.Revision, Owner: s.view.Owner})
}

// stood writes the candidacy that is to be written.
func (s *stage) stood() Record {
	s.t.Helper()
	o := s.order(Stand)
	s.view.Revision++
	s.view.Candidates = slices.DeleteFunc(slices.Clone(s.view.Candidates), func(c Candidate) bool { return c.Node == o.Self.Node })
	s.view.Candidates = append(s.view.Candidates, Candidate{Record: o.Self, Lease: o.Lease, Revision: s.view.Revision})
	s.answer(o, Answer{Done: true})
	s.seen()
	return o.Self
}

// own makes the store's owner key another one.
func (s *stage) own(o Owner) Owner {
	s.view.Revision++
	if o.Lease != 0 {
		o.Revision = s.view.Revision
	}
	s.view.Owner, s.view.Term = o, max(s.view.Term, o.Term)
	return o
}

// givenUp makes the owner key one that its owner gave up.
func (s *stage) givenUp() {
	former := Candidate{Record: s.view.Owner.Record, Lease: s.view.Owner.Lease}
	former.Band, former.Priority = election.Resigned, vrrp.PriorityResigned
	s.own(Owner{})
	s.view.Candidates = slices.DeleteFunc(slices.Clone(s.view.Candidates), func(c Candidate) bool { return c.Lease == former.Lease })
	s.view.Candidates = append(s.view.Candidates, former)
}

func (s *stage) takenIfAsked() {
	if o, ok := s.ordered(Take); ok {
		s.took(o)
	}
}

// took carries a Take out.
func (s *stage) took(o Order) {
	owner := o.Owner
	owner.Lease = o.Lease
	s.answer(o, Answer{Done: true, Revision: s.view.Revision + 1, Owner: s.own(owner)})
	s.seen()
}

// passed carries a Pass out and tells it.
func (s *stage) passed(o Order) {
	owner := o.Owner
	owner.Lease = o.To.Lease
	s.answer(o, Answer{Done: true, Revision: s.view.Revision + 1, Owner: s.own(owner)})
	s.seen()
}

// fails leaves the outcome of an order unknown.
func (s *stage) fails(o Order) { s.answer(o, Answer{Err: errNoAnswer}) }

// hears an advert.
func (s *stage) hears(from netip.Addr, priority uint8) {
	s.step(vrrp.Advert{From: from, Packet: &vrrp.Packet{VRID: 51, Priority: priority, Interval: 100 * ms, Addresses: []netip.Addr{theVIP}}})
}

func (s *stage) off() { s.do(s.m.Off(s.now)) }

func (s *stage) is(want vrrp.State) {
	s.t.Helper()
	if got := s.m.State(); got != want {
		s.t.Fatalf("it is %v, not %v, after %v", got, want, s.did)
	}
}

// tells compares what the machine did.
func (s *stage) tells(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.did); diff != "" {
		s.t.Errorf("did (-want +got):\n%s", diff)
	}
}

// wants compares the kinds of orders without an answer, renewals left out.
func (s *stage) wants(want ...Kind) {
	s.t.Helper()
	var got []Kind
	for _, o := range s.orders {
		if o.Kind != Renew {
			got = append(got, o.Kind)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("orders (-want +got):\n%s", diff)
	}
}

// of is the owner that a candidate is, in its second term.
func of(c Candidate) Owner { return Owner{Record: c.Record, Lease: c.Lease, Revision: 9, Term: 2} }

func TestMachine(t *testing.T) {
	for _, row := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"an owner that is not confirmed gives up a margin before its TTL ends, counted from before it asked", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL - margin(stageTTL) - ms)
			s.is(vrrp.Active)
			s.let(ms)
			s.tells("backup: lease-lost", "release")
		}},
		{"an answer that took long does not lengthen what it confirms", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			o, sent := s.order(Renew), s.now
			s.let(time.Second)
			s.confirm(o, sent)
			s.let(stageTTL - margin(stageTTL) - time.Second)
			s.is(vrrp.Backup)
		}},
		{"an answer that comes after the deadline revives nothing before the key was seen to be its own", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			o := s.order(Renew)
			s.now = s.now.Add(stageTTL)
			s.confirm(o, s.now.Add(-stageTTL))
			s.tells("backup: lease-lost", "release")
		}},
		{"a longer TTL of the store's does not lengthen this node's", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			s.answer(s.order(Renew), Answer{Done: true, TTL: time.Minute, Revision: s.view.Revision, Owner: s.view.Owner})
			s.let(stageTTL - margin(stageTTL))
			s.is(vrrp.Backup)
		}},
		{"a lease is renewed at a third of its TTL", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL/renewals - ms)
			if _, ok := s.ordered(Renew); ok {
				t.Error("renewed before its time")
			}
			s.let(ms)
			if o := s.order(Renew); o.Lease != 1 || o.Timeout != stageTTL/renewals {
				t.Errorf("%+v", o)
			}
		}},
		{"a renewal that failed is tried again after a pause, and not sooner", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			s.fails(s.order(Renew))
			s.let(retryPause - ms)
			if _, ok := s.ordered(Renew); ok {
				t.Error("tried again at once")
			}
			s.let(ms)
			s.order(Renew)
		}},
		{"one tick after a freeze that outlasted the lease: it gives up first, and sends no advert", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.now = s.now.Add(time.Minute)
			s.step(vrrp.Tick{})
			s.tells("backup: lease-lost", "release")
			if s.adverts != 0 {
				t.Error("it advertised")
			}
		}},
		{"whatever comes first after such a freeze, it gives up before", func(t *testing.T) {
			for _, ev := range []vrrp.Event{vrrp.Health{Healthy: true}, vrrp.Held{Attempt: 1}, vrrp.Members{}, vrrp.LinkUp{Own: self.Addr}, vrrp.Configure{}} {
				s := onStage(t, nil, second).seated()
				s.now = s.now.Add(time.Minute)
				s.step(ev)
				s.tells("backup: lease-lost", "release")
			}
		}},
		{"a free key is taken at once by the best candidate", func(t *testing.T) {
			s := onStage(t, nil, third).reached(of(third))
			s.givenUp()
			s.let(time.Second)
			s.renewedIfAsked()
			s.seen()
			s.wants(Take)
		}},
		{"a worse candidate gives each better one a moment before", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.VRRP.Priority = 150 }, second, third).reached(of(Candidate{Record: Record{Node: "cp4", Addr: netip.MustParseAddr("192.0.2.14")}, Lease: 4}))
			s.givenUp()
			s.seen()
			s.let(2*takeStep - ms)
			s.wants()
			s.let(ms)
			s.wants(Take)
		}},
		{"a healthy candidate comes before an unhealthy one of higher priority", func(t *testing.T) {
			worse := second
			worse.Band, worse.Priority = election.Unhealthy, 254
			s := onStage(t, nil, worse).reached(of(third))
			s.givenUp()
			s.seen()
			s.wants(Take)
		}},
		{"a draining node takes nothing", func(t *testing.T) {
			s := onStage(t, nil).reached(of(second))
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.own(Owner{})
			s.seen()
			s.let(time.Second)
			s.wants(Stand)
		}},
		{"an unhealthy node takes a key that nobody else does", func(t *testing.T) {
			s := onStage(t, nil).reached(of(second))
			s.step(vrrp.Health{})
			s.stood()
			s.givenUp()
			s.seen()
			s.wants(Take)
		}},
		{"an owner that did not renew for a TTL owns no more, whatever its lease: the key is taken if it has not renewed meanwhile", func(t *testing.T) {
			s := onStage(t, nil, third).reached(of(third))
			s.letRenewed(stageOver - 100*ms)
			s.view.Revision++
			s.view.Renewal = s.view.Revision
			s.seen()
			s.letRenewed(stageOver - 100*ms)
			s.wants()
			s.letRenewed(100 * ms)
			o := s.order(Take)
			if o.Seen != s.view.Owner.Revision || !o.Unrenewed || o.Renewal != s.view.Renewal || o.Owner.Term != s.view.Term+1 {
				t.Errorf("%+v", o)
			}
		}},
		{"an owner's TTL that becomes shorter is told to the others at once", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.m.Revise(3*time.Second, false, stageFence)
			s.step(vrrp.Tick{})
			o := s.order(Take)
			if o.Owner.TTL != 3*time.Second || o.Seen != s.view.Owner.Revision || o.Owner.Term != s.view.Term {
				t.Errorf("%+v", o)
			}
			s.took(o)
			s.stood()
			s.letRenewed(time.Minute)
			s.tells()
			s.is(vrrp.Active)
		}},
		{"an owner's TTL that becomes much shorter keeps it in office, whatever becomes of the order that says so", func(t *testing.T) {
			for _, row := range []struct {
				from time.Duration
				// after is when it becomes shorter, after a renewal.
				after time.Duration
				play  func(s *stage)
			}{
				{time.Minute, 19 * time.Second, func(s *stage) { s.took(s.order(Take)) }},
				{10 * time.Minute, 199 * time.Second, func(s *stage) { s.took(s.order(Take)) }},
				{10 * time.Second, 3300 * ms, func(s *stage) {
					o := s.order(Take)
					s.own(Owner{Record: o.Owner.Record, Lease: o.Lease, Term: o.Owner.Term})
					s.seen() // the others know it before this node hears that it was written
					s.answer(o, Answer{Done: true, Revision: s.view.Revision, Owner: s.view.Owner, Sent: s.now})
				}},
				{time.Minute, 19 * time.Second, func(s *stage) {
					s.fails(s.order(Take))
					s.let(retryPause)
					s.took(s.order(Take))
				}},
			} {
				s := onStage(t, func(c *Config) { c.TTL = row.from }, second).seated()
				s.let(row.after)
				s.m.Revise(3*time.Second, false, stageFence)
				s.step(vrrp.Tick{})
				s.renewed()
				s.is(vrrp.Active)
				row.play(s)
				s.stood()
				s.letRenewed(time.Minute)
				s.tells()
				s.is(vrrp.Active)
			}
		}},
		{"an owner's TTL that became shorter counts from when the others may have learned it", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.TTL = time.Minute }, second).seated()
			s.m.Revise(3*time.Second, false, stageFence)
			s.step(vrrp.Tick{})
			s.order(Take) // and no answer comes any more
			s.let(3*time.Second - margin(3*time.Second) - ms)
			s.is(vrrp.Active)
			s.let(ms)
			s.tells("backup: lease-lost", "release")
		}},
		{"an owner's TTL that becomes longer counts from the next owner on", func(t *testing.T) {
			for _, ttl := range []time.Duration{6 * time.Second, time.Minute, 10 * time.Minute} {
				s := onStage(t, nil, second).seated()
				s.m.Revise(ttl, false, stageFence)
				s.letRenewed(time.Minute)
				s.wants()
				s.tells()
				s.is(vrrp.Active)
			}
		}},
		{"an owner whose answers come too late says nothing of owning any more, so that others may", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL)
			s.tells("backup: lease-lost", "release")
			s.confirm(s.order(Renew), s.now.Add(-stageTTL/renewals))
			s.let(stageTTL / renewals)
			for range 3 {
				o := s.order(Renew)
				if o.Seen != 0 {
					t.Errorf("%+v", o)
				}
				sent := s.now
				s.let(time.Second)
				s.confirm(o, sent)
				s.let(stageTTL / renewals)
			}
			s.renewed()
			s.let(stageTTL / renewals)
			if o := s.order(Renew); o.Seen != s.view.Owner.Revision {
				t.Errorf("%+v", o)
			}
		}},
		{"when etcd comes back the owner has a moment to renew", func(t *testing.T) {
			s := onStage(t, nil, third).reached(of(third))
			s.let(time.Minute)
			s.fails(s.order(Renew))
			s.let(retryPause)
			s.renewed()
			s.takesAfter(regainGrace)
		}},
		{"a Take that fails by a renewal that was not seen tells of it", func(t *testing.T) {
			s := onStage(t, nil, third).reached(of(third))
			s.letRenewed(stageOver)
			s.answer(s.order(Take), Answer{Revision: s.view.Revision + 1, Owner: s.view.Owner, Renewal: s.view.Revision + 1})
			s.letRenewed(stageOver - 100*ms)
			s.wants()
			s.letRenewed(100 * ms)
			if o := s.order(Take); o.Renewal != s.view.Revision+1 {
				t.Errorf("%+v", o)
			}
		}},
		{"an owner that is overdue goes to the best candidate first", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.VRRP.Priority = 150 }, second, third).reached(of(third))
			s.letRenewed(stageOver + takeStep - ms)
			s.wants()
			s.let(ms)
			s.wants(Take)
		}},
		{"an owner holds for a TTL from before the last renewal that was written, whatever else etcd answers", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			for range 60 {
				s.let(100 * ms)
				if o, ok := s.ordered(Renew); ok {
					s.answer(o, Answer{Done: true, Lease: o.Lease, TTL: o.TTL, Revision: s.view.Revision, Owner: s.view.Owner})
				}
			}
			s.tells("backup: lease-lost", "release")
		}},
		{"a key that came and went unseen may be held on to: it is not taken for a TTL", func(t *testing.T) {
			s := onStage(t, nil, second).reached(Owner{})
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.stood()
			s.view.Term++
			s.view.Revision++
			s.seen()
			s.step(vrrp.SetDuty{})
			s.stood()
			s.takesAfter(stageOver + takeStep)
		}},
		{"a healthy owner stays, however good the others are", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.VRRP.Priority = 128 }, second, third).seated()
			s.let(time.Second)
			s.tells()
			s.wants()
		}},
		{"an unhealthy owner stays while nobody is healthy", func(t *testing.T) {
			worse := second
			worse.Band = election.Unhealthy
			s := onStage(t, nil, worse).seated()
			s.step(vrrp.Health{})
			s.let(time.Second)
			s.tells()
		}},
		{"an owner whose lease is too short to keep the VIP on lo meanwhile renews it before it passes the key", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			for short := false; !short; s.now = s.now.Add(50 * ms) {
				lifetime, _ := s.m.Lifetime(s.now, stageFence)
				short = lifetime == 0
			}
			s.step(vrrp.Health{})
			s.tells()
			s.stood()
			s.renewedIfAsked()
			s.tells("listening: unhealthy")
		}},
		{"an owner whose checks have told nothing yet stays, until they do", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.Health{Unproven: true})
			s.tells()
			s.stood()
			s.step(vrrp.Health{})
			s.tells("listening: unhealthy")
		}},
		{"an unhealthy owner falls silent, then passes the key to the best healthy one, then lets go", func(t *testing.T) {
			s := onStage(t, nil, third, second).seated()
			s.step(vrrp.Health{})
			s.tells("listening: unhealthy")
			s.let(50 * ms)
			s.wants()
			s.off()
			o := s.order(Pass)
			if o.To.Node != "cp2" || o.Owner.Lease != 0 || o.Owner.From != "cp1" || o.Owner.Reason != election.OwnerUnhealthy || o.Owner.Term != 2 {
				t.Errorf("%+v", o)
			}
			s.passed(o)
			s.tells("listening: unhealthy")
			s.hears(second.Addr, Priority)
			s.tells("listening: unhealthy", "backup: unhealthy", "release")
		}},
		{"an owner that cannot ask etcd passes nothing on, and serves until it can, or its lease is over", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			s.fails(s.order(Renew))
			s.step(vrrp.Health{})
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.let(retryPause)
			s.tells()
			s.renewed()
			s.stood()
			s.tells("listening: drain")
		}},
		{"an owner that lost etcd, and with it the lease, knows its successor by the adverts", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL)
			s.tells("backup: lease-lost", "release")
			s.hears(second.Addr, Priority)
			if owner, ok := s.m.Owner(s.now); !ok || owner.Addr != second.Addr {
				t.Errorf("%+v %v", owner, ok)
			}
		}},
		{"a successor that is not heard is not waited for for long", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.Health{})
			s.off()
			s.passed(s.order(Pass))
			s.let(heardMax - ms)
			s.is(vrrp.Listening)
			s.let(ms)
			s.tells("listening: unhealthy", "backup: unhealthy", "release")
		}},
		{"of two equals the one that hears this node succeeds it", func(t *testing.T) {
			s := onStage(t, nil, second, third).seated()
			s.step(vrrp.Members{Addrs: []netip.Addr{third.Addr}})
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.off()
			if o := s.order(Pass); o.To.Node != "cp3" {
				t.Errorf("passed to %s", o.To.Node)
			}
		}},
		{"while the key is on its way adverts go on", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.adverts = 0
			s.off()
			s.let(500 * ms)
			if s.adverts != 5 {
				t.Errorf("%d adverts", s.adverts)
			}
		}},
		{"a pass that does not fall silent in time is undone, and tried again later and later", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.let(muteMax)
			s.tells("listening: drain", "active: hold-failed", "hold")
			s.stood()
			s.let(passRetry - ms)
			s.is(vrrp.Active)
			s.let(ms)
			s.is(vrrp.Listening)
			s.let(muteMax)
			s.renewedIfAsked()
			s.let(2*passRetry - ms)
			s.is(vrrp.Active)
			s.let(ms)
			s.is(vrrp.Listening)
		}},
		{"a pass whose outcome is unknown is tried again, and then the key is written anew before it serves on", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.off()
			s.fails(s.order(Pass))
			s.let(retryPause)
			s.renewedIfAsked()
			s.fails(s.order(Pass))
			s.let(passMax)
			s.renewedIfAsked()
			s.fails(s.order(Pass))
			s.let(retryPause)
			s.is(vrrp.Listening)
			o := s.order(Take)
			if o.Seen != s.view.Owner.Revision || o.Owner.Node != "cp1" || o.Owner.Term != s.view.Owner.Term {
				t.Errorf("%+v", o)
			}
			s.took(o)
			s.tells("listening: drain", "active: hold-failed", "hold")
		}},
		{"a pass that came about without an answer is learned, and obeyed", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.off()
			o := s.order(Pass)
			s.fails(o)
			owner := o.Owner
			owner.Lease = o.To.Lease
			s.own(owner)
			s.seen()
			s.hears(second.Addr, Priority)
			s.tells("listening: drain", "backup: drain", "release")
		}},
		{"a key that is passed to this node is held first, advertised second", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.own(Owner{Record: self, Lease: 1, Term: 3, From: "cp2", Reason: election.OwnerDraining})
			s.seen()
			s.tells("backup: startup", "displacing: owner-draining", "hold")
			if s.adverts != 0 {
				t.Error("it advertised before it held")
			}
			s.step(vrrp.Held{Attempt: s.m.attempt})
			s.is(vrrp.Active)
			if s.adverts != 1 {
				t.Error("it did not advertise at once")
			}
		}},
		{"a new owner whose addresses do not come is owner all the same after a while: the key is nobody else's", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.own(Owner{Record: self, Lease: 1, Term: 3, From: "cp2", Reason: election.OwnerDraining})
			s.seen()
			s.let(claimMax)
			s.is(vrrp.Active)
		}},
		{"a stop passes the key to an unhealthy node, a drain does not", func(t *testing.T) {
			worse := second
			worse.Band = election.Unhealthy
			s := onStage(t, nil, worse).seated()
			s.step(vrrp.SetDuty{Duty: vrrp.Drain, Reason: election.Drain})
			s.stood()
			s.let(time.Second)
			s.tells()
			s.step(vrrp.SetDuty{Duty: vrrp.Resign, Reason: election.Shutdown})
			s.tells("listening: shutdown")
		}},
		{"a lost link resigns the key when its addresses are off, and says so in the same transaction", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.LinkDown{Reason: election.NoCarrier})
			s.tells("release", "init: no-carrier")
			s.wants()
			s.off()
			if o := s.order(Resign); o.Self.Band != election.Resigned || o.Seen != s.view.Owner.Revision {
				t.Errorf("%+v", o)
			}
		}},
		{"addresses that could not be taken off are off when the fence is over", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.LinkDown{Reason: election.NoCarrier})
			for range 1 + (stageFence+offSlack)/(100*ms) {
				s.let(100 * ms)
				s.renewedIfAsked()
			}
			s.order(Resign)
		}},
		{"a key that was deleted by hand is lost, and nobody takes it for a TTL: its owner may not know", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.own(Owner{})
			s.seen()
			s.takesAfter(stageOver + takeStep)
		}},
		{"all keys that were deleted by hand: the same, and the candidacy is written anew", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.own(Owner{})
			s.view.Candidates = nil
			s.seen()
			s.stood()
			s.let(time.Second)
			s.wants()
		}},
		{"a key that an answer tells is free is not taken before a view tells why", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.let(stageTTL / renewals)
			s.own(Owner{})
			s.renewed()
			s.let(time.Second)
			s.wants()
		}},
		{"an owner that is forced off resigns the key, and does not take it back", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.Abandon{Reason: election.Forced})
			s.off()
			s.wants(Resign)
			s.tells("backup: forced", "release")
		}},
		{"another store: nothing is taken for a TTL, and a new lease is asked for", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.view = View{Epoch: 2, Revision: 3}
			s.seen()
			if o := s.order(Renew); o.Lease != 0 {
				t.Errorf("%+v", o)
			}
			s.confirm(Order{Kind: Renew, Number: s.m.renewing, TTL: stageTTL}, s.now)
			s.stood()
			s.let(stageTTL - ms)
			s.wants()
		}},
		{"the owner in another store gives up", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.view = View{Epoch: 2, Revision: 3}
			s.seen()
			s.tells("backup: lease-lost", "release")
		}},
		{"views of the former store tell nothing", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			former := s.view
			s.view = View{Epoch: 2, Revision: 3}
			s.seen()
			s.did, s.view = nil, former
			s.seen()
			s.tells()
		}},
		{"a late view of the same store tells nothing", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			late := s.view
			s.own(Owner{Record: self, Lease: 1, Term: 3, From: "cp2"})
			s.seen()
			s.step(vrrp.Held{Attempt: s.m.attempt})
			s.view = late
			s.seen()
			s.is(vrrp.Active)
		}},
		{"a lease that the store lost before its time: doubt; one that ended in its time: none", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.let(stageTTL / renewals)
			s.answer(s.order(Renew), Answer{Lost: true})
			if !s.m.doubtUntil.After(s.now) {
				t.Error("no doubt")
			}
			s = onStage(t, nil, second).reached(of(second))
			s.let(stageTTL / renewals)
			o := s.order(Renew)
			s.now = s.now.Add(time.Minute)
			s.answer(o, Answer{Lost: true})
			if s.m.doubtUntil.After(s.now) {
				t.Error("doubt")
			}
		}},
		{"keep: an owner goes on when nothing is confirmed, and takes the free key when it can", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.Keep = true }, second).seated()
			s.let(time.Minute)
			s.is(vrrp.Active)
			s.answer(s.order(Renew), Answer{Lost: true})
			s.own(Owner{})
			s.view.Candidates = nil
			s.renewed()
			s.seen()
			s.is(vrrp.Active)
			s.let(2 * stageTTL)
			s.renewedIfAsked()
			s.let(100 * ms)
			s.takenIfAsked()
			s.tells()
		}},
		{"keep: an owner that becomes unhealthy with etcd serves on", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.Keep = true }, second).seated()
			s.let(stageTTL / renewals)
			s.fails(s.order(Renew))
			s.step(vrrp.Health{})
			for range 100 {
				s.let(100 * ms)
				if o, ok := s.ordered(Renew); ok {
					s.fails(o)
				}
			}
			s.tells()
			s.is(vrrp.Active)
		}},
		{"keep: an owner that finds etcd gone while it passes the key on serves on at once", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.Keep = true }, second).seated()
			s.step(vrrp.Health{})
			s.off()
			s.fails(s.order(Pass))
			s.tells("listening: unhealthy", "active: hold-failed", "hold")
			s.let(time.Minute)
			s.tells("listening: unhealthy", "active: hold-failed", "hold")
		}},
		{"keep: another holder ends it all the same", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.Keep = true }, second).seated()
			s.let(time.Minute)
			s.own(of(second))
			s.seen()
			s.tells("backup: lease-lost", "release")
		}},
		{"a key of an earlier life of this node is taken over at once, in its term", func(t *testing.T) {
			s := onStage(t, nil, second)
			s.view.Owner = Owner{Record: self, Lease: 77, Revision: 9, Term: 4}
			s.renewed()
			s.seen()
			o := s.order(Take)
			if o.Seen != 9 || o.Owner.Term != 4 || o.Lease != 1 {
				t.Errorf("%+v", o)
			}
		}},
		{"a key of another node of the same name is left alone", func(t *testing.T) {
			other := self
			other.Addr = netip.MustParseAddr("192.0.2.99")
			s := onStage(t, nil, second).reached(Owner{Record: other, Lease: 77, Revision: 9, Term: 4})
			s.let(time.Second)
			s.wants()
		}},
		{"an owner that the store does not know of is waited for while it is heard, and for as long as its kernel may go on", func(t *testing.T) {
			s := onStage(t, nil).reached(Owner{})
			s.hears(third.Addr, 200)
			s.takesAfter(stageFence + offSlack)
		}},
		{"one that is of a lower band is not waited for", func(t *testing.T) {
			s := onStage(t, nil).reached(Owner{})
			s.hears(third.Addr, 100)
			s.wants(Take)
		}},
		{"who stops takes its candidacy back, but not a key that nobody took", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			if o, wanted := s.m.Farewell(); !wanted || o.Kind != Leave || o.Lease != 1 {
				t.Errorf("%+v", o)
			}
			if _, wanted := onStage(t, nil, second).seated().m.Farewell(); wanted {
				t.Error("the key would go")
			}
		}},
		{"a renewal of a former answer changes nothing", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.let(stageTTL / renewals)
			o := s.order(Renew)
			s.fails(o)
			until := s.m.session.until
			s.confirm(o, s.now)
			if s.m.session.until != until {
				t.Error("it counted")
			}
		}},
	} {
		t.Run(row.name, row.play)
	}
}

func TestBootstrap(t *testing.T) {
	boot := func(c *Config) { c.Bootstrap = true }
	for _, row := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"before etcd answered VRRP elects", func(t *testing.T) {
			s := onStage(t, boot)
			s.let(400 * ms)
			s.is(vrrp.Probing)
			s.step(vrrp.Probed{Attempt: 1})
			s.is(vrrp.Active)
		}},
		{"its owner takes the key, and is not off for a moment", func(t *testing.T) {
			s := onStage(t, boot)
			s.let(400 * ms)
			s.step(vrrp.Probed{Attempt: 1})
			s.did = nil
			s.renewed()
			s.seen()
			s.is(vrrp.Active)
			s.stood()
			s.letRenewed(stageFence + offSlack - 100*ms)
			if _, ok := s.ordered(Take); ok {
				t.Error("it asked for the key before its kernel was bound")
			}
			s.letRenewed(100 * ms)
			s.took(s.order(Take))
			s.tells()
			if s.m.Bootstraps() || !s.m.Status(s.now).Held {
				t.Error("it is not owner by its lease")
			}
		}},
		{"its owner, who never hears whether it has the key, gives up before the others may take it", func(t *testing.T) {
			s := onStage(t, boot)
			s.let(400 * ms)
			s.step(vrrp.Probed{Attempt: 1})
			s.renewed()
			s.seen()
			s.stood()
			s.letRenewed(stageFence + offSlack)
			s.order(Take)
			s.did = nil
			s.let(time.Second)
			if lifetime, _ := s.m.Lifetime(s.now, stageFence); lifetime == 0 || lifetime >= stageFence {
				t.Errorf("the kernel holds for %v", lifetime)
			}
			s.let(stageTTL - time.Second - 300*ms)
			s.is(vrrp.Backup)
		}},
		{"its owner that loses etcd before it asked for the key goes on by VRRP", func(t *testing.T) {
			s := onStage(t, boot)
			s.let(400 * ms)
			s.step(vrrp.Probed{Attempt: 1})
			s.renewed()
			s.seen()
			s.let(time.Minute)
			s.is(vrrp.Active)
			if lifetime, _ := s.m.Lifetime(s.now, stageFence); lifetime != stageFence {
				t.Errorf("the kernel holds for %v", lifetime)
			}
		}},
		{"a backup leaves the key to the owner that it hears", func(t *testing.T) {
			s := onStage(t, boot)
			s.hears(third.Addr, 200)
			s.renewed()
			s.seen()
			for range 20 {
				s.hears(third.Addr, 200)
				s.let(100 * ms)
				s.renewedIfAsked()
			}
			s.wants(Stand)
		}},
		{"an owner by VRRP gives way to who has the lease", func(t *testing.T) {
			s := onStage(t, boot)
			s.let(400 * ms)
			s.step(vrrp.Probed{Attempt: 1})
			s.did = nil
			s.view.Owner = of(second)
			s.renewed()
			s.seen()
			s.tells("backup: lease-lost", "release")
		}},
		{"a node without etcd that heard the holder of a lease takes nothing when that falls silent", func(t *testing.T) {
			s := onStage(t, boot)
			s.hears(second.Addr, Priority)
			s.let(time.Minute)
			s.is(vrrp.Backup)
			if s.m.Bootstraps() {
				t.Error("it bootstraps")
			}
		}},
		{"an advert of another VIP's owner does not end that", func(t *testing.T) {
			s := onStage(t, boot)
			s.step(vrrp.Advert{From: second.Addr, Packet: &vrrp.Packet{VRID: 51, Priority: Priority, Interval: 100 * ms, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.77")}}})
			if !s.m.Bootstraps() {
				t.Error("it waits for etcd")
			}
		}},
	} {
		t.Run(row.name, row.play)
	}
}

// An order to hold lasts for whole seconds, and if it is carried out by the time that
// goes with it, the kernel, late as it may be, has ended it before others take the key.
func TestLifetime(t *testing.T) {
	for _, row := range []struct {
		name   string
		passed time.Duration
		fence  time.Duration
		want   time.Duration
	}{
		{"just confirmed: the fence", 0, 3 * time.Second, 3 * time.Second},
		{"a long fence: what the lease leaves, in whole seconds", 0, 10 * time.Second, 3 * time.Second},
		{"later: less", 1500 * ms, 3 * time.Second, 2 * time.Second},
		{"too late for a second and its order: not at all", 2900 * ms, 3 * time.Second, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			taken := s.m.ownedFrom.Add(stageOver - margin(stageTTL)) // by the fastest clock
			s.now = s.now.Add(row.passed)
			lifetime, by := s.m.Lifetime(s.now, row.fence)
			if lifetime != row.want {
				t.Errorf("%v, want %v", lifetime, row.want)
			}
			if lifetime > 0 && (by.Add(lifetime+lateness).After(taken) || !by.After(s.now)) {
				t.Errorf("by %v for %v, it may be taken in %v", by.Sub(s.now), lifetime, taken.Sub(s.now))
			}
		})
	}
}

// What an owner and a backup do for each advert costs no memory.
func TestSteadyPathsAllocateNothing(t *testing.T) {
	owner, backup := onStage(t, nil, second).seated(), onStage(t, nil, second).reached(of(second))
	advert := vrrp.Advert{From: second.Addr, Packet: &vrrp.Packet{VRID: 51, Priority: Priority, Interval: 100 * ms, Addresses: []netip.Addr{theVIP}}}
	var heard vrrp.Event = advert
	for _, row := range []struct {
		name string
		do   func()
	}{
		{"an owner's tick for an advert", func() {
			owner.m.session.until, owner.m.renewAt = owner.now.Add(stageTTL), owner.now.Add(time.Second)
			owner.now = owner.m.Deadline()
			owner.m.Step(owner.now, vrrp.Tick{})
		}},
		{"a backup that hears the holder", func() {
			backup.m.renewAt = backup.now.Add(time.Second)
			backup.now = backup.now.Add(100 * ms)
			backup.m.Step(backup.now, heard)
		}},
	} {
		if n := testing.AllocsPerRun(100, row.do); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}
