package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/peer"
)

// wire is a socket that hands out the same frames again and again and drops what
// is sent, without allocating anything itself.
type wire struct {
	frames []vrrp.Frame
	left   int
}

func (w *wire) Receive(f *vrrp.Frame) bool {
	if w.left == 0 {
		return false
	}
	w.left--
	*f = w.frames[w.left%len(w.frames)]
	return true
}

func (*wire) Send(netip.Addr, netip.Addr, []byte) error { return nil }
func (*wire) Multicast(bool) error                      { return nil }
func (*wire) Refused() map[string]uint64                { return nil }
func (*wire) Close() error                              { return nil }

// silence is a socket for hellos that nothing comes out of.
type silence struct{}

func (silence) Receive(*peer.Datagram) bool               { return false }
func (silence) Send(netip.Addr, netip.Addr, []byte) error { return nil }
func (silence) Multicast(bool) error                      { return nil }
func (silence) Refused() map[string]uint64                { return nil }
func (silence) Close() error                              { return nil }

// idle are edges that do nothing, for a loop that is driven by hand.
type idle struct{ *wire }

func (i idle) Open(string, bool, chan struct{}) (AdvertSocket, error) { return i.wire, nil }
func (idle) OpenHello(string, bool, uint16, chan struct{}) (HelloSocket, error) {
	return silence{}, nil
}
func (idle) Hold(context.Context, string, []netip.Addr, time.Duration, time.Time) (bool, error) {
	return false, nil
}
func (idle) Reseat(context.Context, string, []netip.Addr, time.Duration, time.Time) (bool, error) {
	return false, nil
}
func (idle) Release(context.Context, string, []netip.Addr) error       { return nil }
func (idle) Announce(string, []netip.Addr) error                       { return nil }
func (idle) Probe(context.Context, string, netip.Addr) (string, error) { return "", nil }
func (idle) Knock(context.Context, string, netip.Addr, netip.AddrPort) (string, bool, error) {
	return "", false, nil
}

func (idle) Reach(context.Context, string, netip.Addr, [6]byte, []netip.Addr) (vrrp.Reached, error) {
	return vrrp.Reached{}, nil
}
func (idle) WatchHealth(context.Context, config.VIP, func(ProbeResult)) error { return nil }
func (idle) Follow(context.Context, string, func([]byte, error)) error        { return nil }
func (idle) Load() (Drained, error)                                           { return nil, nil }
func (idle) Store(Drained) error                                              { return nil }
func (idle) WatchClaims(context.Context, string, func(netip.Addr) bool, func(netip.Addr, string)) error {
	return nil
}

// turned returns an agent with so many groups whose loop a test turns by hand,
// and an advert of another owner for each.
func turned(tb testing.TB, groups int) (*Agent, *wire) {
	tb.Helper()
	return turnedWith(tb, groups, "", func(*Edges) {})
}

// turnedWith is turned with further lines of configuration, groups first, and
// further edges.
func turnedWith(tb testing.TB, groups int, more string, edges func(*Edges)) (*Agent, *wire) {
	tb.Helper()
	w := &wire{}
	var file strings.Builder
	file.WriteString("node: cp11\nvips:\n")
	peer := netip.MustParseAddr("192.0.2.250")
	for i := range groups {
		vip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 20)})
		fmt.Fprintf(&file, "  - {addresses: [%v], health: []}\n", vip)
		p := vrrp.Packet{VRID: byte(i + 20), Priority: 220, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{vip}}
		w.frames = append(w.frames, vrrp.Frame{
			Src: peer, Dst: vrrp.MulticastIPv4, TTL: vrrp.TTL, Payload: p.Append(nil, peer, vrrp.MulticastIPv4),
		})
	}
	file.WriteString(more)
	c, err := config.Parse("vipd.yaml", []byte(file.String()))
	if err != nil {
		tb.Fatal(err)
	}
	e := idle{w}
	all := Edges{Sockets: e, Hellos: e, Addresses: e, Announcer: e, Prober: e, Claims: e, Health: e, Files: e, Mark: e, Flows: oldKernel{}}
	edges(&all)
	a := New(Options{Config: c, Log: slog.New(slog.DiscardHandler), Edges: all})
	a.spawn = func(func(context.Context)) func() { return func() {} }
	now := time.Now()
	a.start(now)
	a.handle(now, InterfaceChanged{Interface: Interface{
		Name: "eth0", Index: 1, Up: true,
		Addresses: []Address{{Prefix: netip.MustParsePrefix("192.0.2.11/24")}},
	}})
	a.handle(now, InterfacesKnown{})
	a.turn(now)
	return a, w
}

