package lease

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	// simTTL and simFence are the nodes', simTardy is how late their kernels take an
	// address off.
	simTTL, simFence, simTardy = 4 * time.Second, 3 * time.Second, lateness
	// simLongest is the longest TTL that a node is given.
	simLongest = 12 * time.Second
	// simPatience bounds the wait for an owner after all trouble: leases that may
	// have been granted before it, a TTL of doubt, calls that are still on their way.
	simPatience = 2*simLongest + 4*time.Second
)

var errNoAnswer = errors.New("no answer")

// world is some nodes on a segment, around a store that has the truth. Its time is
// the true one; each node's clock runs at a rate of its own.
type world struct {
	t     *testing.T
	rand  *rand.Rand
	now   time.Time
	queue happenings
	count int
	nodes []*simNode
	store *simStore
	// healed: nothing bad happens any more.
	healed bool
	log    []string
}

// happening is something to come, on a node or, without one, elsewhere.
type happening struct {
	at   time.Time
	turn int
	node *simNode
	// life is the node's life that it is about; 0: any.
	life int
	do   func()
}

type happenings []happening

func (q happenings) Len() int { return len(q) }
func (q happenings) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].turn < q[j].turn
}
func (q happenings) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *happenings) Push(x any)   { *q = append(*q, x.(happening)) } //nolint:forcetypeassert // see after
func (q *happenings) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newWorld(t *testing.T, seed uint64, nodes int, known bool) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1000, 0)}
	w.store = newSimStore(w)
	for i := range nodes {
		w.nodes = append(w.nodes, &simNode{
			world: w, name: fmt.Sprintf("cp%d", i+1), addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}),
			began: w.now, rate: 1 + (w.rand.Float64()-0.5)/500, known: known, healthy: true, ttl: simTTL,
		})
	}
	for _, n := range w.nodes {
		n.start()
	}
	return w
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%12v %s", w.now.Sub(time.Unix(1000, 0)), fmt.Sprintf(format, args...)))
}

// chance is true in so many of a hundred cases.
func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rand.Int64N(int64(d))) }

// after has something done later. What is of one life of a node is not done to
// another one.
func (w *world) after(d time.Duration, n *simNode, life int, do func()) {
	w.count++
	heap.Push(&w.queue, happening{at: w.now.Add(d), turn: w.count, node: n, life: life, do: do})
}

// run lets time pass until a condition holds, for limit at most.
func (w *world) run(limit time.Duration, until func() bool) bool {
	end := w.now.Add(limit)
	for {
		if until != nil && until() {
			return true
		}
		next, node := w.next()
		if next.IsZero() || next.After(end) {
			w.now = end
			w.judge()
			return false
		}
		if next.After(w.now) {
			w.now = next
			w.judge()
		}
		switch {
		case node != nil:
			node.tick()
		default:
			w.happen(heap.Pop(&w.queue).(happening)) //nolint:forcetypeassert // see after
		}
		w.judge()
	}
}

func (w *world) happen(h happening) {
	switch n := h.node; {
	case n == nil:
		h.do()
	case h.life != 0 && (h.life != n.life || !n.up):
	case n.frozen && h.life != 0:
		n.missed = append(n.missed, h)
	default:
		h.do()
	}
}

// next is when something happens next; node: it is due there.
func (w *world) next() (at time.Time, node *simNode) {
	if len(w.queue) > 0 {
		at = w.queue[0].at
	}
	for _, n := range w.nodes {
		if d := n.due(); !d.IsZero() && (at.IsZero() || d.Before(at)) {
			at, node = d, n
		}
	}
	if !at.IsZero() && at.Before(w.now) {
		at = w.now
	}
	return at, node
}

// judge: of nodes that the lease rules, never two answer for the VIP.
func (w *world) judge() {
	at := 0
	for _, n := range w.nodes {
		if n.answers() {
			at++
		}
	}
	if at > 1 && !w.byVRRP() {
		w.fail("%v answer for the VIP at one time", w.answering())
	}
}

