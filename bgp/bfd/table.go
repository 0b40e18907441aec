package bfd

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Path tells sessions apart (RFC 5881 3, RFC 5883 3).
type Path struct {
	Source, Remote netip.Addr
	// Multihop: the neighbour is not on the link.
	Multihop bool
}

// Entry is a session of a table.
type Entry struct {
	*Session
	Path Path

	told  State
	index int
}

// Table is a set of sessions. It is not safe for concurrent use.
type Table struct {
	random *rand.Rand
	byMine map[uint32]*Entry
	byPath map[Path]*Entry
	queue  queue
	packet Packet
	// send and changed are the caller's.
	send    func(*Entry, *Packet)
	changed func(*Entry)
}

// NewTable returns an empty table. send is called for each packet that is to go
// out, which is valid during the call; changed for each session whose state
// changed. seed is drawn anew for each life of the program: discriminators come
// from it.
func NewTable(seed uint64, send func(*Entry, *Packet), changed func(*Entry)) *Table {
	return &Table{
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // discriminators tell apart, they do not protect
		byMine: map[uint32]*Entry{}, byPath: map[Path]*Entry{},
		send: send, changed: changed,
	}
}

// Add adds a session, which begins to send at the next Run. The path must not
// have one.
func (t *Table) Add(now time.Time, path Path, cfg Config) *Entry {
	mine := t.random.Uint32()
	for mine == 0 || t.byMine[mine] != nil {
		mine = t.random.Uint32()
	}
	e := &Entry{Session: NewSession(now, cfg, mine, t.random.Uint64()), Path: path, told: Down}
	t.byMine[mine], t.byPath[path] = e, e
	heap.Push(&t.queue, e)
	return e
}

// Remove removes a session.
func (t *Table) Remove(e *Entry) {
	delete(t.byMine, e.Mine())
	delete(t.byPath, e.Path)
	heap.Remove(&t.queue, e.index)
}

// Next is when Run has to be called; zero: when something was received.
func (t *Table) Next() time.Time {
	if len(t.queue) == 0 {
		return time.Time{}
	}
	return t.queue[0].Deadline()
}

// Receive takes a packet that came on a path (RFC 5880 6.8.6).
func (t *Table) Receive(now time.Time, path Path, b []byte) error {
	if err := Parse(b, &t.packet); err != nil {
		return err
	}
	e := t.byPath[path]
	if t.packet.Yours != 0 {
		e = t.byMine[t.packet.Yours]
	}
	if e == nil || e.Path != path {
		return ErrUnknownSession
	}
	e.Hear(now, &t.packet)
	t.settle(e)
	return nil
}

// Run does what is due at now. All packets that had arrived must have been
// received.
func (t *Table) Run(now time.Time) {
	for len(t.queue) > 0 && due(t.queue[0].Deadline(), now) {
		e := t.queue[0]
		if e.Tick(now) {
			e.Packet(now, &t.packet)
			t.send(e, &t.packet)
		}
		t.settle(e)
	}
}

// Settle has to be called when a session was changed by its own methods.
func (t *Table) Settle(e *Entry) { t.settle(e) }

// settle puts a session where its deadline belongs, and tells its state.
func (t *Table) settle(e *Entry) {
	heap.Fix(&t.queue, e.index)
	if state := e.State(); state != e.told {
		e.told = state
		t.changed(e)
	}
}

// queue orders sessions by their deadlines; those without come last.
type queue []*Entry

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	a, b := q[i].Deadline(), q[j].Deadline()
	if a.IsZero() || b.IsZero() {
		return !a.IsZero()
	}
	return a.Before(b)
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	e := x.(*Entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
