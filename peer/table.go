package peer

import (
	"bytes"
	"iter"
	"net/netip"
	"slices"
	"time"
)

const (
	// Lifetime is how long a peer counts as alive after a hello: three missed
	// ones.
	Lifetime = 3 * Interval
	// Retention is how long a peer that is gone stays in the table, at the
	// least; one that left stays for the longest grace it named.
	Retention = 10 * time.Minute

	// maxPeers and maxStrangers bound the table, and with it the echoes in a
	// hello. Strangers are senders of authentic hellos that have proven nothing
	// yet.
	maxPeers     = 32
	maxStrangers = 8
	// maxMembers bounds the groups kept of one peer.
	maxMembers = 256
	// maxPast bounds the earlier lives that are remembered.
	maxPast = 64
)

// Self is the node that a Table belongs to.
type Self struct {
	Name string
	// Boot and Secret are random, drawn at the start of the daemon.
	Boot   Boot
	Secret [32]byte
}

// Segment says whose hellos count on an interface.
type Segment struct {
	Interface string
	// VIPs are this node's groups there.
	VIPs []netip.Addr
	// Listed are addresses of peers: configured, or heard in the election.
	Listed []netip.Addr
	// Open: without a key, a node that shares a VIP counts even if it is not
	// listed. It is for multicast; with configured peers only those count.
	Open bool
}

// Table is what a node knows of others. It belongs to one goroutine.
type Table struct {
	self       Self
	id         ID
	keys       *Keyring
	segments   []Segment
	challenges challenges
	// namesake is when another node was last heard to have this node's name.
	namesake time.Time

	peers     []*entry // in the order of their IDs
	strangers []stranger
	past      []life

	due     time.Time
	parser  Parser
	hello   Hello
	changes []Change
}

// entry is a peer with what only the Table needs to know.
type entry struct {
	Node
	window window
	// nonce is what the peer wants to see echoed.
	nonce Nonce
	// echoed is when the peer last echoed a nonce of this node.
	echoed time.Time
	// keep is how long the peer stays in the table after it was heard last.
	keep time.Duration
	// namesake is when a node of the same name was last heard.
	namesake time.Time
	// restarted: the life that begins is not the first one known.
	restarted bool
}

// alive reports whether the peer was heard within Lifetime.
func (e *entry) alive(now time.Time) bool {
	return e.Condition == Alive && now.Sub(e.Heard) < Lifetime
}

// life is an earlier life of a peer, or one of a namesake. It is remembered for
// as long as a nonce counts that it echoed, so that nothing of it can be
// replayed.
type life struct {
	id     ID
	boot   Boot
	window window
	heard  time.Time
}

// stranger is a sender of authentic hellos that has not echoed anything yet.
type stranger struct {
	boot  Boot
	nonce Nonce
	heard time.Time
}

// NewTable returns an empty table. With a nil keyring no hello is
// authenticated.
func NewTable(self Self, keys *Keyring) *Table {
	return &Table{self: self, id: IDOf(self.Name), keys: keys, challenges: newChallenges(self.Secret)}
}

// Watch says on which interfaces hellos count and whose; it replaces what was
// said before.
func (t *Table) Watch(segments []Segment) { t.segments = segments }

// Rekey changes the keys. Peers that are not authenticated do not survive the
// setting of a key, which the returned changes tell; they are valid until the
// next call.
func (t *Table) Rekey(now time.Time, keys *Keyring) []Change {
	t.changes = t.changes[:0]
	t.keys = keys
	if keys != nil {
		t.forget(now, func(e *entry) bool { return !e.Authenticated })
	}
	t.plan()
	return t.changes
}

// Namesake reports whether another node has this node's name.
func (t *Table) Namesake(now time.Time) bool {
	return within(now, t.namesake, Lifetime)
}

// Greet fills in what a hello says of the Table's own doing: who sends it, in
// which life, the nonce to echo, and echoes for all who were heard.
func (t *Table) Greet(now time.Time, h *Hello) {
	h.ID, h.Name, h.Boot = t.id, t.self.Name, t.self.Boot
	h.Nonce = t.challenges.nonce(now)
	h.Echoes = h.Echoes[:0]
	for _, e := range t.peers {
		if within(now, e.Overheard, Lifetime) {
			h.Echoes = append(h.Echoes, e.nonce)
		}
	}
	for _, s := range t.strangers {
		if within(now, s.heard, Lifetime) {
			h.Echoes = append(h.Echoes, s.nonce)
		}
	}
}

// All yields the peers in the order of their IDs.
func (t *Table) All() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for _, e := range t.peers {
			if !yield(&e.Node) {
				return
			}
		}
	}
}

// Node returns the peer with this ID, nil if there is none.
func (t *Table) Node(id ID) *Node {
	if e := t.entry(id); e != nil {
		return &e.Node
	}
	return nil
}

func (t *Table) entry(id ID) *entry {
	if i, found := t.search(id); found {
		return t.peers[i]
	}
	return nil
}

func (t *Table) search(id ID) (int, bool) {
	return slices.BinarySearchFunc(t.peers, id, func(e *entry, id ID) int {
		return bytes.Compare(e.ID[:], id[:])
	})
}

// within reports whether at, if it is set, is less than age ago.
func within(now, at time.Time, age time.Duration) bool {
	return !at.IsZero() && now.Sub(at) < age
}

func (t *Table) tell(c Change) { t.changes = append(t.changes, c) }