// answering are the nodes that answer for the VIP.
func (w *world) answering() (who []string) {
	for _, n := range w.nodes {
		if n.answers() {
			who = append(who, n.name)
		}
	}
	return who
}

// byVRRP: no lease was held yet.
func (w *world) byVRRP() bool { return w.store.term == 0 }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log[max(0, len(w.log)-80):] {
		w.t.Log(line)
	}
	for _, n := range w.nodes {
		w.t.Logf("%s: up %v frozen %v cut %v, %v, %+v", n.name, n.up, n.frozen, n.cut, n.machine.State(), n.machine.Status(n.clock()))
	}
	w.t.Fatalf(format, args...)
}

// simNode is one host: its daemon with its clock, and its kernel.
type simNode struct {
	*world
	name  string
	addr  netip.Addr
	began time.Time
	rate  float64
	known bool
	ttl   time.Duration

	machine *Machine
	life    int
	up      bool
	// stopping: it is about to end.
	stopping bool
	frozen   bool
	cut      bool
	slow     bool
	healthy  bool
	duty     vrrp.Duty
	// missed is what a frozen daemon has still to hear.
	missed []happening

	// What the agent does of its own accord: addresses are refreshed, and tried
	// again; serial counts orders, off is the one whose end the machine hears.
	wanted             bool
	attempt            uint64
	refreshAt, retryAt time.Time
	serial, off        int

	// until is when the kernel stops to answer, in true time.
	until time.Time
	wires bool
	// view is what the node was told last.
	view View
}

// clock is the node's own.
func (n *simNode) clock() time.Time {
	return n.began.Add(time.Duration(float64(n.now.Sub(n.began)) * n.rate))
}

// truly is a duration of the node's clock in true time.
func (n *simNode) truly(d time.Duration) time.Duration { return time.Duration(float64(d) / n.rate) }

func (n *simNode) answers() bool { return n.until.After(n.now) }

func (n *simNode) start() {
	n.life++
	n.up, n.stopping, n.frozen, n.missed = true, false, false, nil
	n.wanted, n.refreshAt, n.retryAt = false, time.Time{}, time.Time{}
	n.view = View{}
	n.machine = New(Config{
		Node: n.name, TTL: n.ttl, Bootstrap: !n.known, Fence: simFence,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		VRRP: vrrp.Config{
			VRID: 51, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Rhythm: vrrp.Rhythm{Interval: 200 * time.Millisecond},
			Priority: 200, UnhealthyPriority: 100,
		},
	}, true)
	n.say("%s starts", n.name)
	n.do(n.machine.Step(n.clock(), vrrp.SetDuty{Duty: n.duty}))
	n.do(n.machine.Step(n.clock(), vrrp.Health{Healthy: n.healthy}))
	n.do(n.machine.Step(n.clock(), vrrp.LinkUp{Own: n.addr}))
	n.watch()
}

func (n *simNode) kill() {
	n.life++
	n.up = false
	n.say("%s is killed", n.name)
}

// stop ends the daemon in order, as far as the pass of its lease goes.
func (n *simNode) stop() {
	n.stopping = true
	n.step(vrrp.SetDuty{Duty: vrrp.Resign, Reason: election.Shutdown})
	life := n.life
	var end func()
	wait := 20
	end = func() {
		if wait--; n.machine.Owns() && wait > 0 {
			n.after(200*time.Millisecond, n, life, end)
			return
		}
		if o, wanted := n.machine.Farewell(); wanted {
			n.send(o)
		}
		n.kill()
	}
	end()
}

// due is when the daemon has something to do, in true time; zero: not.
func (n *simNode) due() time.Time {
	if !n.up || n.frozen {
		return time.Time{}
	}
	local := earliest(earliest(n.machine.Deadline(), n.refreshAt), n.retryAt)
	if local.IsZero() {
		return time.Time{}
	}
	return n.began.Add(n.truly(local.Sub(n.began)) + time.Microsecond)
}

