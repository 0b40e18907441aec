package peer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// lan is an in-memory segment under virtual time. It drops, delays and doubles
// datagrams, and keeps a copy of each, as somebody on the segment could.
type lan struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	nodes  []*node
	flying []flight
	// drop and double are chances in percent; delay is the longest one.
	drop, double int
	delay        time.Duration
	// captured is all that was ever sent.
	captured []captive
	// observed, if set, is told what happens to a node's table.
	observed func(n *node, happened step)
}

// flight is a datagram on its way.
type flight struct {
	to *node
	at time.Time
	captive
}

// captive is a datagram as it was on the wire.
type captive struct {
	src   netip.Addr
	bytes []byte
}

// step is one thing that happened to a table: a datagram arrived, or else the
// node said hello, or looked at its deadline.
type step struct {
	at      time.Time
	arrived *captive
	greeted bool
}

// node is a station with everything this package has.
type node struct {
	lan  *lan
	name string
	addr netip.Addr
	keys func() *Keyring
	// lives counts starts.
	lives  uint64
	up     bool
	table  *Table
	sender *Sender
	beat   Beat
	says   Statement
	last   []Change
	// deaf refuses what others send.
	deaf bool
}

const eth0 = "eth0"

func newLAN(t *testing.T, seed uint64) *lan {
	return &lan{t: t, random: rand.New(rand.NewPCG(seed, 0)), now: epoch, delay: 2 * ms}
}

// join adds a node and starts it.
func (l *lan) join(number byte, keys func() *Keyring) *node {
	n := &node{
		lan: l, name: fmt.Sprintf("cp%d", number), keys: keys,
		addr: netip.AddrFrom4([4]byte{192, 0, 2, 10 + number}),
		says: Statement{
			Name: "apiserver", VIPs: addrs("192.0.2.10"), VRID: 51,
			Role: Backup, Band: Healthy, Priority: 200,
		},
	}
	l.nodes = append(l.nodes, n)
	n.start()
	return n
}

func unkeyed() *Keyring { return nil }

func (l *lan) keyed(lines ...string) func() *Keyring {
	return func() *Keyring { return ring(l.t, lines...) }
}

// self is the node's present life.
func (n *node) self() Self {
	self := Self{Name: n.name}
	copy(self.Boot[:], fmt.Sprintf("%s%5d", n.name, n.lives))
	copy(self.Secret[:], fmt.Sprintf("secret of %s %d", n.name, n.lives))
	return self
}

func (n *node) start() {
	n.lives++
	n.up = true
	n.table = n.newTable()
	n.sender = NewSender(n.keys())
	n.beat = Beat{}
}

func (n *node) newTable() *Table {
	table := NewTable(n.self(), n.keys())
	table.Watch([]Segment{{Interface: eth0, VIPs: addrs("192.0.2.10"), Open: true}})
	return table
}

// run lets time pass.
func (l *lan) run(d time.Duration) {
	for end := l.now.Add(d); ; {
		next := l.next()
		if next.After(end) {
			l.now = end
			return
		}
		if next.After(l.now) {
			l.now = next
		}
		l.turn()
	}
}

// next is when something happens.
func (l *lan) next() time.Time {
	next := l.now.Add(time.Hour)
	for _, f := range l.flying {
		if f.at.Before(next) {
			next = f.at
		}
	}
	for _, n := range l.nodes {
		if !n.up {
			continue
		}
		for _, d := range []time.Time{n.beat.Deadline(), n.table.Deadline()} {
			if (!d.IsZero() || !n.beat.started) && d.Before(next) {
				next = d
			}
		}
	}
	return next
}

func (l *lan) turn() {
	arrived := slices.Clone(l.flying)
	l.flying = l.flying[:0]
	for _, f := range arrived {
		if f.at.After(l.now) {
			l.flying = append(l.flying, f)
		} else if f.to.up && !f.to.deaf {
			f.to.hear(f.captive)
		}
	}
	for _, n := range l.nodes {
		if !n.up {
			continue
		}
		n.act(n.table.Tick(l.now))
		n.tell(step{at: l.now})
		if n.beat.Due(l.now) {
			n.say()
		}
	}
}

func (n *node) tell(happened step) {
	if n.lan.observed != nil {
		n.lan.observed(n, happened)
	}
}

func (n *node) hear(c captive) {
	changes, _ := n.table.Received(n.lan.now, &Datagram{Src: c.src, Interface: eth0, HopLimit: HopLimit, Payload: c.bytes})
	n.act(changes)
	n.tell(step{at: n.lan.now, arrived: &c})
}

func (n *node) act(changes []Change) {
	n.last = append(n.last, changes...)
	if slices.Contains(changes, Change(Waiting{})) {
		n.beat.Ask(n.lan.now)
	}
}

// change makes the node say something new.
func (n *node) change(f func(*Statement)) {
	f(&n.says)
	n.beat.News(n.lan.now)
}

func (n *node) say() {
	l := n.lan
	h := Hello{Statements: []Statement{n.says}, Link: Link{Addresses: []netip.Addr{n.addr}}}
	n.table.Greet(l.now, &h)
	n.tell(step{at: l.now, greeted: true})
	n.sender.Each(&h, n.addr, func(datagram []byte) {
		c := captive{n.addr, slices.Clone(datagram)}
		l.captured = append(l.captured, c)
		for _, to := range l.nodes {
			if to == n {
				continue
			}
			copies := 1
			if l.random.IntN(100) < l.double {
				copies = 2
			}
			for range copies {
				if l.random.IntN(100) >= l.drop {
					late := time.Duration(l.random.Int64N(int64(l.delay) + 1))
					l.flying = append(l.flying, flight{to, l.now.Add(late), c})
				}
			}
		}
	})
}

// sees is what the node thinks of another one.
func (n *node) sees(other *node) Node {
	if known := n.table.Node(IDOf(other.name)); known != nil {
		return *known
	}
	return Node{}
}
