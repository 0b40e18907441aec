package vrrp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/vipd/vipd/election"
)

// lan is a segment with its hosts in virtual time: a queue of what is going to
// happen, and no goroutine.
type lan struct {
	rng   *rand.Rand
	now   time.Time
	todo  agenda
	order int
	hosts []*host
	// loss and twice are the shares of adverts that get lost and that arrive
	// twice; delay is the longest way.
	loss, twice float64
	delay       time.Duration
	// side parts the segment; deaf[a][b]: a does not hear b.
	side []int
	deaf [][]bool
	// router: there is one on the segment. proxy: it answers for any address.
	router, proxy bool
	// rewired is when it changed last who reaches whom.
	rewired time.Time
	// arrives[a][b] is when the last advert of b arrives at a.
	arrives [][]time.Time

	// told is called with each transition of a host, before it is carried out.
	told func(*host, Transition)
	// after is called when something has happened.
	after func()
	// lines is the trace.
	lines []string
}

// fence is the kernel lifetime of a held address.
const fence = 3 * time.Second

// host is a node: its kernel, and its daemon while there is one.
type host struct {
	lan     *lan
	index   int
	own     netip.Addr
	cfg     Config
	healthy bool
	duty    Duty

	// daemon is nil while it does not run.
	daemon *Machine
	// down: the host is off. unplugged: no carrier. frozen: the daemon is
	// stopped, its socket goes on queueing. paused: the whole host is stopped.
	down, unplugged, frozen, paused bool
	// mute: nobody gets what the host sends. deafened: it gets nothing.
	mute, deafened bool
	// refuses: the kernel refuses addresses. slow: orders take half a second.
	refuses, slow bool

	// queue is the daemon's socket, mailbox its other events.
	queue   []datagram
	mailbox []Event
	wakeAt  time.Time

	// wanted numbers the order to hold that stands; zero: none.
	wanted int
	orders int
	// onSince and onUntil are when the kernel had the address.
	onSince, onUntil time.Time
	pausedAt         time.Time
	probeStart       time.Time
}

type datagram struct {
	from    netip.Addr
	message []byte
}

// socketQueue is how many adverts a daemon's socket keeps.
const socketQueue = 64

func newLAN(seed uint64, hosts int) *lan {
	l := &lan{rng: rand.New(rand.NewPCG(seed, 0)), now: epoch, delay: 300 * time.Microsecond, side: make([]int, hosts)}
	for i := range hosts {
		l.deaf = append(l.deaf, make([]bool, hosts))
		l.arrives = append(l.arrives, make([]time.Time, hosts))
		l.hosts = append(l.hosts, &host{lan: l, index: i, own: netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), down: true})
	}
	return l
}

// in makes do happen after d.
func (l *lan) in(d time.Duration, do func()) {
	l.order++
	heap.Push(&l.todo, appointment{l.now.Add(d), l.order, do})
}

// run lets d pass.
func (l *lan) run(d time.Duration) {
	end := l.now.Add(d)
	for len(l.todo) > 0 && !l.todo[0].at.After(end) {
		next := heap.Pop(&l.todo).(appointment)
		l.now = next.at
		next.do()
		if l.after != nil {
			l.after()
		}
	}
	l.now = end
}

func (l *lan) trace(h *host, format string, args ...any) {
	who := "    "
	if h != nil {
		who = short(h.own) + " "
	}
	l.lines = append(l.lines, fmt.Sprintf("%10.4fs %s%s", l.now.Sub(epoch).Seconds(), who, fmt.Sprintf(format, args...)))
}

// tail is the end of the trace.
func (l *lan) tail(n int) string {
	if len(l.lines) > n {
		return "...\n" + strings.Join(l.lines[len(l.lines)-n:], "\n")
	}
	return strings.Join(l.lines, "\n")
}

// between is a random time from a to b.
func (l *lan) between(a, b time.Duration) time.Duration {
	return a + time.Duration(l.rng.Int64N(int64(b-a)+1))
}

func (l *lan) chance(p float64) bool { return l.rng.Float64() < p }

func (l *lan) rewire() { l.rewired = l.now }

// hears tells whether what b sends reaches a.
func (l *lan) hears(a, b *host) bool {
	return a != b && a.reachable() && b.reachable() && l.side[a.index] == l.side[b.index] &&
		!l.deaf[a.index][b.index] && !a.deafened && !b.mute
}

// answers tells whether a gets an answer of b's kernel.
func (l *lan) answers(a, b *host) bool { return l.hears(a, b) && l.hears(b, a) }

func (h *host) reachable() bool { return !h.down && !h.unplugged && !h.paused }

// runs tells whether the daemon can act.
func (h *host) runs() bool { return h.daemon != nil && !h.down && !h.frozen && !h.paused }

// has tells whether the kernel has the VIP.
func (h *host) has() bool {
	now := h.lan.now
	if h.paused {
		now = h.pausedAt
	}
	return !h.down && now.Before(h.onUntil)
}