func (n *simNode) tick() {
	now := n.clock()
	reached := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	if reached(n.machine.Deadline()) {
		n.step(vrrp.Tick{})
	}
	if !n.wanted || n.machine.State() == vrrp.Listening {
		n.refreshAt, n.retryAt = time.Time{}, time.Time{}
		return
	}
	switch {
	case reached(n.retryAt):
		n.hold(n.attempt)
	case reached(n.refreshAt):
		n.hold(0)
	}
}

func (n *simNode) step(ev vrrp.Event) { n.do(n.machine.Step(n.clock(), ev)) }

// do carries out what the machine wants, as the agent does.
func (n *simNode) do(actions []vrrp.Action) {
	for _, a := range slices.Clone(actions) {
		switch a := a.(type) {
		case *vrrp.SendAdvert:
			n.advertise(a)
		case vrrp.Hold:
			n.wanted, n.attempt = true, a.Attempt
			n.hold(a.Attempt)
		case vrrp.Release:
			n.wanted = false
			n.takeOff("releases")
		case vrrp.Transition:
			n.say("%s: %v -> %v: %s (%s)", n.name, a.From, a.To, a.Reason, a.Detail)
			if a.To == vrrp.Listening && !n.machine.Bootstraps() {
				n.takeOff("mutes")
			}
		case vrrp.Probe:
			n.probe(a.Attempt)
		case vrrp.Reach:
			n.after(60*time.Millisecond, n, n.life, func() { n.step(vrrp.Reached{Attempt: a.Attempt}) })
		case vrrp.Defend, vrrp.Report:
		}
	}
	for _, o := range n.machine.Orders() {
		n.send(o)
	}
	if n.machine.Reached() {
		n.known = true
	}
}

// hold has the kernel told to answer, for as long as the lease allows.
func (n *simNode) hold(attempt uint64) {
	now := n.clock()
	n.refreshAt, n.retryAt = time.Time{}, time.Time{}
	lifetime, by := n.machine.Lifetime(now, simFence)
	if lifetime == 0 {
		n.retryAt = now.Add(100 * time.Millisecond)
		return
	}
	by = earliest(by, now.Add(500*time.Millisecond))
	n.refreshAt = now.Add(lifetime / 2)
	if last := n.machine.LastRefresh(); last.After(now) {
		n.refreshAt = earliest(n.refreshAt, last)
	}
	n.apply(func() {
		if !n.clock().Before(by) || n.chance(1) {
			n.retryAt = n.clock().Add(100 * time.Millisecond)
			if attempt != 0 {
				n.step(vrrp.Held{Attempt: attempt, Err: errNoAnswer})
			}
			return
		}
		n.until = n.now.Add(n.truly(lifetime) + simTardy)
		n.say("%s holds for %v", n.name, lifetime)
		if attempt != 0 {
			n.step(vrrp.Held{Attempt: attempt})
		}
	})
}

func (n *simNode) takeOff(how string) {
	n.refreshAt, n.retryAt = time.Time{}, time.Time{}
	serial := n.apply(nil)
	n.off = serial
	n.again(serial, func() {
		if n.chance(5) {
			n.say("%s could not be told to let go", n.name)
			return
		}
		n.until = time.Time{}
		n.say("%s %s", n.name, how)
		if n.off == serial {
			n.do(n.machine.Off(n.clock()))
		}
	})
}

// apply has the kernel told something, unless an order comes that is newer.
func (n *simNode) apply(do func()) (serial int) {
	n.serial++
	if do != nil {
		n.again(n.serial, do)
	}
	return n.serial
}

func (n *simNode) again(serial int, do func()) {
	takes := 60 * time.Millisecond
	if n.chance(10) {
		takes = 400 * time.Millisecond
	}
	n.after(n.upTo(takes), n, n.life, func() {
		if n.serial == serial {
			do()
		}
	})
}

