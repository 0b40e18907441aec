package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/election/vrrp"
)

// lan is an Ethernet segment in memory: hosts, each with a kernel, and a client
// whose neighbour cache decides where packets to a VIP go. It belongs into a
// synctest bubble. Its lock is the only one of all fakes.
type lan struct {
	t *testing.T

	mu    sync.Mutex
	hosts []*host
	// delay is how long an advert travels; lost tells which do not arrive.
	delay time.Duration
	lost  func(from, to *host) bool
	// hushed: no hello gets through; hidden tells which do not arrive.
	hushed bool
	hidden func(from, to *host) bool
	// lives counts lives of daemons, for what each draws at random.
	lives uint64
	// tardy is how late kernels take off what has had its time.
	tardy time.Duration
	// sole: an address is never to be answered for by two hosts.
	sole bool
	// part is the part of a partitioned segment that a host is in; the client is
	// in part 0.
	part map[*host]int

	// cache is the client's neighbour cache.
	cache map[netip.Addr]*host
	// able is what the kernels of new hosts can do for open connections.
	able        Abilities
	connections []*connection
	// journal is what happened on the wire and to held addresses, in order.
	journal []happening
	served  map[netip.Addr]*service
}

// happening is one line of the journal.
type happening struct {
	at   time.Time
	who  string
	what string
}

// service is whether the client's packets to a VIP arrive where it is held.
type service struct {
	works   bool
	since   time.Time
	outages []time.Duration
}

func newLAN(t *testing.T) *lan {
	return &lan{
		t: t, part: map[*host]int{},
		cache: map[netip.Addr]*host{}, served: map[netip.Addr]*service{},
	}
}

// note writes to the journal and looks which VIPs can be reached now. Every
// change ends with it. The lock is held.
func (l *lan) note(who *host, format string, args ...any) {
	l.journal = append(l.journal, happening{at: time.Now(), who: who.name, what: fmt.Sprintf(format, args...)})
	l.trace()
	l.lookForTwo()
	for addr, h := range l.cache {
		s, ok := l.served[addr]
		if !ok {
			s = &service{since: time.Now()}
			l.served[addr] = s
		}
		works := l.serves(h, addr)
		if works == s.works {
			continue
		}
		// What begins and ends at one instant costs no packet.
		if lasted := time.Since(s.since); works && lasted > 0 && ok {
			s.outages = append(s.outages, lasted)
		}
		s.works, s.since = works, time.Now()
	}
}

// serves tells whether a connection that the client opens to an address at a host
// is taken, there or where the host passes it on to. The lock is held.
func (l *lan) serves(h *host, addr netip.Addr) bool {
	for range 2 {
		if h == nil || l.part[h] != 0 || !h.answers(addr) && !h.flows.onLo(addr) {
			return false
		}
		r := h.flows.rules[addr]
		if r == nil || !time.Now().Before(r.ends) || !r.Shadow {
			return true
		}
		hop := r.Owner
		if hop == (Hop{}) {
			hop = r.Prev
		}
		if hop == (Hop{}) {
			return true
		}
		h = l.at(hop)
	}
	return false
}

// lookForTwo fails the test if two hosts answer for the VIP and must not, cut off
// or not. The lock is held.
func (l *lan) lookForTwo() {
	if !l.sole {
		return
	}
	var names []string
	for _, h := range l.hosts {
		if h.answers(netip.MustParseAddr(theVIP)) {
			names = append(names, h.name)
		}
	}
	if len(names) > 1 {
		l.t.Errorf("%v: %v answer for the VIP at one time", time.Now().Format("15:04:05.000"), names)
	}
}

// outages are the times for which a VIP could not be reached after it had been.
func (l *lan) outages(addr string) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.served[netip.MustParseAddr(addr)]
	if !ok {
		return nil
	}
	all := slices.Clone(s.outages)
	if lasts := time.Since(s.since); !s.works && lasts > 0 {
		all = append(all, lasts)
	}
	return all
}

// reaches is the name of the host where the client's packets to addr are
// answered; empty if they are not.
func (l *lan) reaches(addr string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := netip.MustParseAddr(addr)
	h := l.cache[a]
	if h == nil || l.part[h] != 0 || !h.answers(a) {
		return ""
	}
	return h.name
}

// holders names the hosts that have the address.
func (l *lan) holders(addr string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, h := range l.hosts {
		if h.answers(netip.MustParseAddr(addr)) {
			names = append(names, h.name)
		}
	}
	return names
}

// since returns what happened from a time on, as "who what".
func (l *lan) since(from time.Time, keep func(happening) bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.journal {
		if !e.at.Before(from) && keep(e) {
			lines = append(lines, e.who+" "+e.what)
		}
	}
	return lines
}

// times returns when the host did something, counted from a time on.
func (l *lan) times(from time.Time, who, what string) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, e := range l.journal {
		if !e.at.Before(from) && e.who == who && e.what == what {
			all = append(all, e.at.Sub(from))
		}
	}
	return all
}