// owns tells whether the daemon takes itself for the owner.
func (h *host) owns() bool { return h.daemon != nil && !h.down && h.daemon.Owns() }

func (l *lan) broadcast(from *host, message []byte) {
	for _, to := range l.hosts {
		if !l.hears(to, from) || l.chance(l.loss) {
			continue
		}
		copies := 1
		if l.chance(l.twice) {
			copies = 2
		}
		for range copies {
			l.in(l.wayTo(to, from), func() { to.receive(datagram{from.own, message}) })
		}
	}
}

// wayTo is how long the next advert takes; on one way none overtakes another.
func (l *lan) wayTo(to, from *host) time.Duration {
	at := l.now.Add(l.between(50*time.Microsecond, l.delay))
	if last := l.arrives[to.index][from.index]; at.Before(last) {
		at = last
	}
	l.arrives[to.index][from.index] = at
	return at.Sub(l.now)
}

func (h *host) receive(d datagram) {
	if !h.reachable() || h.daemon == nil || len(h.queue) == socketQueue {
		return
	}
	h.queue = append(h.queue, d)
	h.wake()
}

// start starts the daemon, on a host that may have been off.
func (h *host) start() {
	h.down = false
	h.daemon = New(h.cfg, h.has())
	h.queue, h.mailbox, h.wanted = nil, nil, 0
	h.wakeAt, h.probeStart = time.Time{}, time.Time{}
	h.lan.trace(h, "starts, priority %d, interval %v", h.cfg.Priority, h.cfg.Interval)
	h.tell(Health{Healthy: h.healthy})
	h.tell(SetDuty{Duty: h.duty, Reason: election.Drain})
	if !h.unplugged {
		h.tell(LinkUp{Own: h.own})
	}
}

// kill ends the daemon; the kernel keeps what it has.
func (h *host) kill() {
	h.daemon, h.wanted = nil, 0
	h.queue, h.mailbox = nil, nil
	h.lan.trace(h, "daemon killed")
}

func (h *host) crash() {
	h.kill()
	h.down, h.onUntil = true, time.Time{}
	h.lan.trace(h, "host off")
}

func (h *host) pause() {
	h.paused, h.pausedAt = true, h.lan.now
	h.lan.rewire()
	h.lan.trace(h, "host paused")
}

// resume continues a host whose clock stood still for the kernel, but not for
// the daemon.
func (h *host) resume() {
	if h.paused && h.pausedAt.Before(h.onUntil) {
		h.onUntil = h.onUntil.Add(h.lan.now.Sub(h.pausedAt))
	}
	h.paused = false
	h.lan.rewire()
	h.lan.trace(h, "host goes on")
	h.wake()
}

func (h *host) freeze() {
	h.frozen = true
	h.lan.trace(h, "daemon frozen")
}

func (h *host) thaw() {
	h.frozen = false
	h.lan.trace(h, "daemon goes on")
	h.wake()
}

func (h *host) unplug() {
	h.unplugged = true
	h.lan.rewire()
	h.lan.trace(h, "unplugged")
	h.tell(LinkDown{Reason: election.NoCarrier})
}

func (h *host) plug() {
	h.unplugged = false
	h.lan.rewire()
	h.lan.trace(h, "plugged in")
	h.tell(LinkUp{Own: h.own})
}

func (h *host) setHealth(healthy bool) {
	h.healthy = healthy
	h.lan.trace(h, "healthy: %v", healthy)
	h.tell(Health{Healthy: healthy})
}

func (h *host) setDuty(d Duty) {
	h.duty = d
	h.lan.trace(h, "duty: %v", [...]string{"serve", "drain", "resign"}[d])
	h.tell(SetDuty{Duty: d, Reason: election.Drain})
}

func (h *host) configure(cfg Config) {
	h.cfg = cfg
	h.lan.trace(h, "priority %d, interval %v", cfg.Priority, cfg.Interval)
	h.tell(Configure{Config: cfg})
}

func (h *host) tell(ev Event) {
	if h.daemon == nil {
		return
	}
	h.mailbox = append(h.mailbox, ev)
	h.wake()
}

// wake is a turn of the daemon's loop: what was received, what else happened,
// and then the timer.
func (h *host) wake() {
	if !h.runs() {
		return
	}
	for len(h.queue) > 0 {
		d := h.queue[0]
		h.queue = h.queue[1:]
		var p Packet
		if err := Parse(&Frame{Src: d.from, Dst: MulticastIPv4, TTL: TTL, Payload: d.message}, &p); err != nil {
			panic(fmt.Sprintf("an advert of our own is refused: %v", err))
		}
		h.step(Advert{From: d.from, Packet: &p})
	}
	for len(h.mailbox) > 0 {
		ev := h.mailbox[0]
		h.mailbox = h.mailbox[1:]
		h.step(ev)
	}
	if d := h.daemon.Deadline(); !d.IsZero() && !h.lan.now.Before(d) {
		h.step(Tick{})
	}
	h.sleep()
}