// advertise is heard by whom the segment carries it to.
func (n *simNode) advertise(a *vrrp.SendAdvert) {
	p := vrrp.Packet{VRID: 51, Priority: a.Priority, Interval: a.Interval, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
	for _, to := range n.nodes {
		if to != n && to.up && !n.wires && !to.wires {
			n.after(time.Millisecond, to, to.life, func() { to.step(vrrp.Advert{From: n.addr, Packet: &p}) })
		}
	}
}

func (n *simNode) probe(attempt uint64) {
	n.after(60*time.Millisecond, n, n.life, func() {
		done := vrrp.Probed{Attempt: attempt}
		for _, o := range n.nodes {
			if o != n && o.answers() && !n.wires && !o.wires {
				done.MAC = o.name
			}
		}
		n.step(done)
	})
}

// send brings an order to the store and its answer back. Both may be lost, be on
// their way for longer than anybody waits, and come twice.
func (n *simNode) send(o Order) {
	w, life, sent, answered := n.world, n.life, n.clock(), false
	answer := func(a Answer) {
		if !answered {
			answered = true
			a.Kind, a.Number, a.Sent = o.Kind, o.Number, sent
			n.do(n.machine.Answered(n.clock(), a))
		}
	}
	w.after(n.truly(o.Timeout), n, life, func() { answer(Answer{Err: errNoAnswer}) })
	for range 1 + w.rand.IntN(33)/32 {
		n.travel(func() {
			a := w.store.carryOut(o)
			read := time.Duration(0)
			if o.Kind == Renew {
				read = n.delay()
			}
			w.after(read, nil, 0, func() {
				if o.Kind == Renew && a.Done {
					a.Renewed = w.store.renew(o, a.Lease)
					a.Revision, a.Owner, a.Epoch = w.store.revision, w.store.owner, w.store.epoch
				}
				n.travel(func() { w.after(0, n, life, func() { answer(a) }) })
			})
		})
	}
}

func (n *simNode) delay() time.Duration {
	switch {
	case n.healed, !n.slow:
		return n.upTo(20 * time.Millisecond)
	case n.chance(20):
		return n.upTo(3 * simTTL)
	}
	return n.upTo(time.Second)
}

// travel has something done at the other end, if it gets there.
func (n *simNode) travel(arrive func()) {
	lost := n.cut || n.store.down || !n.healed && n.slow && n.chance(10)
	if !lost {
		epoch := n.store.epoch
		n.after(n.delay(), nil, 0, func() {
			if !n.cut && !n.store.down && n.store.epoch == epoch {
				arrive()
			}
		})
	}
}

// watch tells the machine what the store has, each time that it changes, late and
// sometimes twice, and in order.
func (n *simNode) watch() {
	life := n.life
	var look func()
	look = func() {
		if !n.cut && !n.store.down {
			s := n.store
			s.sweep()
			if s.epoch > n.view.Epoch || s.revision > n.view.Revision || n.chance(2) {
				n.view = s.view()
				n.do(n.machine.Seen(n.clock(), n.view))
			}
		}
		wait := 20 * time.Millisecond
		if n.slow && !n.healed {
			wait = n.upTo(2 * time.Second)
		}
		n.after(wait, n, life, look)
	}
	n.after(n.upTo(20*time.Millisecond), n, life, look)
}

func (n *simNode) thaw() {
	n.frozen = false
	missed := n.missed
	n.missed = nil
	for _, h := range missed {
		n.after(0, n, h.life, h.do)
	}
}

// simStore is the truth.
type simStore struct {
	world    *world
	epoch    uint64
	revision int64
	lastID   ID
	leases   map[ID]time.Time
	ttls     map[ID]time.Duration
	owner    Owner
	nodes    map[string]Candidate
	term     uint64
	// owned is the revision at which term began.
	owned    int64
	renewal  int64
	renewing ID
	down     bool
	// restoredAt is when it became a copy of itself.
	restoredAt time.Time
}

func newSimStore(w *world) *simStore {
	return &simStore{world: w, epoch: 1, revision: 1, leases: map[ID]time.Time{}, ttls: map[ID]time.Duration{}, nodes: map[string]Candidate{}}
}

// sweep ends leases whose time is over.
func (s *simStore) sweep() {
	for id, ends := range s.leases {
		if !s.world.now.Before(ends) {
			s.end(id)
		}
	}
}

func (s *simStore) end(id ID) {
	if _, ok := s.leases[id]; !ok {
		return
	}
	delete(s.leases, id)
	s.revision++
	if s.owner.Lease == id {
		s.world.say("store: the lease of %s ends", s.owner.Node)
		s.owner = Owner{}
	}
	if s.renewing == id {
		s.renewal, s.renewing = 0, 0
	}
	for name, c := range s.nodes {
		if c.Lease == id {
			delete(s.nodes, name)
		}
	}
}

func (s *simStore) view() View {
	v := View{Epoch: s.epoch, Revision: s.revision, Owner: s.owner, Renewal: s.renewal, Term: s.term}
	for _, c := range s.nodes {
		v.Candidates = append(v.Candidates, c)
	}
	slices.SortFunc(v.Candidates, func(a, b Candidate) int { return a.Addr.Compare(b.Addr) })
	return v
}

func (s *simStore) carryOut(o Order) Answer {
	s.sweep()
	a := Answer{Epoch: s.epoch, Lease: o.Lease}
	_, alive := s.leases[o.Lease]
	if o.Kind == Renew && o.Lease == 0 {
		s.lastID++
		a.Lease, alive = s.lastID, true
		s.ttls[a.Lease] = o.TTL
	}
	if !alive {
		a.Lost = true
		return a
	}
	switch o.Kind {
	case Renew:
		s.leases[a.Lease] = s.world.now.Add(s.ttls[a.Lease])
		a.Done, a.TTL = true, s.ttls[a.Lease]
	case Stand:
		s.stand(o)
		a.Done = true
	case Take:
		missed := o.Seen == 0 && s.owned > o.Viewed
		s.write(o, o.Lease, !missed && (!o.Unrenewed || o.Renewal == s.renewal), &a)
	case Pass:
		_, there := s.leases[o.To.Lease]
		s.write(o, o.To.Lease, there && s.nodes[o.To.Node].Revision == o.To.Revision, &a)
	case Resign:
		if a.Done = s.owner.Revision == o.Seen; a.Done {
			s.owner = Owner{}
			s.stand(o)
			s.world.say("store: %s resigns", o.Self.Node)
		}
		a.Revision, a.Owner = s.revision, s.owner
	case Leave:
		s.end(o.Lease)
		a.Done = true
	}
	return a
}

// renew writes the owner's renewal, if it is the owner and its lease lives.
func (s *simStore) renew(o Order, id ID) bool {
	s.sweep()
	if _, alive := s.leases[id]; !alive || o.Seen == 0 || s.owner.Revision != o.Seen {
		return false
	}
	s.revision++
	s.renewal, s.renewing = s.revision, id
	return true
}

func (s *simStore) stand(o Order) {
	s.revision++
	s.nodes[o.Self.Node] = Candidate{Record: o.Self, Lease: o.Lease, Revision: s.revision}
}

func (s *simStore) write(o Order, to ID, unchanged bool, a *Answer) {
	if a.Done = unchanged && s.owner.Revision == o.Seen; a.Done {
		s.revision++
		s.owner = o.Owner
		s.owner.Lease, s.owner.Revision = to, s.revision
		s.term, s.owned = o.Owner.Term, s.revision
		s.world.say("store: %s owns by %d, revision %d term %d", s.owner.Node, to, s.revision, s.term)
	}
	if !a.Done {
		a.Renewal = s.renewal
	}
	a.Revision, a.Owner = s.revision, s.owner
}