// own makes the node the owner of all groups.
func (a *Agent) own(now time.Time) {
	for _, g := range a.groups {
		for g.machine.State() == vrrp.Backup {
			g.step(g.machine.Deadline(), vrrp.Tick{})
		}
		for attempt := uint64(1); !g.machine.Owns(); attempt++ {
			g.step(now, vrrp.Probed{Attempt: attempt})
		}
	}
	for g, o, ok := a.applier.take(); ok; g, o, ok = a.applier.take() {
		g.applied(now, applied{group: g, order: o, created: true})
	}
}

func TestHotPathsAllocateNothing(t *testing.T) {
	t.Run("a backup hears its owner", func(t *testing.T) {
		a, w := turned(t, 1)
		now := a.started
		a.turn(now)
		if n := testing.AllocsPerRun(1000, func() {
			w.left = 1
			now = now.Add(100 * time.Millisecond)
			a.turn(now)
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
		if s, alive := a.groups[0].machine.Owner(now); !alive || s.Priority != 220 {
			t.Error("the adverts were not heard")
		}
	})
	t.Run("adverts of groups that are not ours", func(t *testing.T) {
		a, w := turned(t, 1)
		w.frames[0].Payload = (&vrrp.Packet{VRID: 99, Priority: 1, Interval: time.Second, Addresses: w.hosts()}).Append(nil, w.frames[0].Src, w.frames[0].Dst)
		w.left = 1
		a.turn(a.started)
		if n := testing.AllocsPerRun(1000, func() { w.left = 1; a.turn(a.started) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
		if a.discarded["unknown-vrid"] == 0 {
			t.Error("the adverts were not counted")
		}
	})
	t.Run("an owner advertises", func(t *testing.T) {
		a, _ := turned(t, 1)
		a.own(a.started)
		g := a.groups[0]
		if !g.machine.Owns() || !g.holds() {
			t.Fatal("the node does not own")
		}
		now := g.machine.Deadline()
		if n := testing.AllocsPerRun(1000, func() {
			g.step(now, vrrp.Tick{})
			now = g.machine.Deadline()
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("a backup hears its owner, beside a VIP that is announced to routers", func(t *testing.T) {
		told := &told{}
		a, w := turnedWith(t, 1, beside, func(e *Edges) { e.Speaker = told })
		a.own(a.started)
		now := a.started
		a.turn(now)
		if len(told.last.Routes) != 1 || len(told.last.Neighbors) != 1 {
			t.Fatalf("the speaker was told %+v", told.last)
		}
		told.times = 0
		if n := testing.AllocsPerRun(1000, func() {
			w.left = 1
			now = now.Add(100 * time.Millisecond)
			a.turn(now)
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
		if told.times < 200 {
			t.Errorf("the speaker was told %d times in 100 s", told.times)
		}
	})
	t.Run("hellos that are refused", func(t *testing.T) {
		a, _ := turned(t, 1)
		for _, l := range a.links {
			l.hellos[0].HelloSocket = &flood{payload: []byte("not a hello of any version")}
		}
		a.turn(a.started)
		if n := testing.AllocsPerRun(100, func() { a.turn(a.started) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("the loop looks for its next deadline", func(t *testing.T) {
		a, _ := turned(t, 3)
		if n := testing.AllocsPerRun(1000, func() { a.deadline() }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// beside is a group that routers lead to.
const beside = `
  - {addresses: [198.51.100.10], announce: bgp, election: none, fence: 0s, health: []}
bgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}], communities: ["64512:1", "64512:1:1"]}
`

// told is a speaker that only listens.
type told struct {
	last  bgp.Wanted
	times int
}

func (s *told) Want(w bgp.Wanted) {
	s.last = w
	s.times++
}

func (w *wire) hosts() []netip.Addr { return []netip.Addr{w.frames[0].Src} }

// BenchmarkTurn is one turn of the loop of a node with a hundred groups.
func BenchmarkTurn(b *testing.B) {
	b.Run("backup of 100 groups that hears all owners", func(b *testing.B) {
		a, w := turned(b, 100)
		now := a.started
		b.ReportAllocs()
		for b.Loop() {
			w.left = len(w.frames)
			now = now.Add(100 * time.Millisecond)
			a.turn(now)
		}
	})
	b.Run("owner of 100 groups that advertises all", func(b *testing.B) {
		a, _ := turned(b, 100)
		a.own(a.started)
		now := a.started
		b.ReportAllocs()
		for b.Loop() {
			now = now.Add(100 * time.Millisecond)
			for _, g := range a.groups {
				g.refreshAt, g.retryAt = time.Time{}, time.Time{}
				g.announcements.stop()
			}
			a.turn(now)
		}
	})
	b.Run("nothing to do", func(b *testing.B) {
		a, _ := turned(b, 100)
		b.ReportAllocs()
		for b.Loop() {
			a.turn(a.started)
			a.deadline()
		}
	})
}