// split parts the segment; the client stays with the first hosts.
func (l *lan) split(first, second []*node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range first {
		l.part[n.host] = 0
	}
	for _, n := range second {
		l.part[n.host] = 1
		l.note(n.host, "is cut off")
	}
}

func (l *lan) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.part)
	l.note(l.hosts[0], "sees the segment whole again")
}

// lose makes adverts disappear.
func (l *lan) lose(lost func(from, to *host) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = lost
}

// carries tells whether frames get from one host to another. The lock is held.
func (l *lan) carries(from, to *host) bool {
	return from != to && l.part[from] == l.part[to]
}

// socket is one host's advert socket.
type socket struct {
	host    *host
	process *process
	nic     *nic
	ipv6    bool
	wake    func()

	joined  bool
	closed  bool
	queue   []vrrp.Frame
	refused map[string]uint64
}

func (s *socket) Receive(f *vrrp.Frame) bool {
	l := s.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s.queue) == 0 {
		return false
	}
	*f, s.queue = s.queue[0], s.queue[1:]
	return true
}

// Send stalls while the process is frozen: that is how the loop of an owner is
// frozen inside a bubble. What arrives meanwhile waits, as its timer does.
func (s *socket) Send(src, dst netip.Addr, payload []byte) error {
	s.process.pass()
	l := s.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.process.dead:
		return nil
	case s.closed || s.host.nics[s.nic.name] != s.nic:
		return fmt.Errorf("send on %s: no such device", s.nic.name)
	case s.host.muted != nil:
		return s.host.muted
	}
	l.note(s.host, "adverts %d", payload[2])
	f := vrrp.Frame{Src: src, Dst: dst, MAC: s.host.mac, TTL: vrrp.TTL, Payload: slices.Clone(payload)}
	if !s.nic.up {
		return nil
	}
	for _, h := range l.hosts {
		if !l.carries(s.host, h) || l.lost != nil && l.lost(s.host, h) {
			continue
		}
		for _, to := range h.sockets {
			if to.takes(f) {
				l.deliver(to, f)
			}
		}
	}
	return nil
}

// takes tells whether the frame is for the socket. The lock is held.
func (s *socket) takes(f vrrp.Frame) bool {
	if s.closed || !s.nic.up || s.ipv6 != f.Dst.Is6() {
		return false
	}
	return f.Dst.IsMulticast() && s.joined || s.nic.has(f.Dst)
}

// deliver queues a frame after the segment's delay. The lock is held.
func (l *lan) deliver(to *socket, f vrrp.Frame) {
	if l.delay == 0 {
		to.queue = append(to.queue, f)
		to.wake()
		return
	}
	time.AfterFunc(l.delay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !to.closed {
			to.queue = append(to.queue, f)
			to.wake()
		}
	})
}

func (s *socket) Multicast(on bool) error {
	s.host.lan.mu.Lock()
	defer s.host.lan.mu.Unlock()
	s.joined = on
	return nil
}

func (s *socket) Refused() map[string]uint64 {
	s.host.lan.mu.Lock()
	defer s.host.lan.mu.Unlock()
	all := map[string]uint64{}
	for reason, n := range s.refused {
		all[reason] = n
	}
	return all
}

func (s *socket) Close() error {
	l := s.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	s.closed = true
	s.host.sockets = slices.DeleteFunc(s.host.sockets, func(o *socket) bool { return o == s })
	return nil
}

// announce tells the client and the other hosts where an address is. The lock
// is held.
func (l *lan) announce(from *host, addr netip.Addr) {
	if l.part[from] == 0 {
		l.cache[addr] = from
	}
	l.note(from, "announces %v", addr)
	for _, h := range l.hosts {
		if l.carries(from, h) {
			h.claims.tell(claimed{addr: addr, mac: from.station()})
		}
	}
}

// answerer is the station that answers for an address when asker asks.
func (l *lan) answerer(asker *host, addr netip.Addr) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if l.carries(asker, h) && h.answers(addr) {
			return h.station()
		}
	}
	return ""
}

// feed hands values to its followers in order, without making the teller wait.
type feed[T any] struct {
	mu        sync.Mutex
	followers map[*follower[T]]struct{}
}

type follower[T any] struct {
	waiting []T
	ready   chan struct{}
}

func (f *feed[T]) tell(v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for o := range f.followers {
		o.waiting = append(o.waiting, v)
		select {
		case o.ready <- struct{}{}:
		default:
		}
	}
}

// follow calls fn for each value told from now on, until done is closed.
func (f *feed[T]) follow(done <-chan struct{}, first func(), fn func(T)) {
	o := &follower[T]{ready: make(chan struct{}, 1)}
	f.mu.Lock()
	if f.followers == nil {
		f.followers = map[*follower[T]]struct{}{}
	}
	f.followers[o] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.followers, o)
	}()
	first()
	for {
		select {
		case <-o.ready:
		case <-done:
			return
		}
		f.mu.Lock()
		waiting := o.waiting
		o.waiting = nil
		f.mu.Unlock()
		for _, v := range waiting {
			fn(v)
		}
	}
}