// sleep makes the loop wake at the machine's deadline, or a little later.
func (h *host) sleep() {
	d := h.daemon.Deadline()
	if d.IsZero() || h.wakeAt.After(h.lan.now) && !d.Before(h.wakeAt) {
		return
	}
	h.wakeAt = d.Add(h.lan.between(0, 200*time.Microsecond))
	if h.wakeAt.Before(h.lan.now) {
		h.wakeAt = h.lan.now
	}
	h.lan.in(h.wakeAt.Sub(h.lan.now), h.wake)
}

func (h *host) step(ev Event) {
	for _, a := range h.daemon.Step(h.lan.now, ev) {
		h.perform(a)
	}
}

func (h *host) perform(a Action) {
	l := h.lan
	switch a := a.(type) {
	case *SendAdvert:
		p := Packet{Version: a.Version, VRID: h.cfg.VRID, Priority: a.Priority, Interval: a.Interval, Addresses: h.cfg.Addresses, Checksum: a.Checksum}
		l.broadcast(h, p.Append(nil, h.own, MulticastIPv4))
	case Hold:
		h.orders++
		h.wanted = h.orders
		h.order(h.wanted, a.Attempt)
	case Release:
		h.wanted = 0
		l.in(l.between(100*time.Microsecond, 2*ms), func() {
			if h.wanted == 0 && !h.paused {
				h.onUntil = time.Time{}
			}
		})
	case Probe:
		h.probeStart = l.now
		l.in(60*ms, func() { h.tell(Probed{Attempt: a.Attempt, MAC: h.answering()}) })
	case Reach:
		l.in(60*ms, func() { h.tell(h.reach(a)) })
	case Transition:
		l.trace(h, "%v to %v, %s: %s", a.From, a.To, a.Reason, a.Detail)
		l.told(h, a)
	case Report:
		l.trace(h, "report %s: %s", reportWord(a.Kind), a.Detail)
	case Defend:
	default:
		panic("vrrp: unhandled action")
	}
}

// order carries an order to hold out, refreshes it while it stands, and tries
// on when the kernel refuses.
func (h *host) order(number int, attempt uint64) {
	took := h.lan.between(200*time.Microsecond, 10*ms)
	if h.slow {
		took = 500 * ms
	}
	h.lan.in(took, func() {
		if h.wanted != number {
			return
		}
		if h.refuses {
			h.tell(Held{Attempt: attempt, Err: errRefused})
			h.lan.in(100*ms, func() { h.again(number, attempt) })
			return
		}
		h.hold()
		h.tell(Held{Attempt: attempt})
		h.lan.in(fence/3, func() { h.again(number, attempt) })
	})
}

// again renews an order that still stands; a daemon that cannot run does so as
// soon as it can.
func (h *host) again(number int, attempt uint64) {
	switch {
	case h.wanted != number:
	case !h.runs():
		h.lan.in(50*ms, func() { h.again(number, attempt) })
	default:
		h.order(number, attempt)
	}
}

type refusal string

func (r refusal) Error() string { return string(r) }

const errRefused = refusal("the kernel refuses")

func (h *host) hold() {
	if h.down || h.paused {
		return
	}
	if !h.has() {
		h.onSince = h.lan.now
	}
	h.onUntil = h.lan.now.Add(fence)
}

// answering is who answers for the VIP: any kernel that has it.
func (h *host) answering() string {
	for _, o := range h.lan.hosts {
		if h.answeredBy(o) {
			return fmt.Sprintf("02:00:00:00:00:%02x", o.index)
		}
	}
	return ""
}

func (h *host) answeredBy(o *host) bool {
	return h.lan.answers(h, o) && o.has()
}

// reach is who answers this host: the other owner, the rest of the hosts, and
// the router if the segment has one.
func (h *host) reach(a Reach) Reached {
	ev := Reached{Attempt: a.Attempt, Other: Silent}
	for _, o := range h.lan.hosts {
		switch {
		case o == h:
		case o.own == a.Of && h.lan.answers(h, o):
			ev.Other = Hears
		case o.own == a.Of:
		default:
			ev.Asked++
			if h.lan.answers(h, o) {
				ev.Third++
			}
		}
	}
	if h.lan.proxy && ev.Other == Silent && !h.mute && !h.deafened {
		ev.Other = Unclear
	}
	if h.lan.router {
		ev.Asked++
		if h.reachable() && !h.mute && !h.deafened {
			ev.Third++
		}
	}
	return ev
}

// agenda is a heap of what is going to happen, in order of time.
type agenda []appointment

type appointment struct {
	at    time.Time
	order int
	do    func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].order < a[j].order
	}
	return a[i].at.Before(a[j].at)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}
