package bfd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wire is two tables with a lossless link of no length between them, in virtual
// time.
type wire struct {
	t        *testing.T
	now      time.Time
	ends     [2]*end
	cut      bool
	packets  []string
	silent   bool
	dropOnce func(from int, p *Packet) bool
}

// end is one side.
type end struct {
	table   *Table
	entry   *Entry
	changes []string
}

func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func connect(t *testing.T, a, b Config) *wire {
	w := &wire{t: t, now: start(), silent: true}
	for i, cfg := range []Config{a, b} {
		e := &end{}
		w.ends[i] = e
		e.table = NewTable(uint64(i+1), func(_ *Entry, p *Packet) { w.carry(i, p) }, func(x *Entry) {
			e.changes = append(e.changes, fmt.Sprintf("%s (%s)", x.State(), x.Diagnostic()))
		})
		e.entry = e.table.Add(w.now, Path{}, cfg)
	}
	return w
}

func (w *wire) carry(from int, p *Packet) {
	if !w.silent {
		w.packets = append(w.packets, fmt.Sprintf("%d: %s", from, describe(p)))
	}
	if w.cut || w.dropOnce != nil && w.dropOnce(from, p) {
		return
	}
	b := p.Append(nil)
	other := w.ends[1-from]
	if err := other.table.Receive(w.now, Path{}, b); err != nil {
		w.t.Errorf("refused: %v", err)
	}
}

func describe(p *Packet) string {
	words := []string{p.State.String()}
	if p.Poll {
		words = append(words, "poll")
	}
	if p.Final {
		words = append(words, "final")
	}
	return strings.Join(append(words, p.Transmit.String()), " ")
}

// run lets the time pass.
func (w *wire) run(d time.Duration) {
	until := w.now.Add(d)
	for {
		next := earliest(w.ends[0].table.Next(), w.ends[1].table.Next())
		if next.IsZero() || next.After(until) {
			w.now = until
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		for _, e := range w.ends {
			e.table.Run(w.now)
		}
	}
}

func (w *wire) states() string {
	return w.ends[0].entry.State().String() + " " + w.ends[1].entry.State().String()
}

func quickly() Config {
	return Config{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 3}
}

func TestTwoSessionsComeUp(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(2 * time.Second)
	if w.states() != "up up" {
		t.Fatal(w.states())
	}
	w.run(time.Minute)
	if len(w.ends[0].changes) > 2 {
		t.Errorf("it flapped: %v", w.ends[0].changes)
	}
}

// 6.8.2: detection takes the other side's multiplier times the greater of what
// it sends at and what this side receives at.
func TestSilenceIsDetectedInTheNegotiatedTime(t *testing.T) {
	rows := []struct {
		name         string
		mine, theirs Config
		want         time.Duration
	}{
		{"equal", quickly(), quickly(), 150 * time.Millisecond},
		{"theirs is slower", quickly(), Config{Transmit: 200 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 4}, 800 * time.Millisecond},
		{"mine receives slower", Config{Transmit: 50 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3}, quickly(), 900 * time.Millisecond},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := connect(t, row.mine, row.theirs)
			w.run(5 * time.Second)
			if w.states() != "up up" {
				t.Fatal(w.states())
			}
			if got := w.ends[0].entry.Detection(); got != row.want {
				t.Errorf("detection time %v, want %v", got, row.want)
			}
			w.cut = true
			w.run(row.want + time.Millisecond)
			if s := w.ends[0].entry; s.State() != Down || s.Diagnostic() != DetectionTimeExpired {
				t.Errorf("%s, %s", s.State(), s.Diagnostic())
			}
			w.cut = false
			w.run(5 * time.Second)
			if w.states() != "up up" {
				t.Errorf("mended: %s", w.states())
			}
		})
	}
}

// 6.8.6 and 6.2: what a session in each state makes of each that it hears.
func TestStateMachine(t *testing.T) {
	rows := []struct {
		state, heard, want State
	}{
		{Down, Down, Init}, {Down, Init, Up}, {Down, Up, Down}, {Down, AdminDown, Down},
		{Init, Down, Init}, {Init, Init, Up}, {Init, Up, Up}, {Init, AdminDown, Down},
		{Up, Down, Down}, {Up, Init, Up}, {Up, Up, Up}, {Up, AdminDown, Down},
		{AdminDown, Down, AdminDown}, {AdminDown, Init, AdminDown}, {AdminDown, Up, AdminDown},
	}
	for _, row := range rows {
		t.Run(fmt.Sprintf("%s hears %s", row.state, row.heard), func(t *testing.T) {
			s := NewSession(start(), quickly(), 1, 1)
			s.state = row.state
			p := up()
			p.State = row.heard
			s.Hear(start(), &p)
			if s.State() != row.want {
				t.Errorf("%s, want %s", s.State(), row.want)
			}
		})
	}
}

// 6.8.3: not faster than once a second while not up; 6.8.7: with jitter.
func TestPaceAndJitter(t *testing.T) {
	s := NewSession(start(), quickly(), 1, 1)
	now := start()
	var p Packet
	for range 200 {
		if !s.Tick(now) {
			t.Fatal("nothing to send at the deadline")
		}
		s.Packet(now, &p)
		if gap := s.Deadline().Sub(now); gap < 750*time.Millisecond || gap > time.Second {
			t.Fatalf("%v to the next packet", gap)
		}
		now = s.Deadline()
	}
	alone := quickly()
	alone.Multiplier = 1
	w := connect(t, alone, alone)
	w.run(3 * time.Second)
	for range 200 {
		now := w.now
		w.run(0)
		e := w.ends[0].entry
		if gap := e.sendAt.Sub(e.sentAt); gap < 37500*time.Microsecond || gap > 45*time.Millisecond {
			t.Fatalf("multiplier 1: %v between packets, not 75 to 90 %% of 50ms", gap)
		}
		w.run(earliest(w.ends[0].table.Next(), w.ends[1].table.Next()).Sub(now))
	}
}

// 6.5, 6.8.3: a change of intervals is agreed on by a poll.
func TestIntervalsChangeByAPoll(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(3 * time.Second)
	slower := Config{Transmit: 400 * time.Millisecond, Receive: 400 * time.Millisecond, Multiplier: 3}
	w.silent = false
	w.dropOnce = func(from int, p *Packet) bool { // the first poll is lost
		lost := from == 0 && p.Poll
		if lost {
			w.dropOnce = nil
		}
		return lost
	}
	w.ends[0].entry.Reconfigure(w.now, slower)
	w.ends[0].table.Settle(w.ends[0].entry)
	w.run(0)
	if gap := w.ends[0].entry.sending; gap != 50*time.Millisecond {
		t.Errorf("it sends each %v before the other side has agreed", gap)
	}
	w.run(2 * time.Second)
	if gap := w.ends[0].entry.sending; gap != 400*time.Millisecond || w.states() != "up up" {
		t.Errorf("it sends each %v, %s", gap, w.states())
	}
	said := strings.Join(w.packets, "\n")
	if !strings.Contains(said, "0: up poll 400ms") || !strings.Contains(said, "1: up final 50ms") {
		t.Errorf("packets:\n%s", said)
	}
	w.ends[0].entry.Reconfigure(w.now, quickly())
	w.ends[0].table.Settle(w.ends[0].entry)
	w.run(2 * time.Second)
	if w.ends[0].entry.listening != 50*time.Millisecond || w.states() != "up up" {
		t.Errorf("it listens for %v, %s", w.ends[0].entry.listening, w.states())
	}
}

// 6.8.16: admin-down is said, and is no failure that must be detected.
func TestStopIsSaid(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(3 * time.Second)
	w.ends[0].entry.Stop(w.now)
	w.ends[0].table.Settle(w.ends[0].entry)
	w.run(0)
	if w.states() != "admin-down down" || w.ends[1].entry.Diagnostic() != NeighborSignaledDown {
		t.Errorf("%s, %s", w.states(), w.ends[1].entry.Diagnostic())
	}
	w.silent = false
	w.run(3 * time.Second)
	n := 0
	for _, line := range w.packets {
		if line == "0: admin-down 1s" {
			n++
		}
	}
	if n < 3 || n > 4 || w.states() != "admin-down down" {
		t.Errorf("said %d times in 3 s, %s", n, w.states())
	}
}

// 6.8.1: what holds of the neighbour is forgotten with it.
func TestSilenceForgetsTheDiscriminator(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(3 * time.Second)
	w.cut = true
	w.run(time.Second)
	var p Packet
	w.ends[0].entry.Packet(w.now, &p)
	want := Packet{
		State: Down, Diagnostic: DetectionTimeExpired, Multiplier: 3, Mine: w.ends[0].entry.Mine(),
		Transmit: time.Second, Receive: 50 * time.Millisecond,
	}
	if diff := cmp.Diff(want, p); diff != "" { // and no echo is offered
		t.Errorf("-want +got:\n%s", diff)
	}
}

// 6.8.7: no periodic packets to one that is in demand mode, or wants none.
func TestQuiet(t *testing.T) {
	rows := []struct {
		name string
		make func(*Packet)
		want bool
	}{
		{"neither", func(*Packet) {}, false},
		{"demand mode", func(p *Packet) { p.Demand = true }, true},
		{"demand mode of one that is not up", func(p *Packet) { p.Demand, p.State = true, Init }, false},
		{"receive interval 0", func(p *Packet) { p.Receive = 0 }, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := connect(t, quickly(), quickly())
			w.run(3 * time.Second)
			s := w.ends[0].entry.Session
			p := up()
			p.Mine, p.Yours = w.ends[1].entry.Mine(), s.Mine()
			row.make(&p)
			for !s.sendAt.After(w.now) {
				w.run(time.Millisecond)
			}
			s.Hear(w.now, &p)
			if quiet := s.sendAt.IsZero(); quiet != row.want {
				t.Errorf("quiet: %v", quiet)
			}
		})
	}
}

func TestTableTellsSessionsApart(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(3 * time.Second)
	table, e := w.ends[0].table, w.ends[0].entry
	rows := []struct {
		name string
		path Path
		make func(*Packet)
		want error
	}{
		{"by discriminator", Path{}, func(*Packet) {}, nil},
		{"by path while it knows none", Path{}, func(p *Packet) { p.Yours, p.State = 0, Down }, nil},
		{"a discriminator of nobody", Path{}, func(p *Packet) { p.Yours++ }, ErrUnknownSession},
		{"another path with its discriminator", Path{Multihop: true}, func(*Packet) {}, ErrUnknownSession},
		{"another path", Path{Multihop: true}, func(p *Packet) { p.Yours, p.State = 0, Down }, ErrUnknownSession},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := up()
			p.Yours = e.Mine()
			row.make(&p)
			if err := table.Receive(w.now, row.path, p.Append(nil)); err != row.want { //nolint:errorlint // sentinels, unwrapped
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}

func TestManySessionsKeepTheirDeadlines(t *testing.T) {
	const sessions = 200
	sent := map[*Entry]int{}
	table := NewTable(1, func(e *Entry, _ *Packet) { sent[e]++ }, func(*Entry) {})
	now := start()
	var removed *Entry
	for i := range sessions {
		e := table.Add(now, Path{Multihop: i%2 == 1, Remote: addr(i)}, quickly())
		if i == sessions/2 {
			removed = e
		}
	}
	table.Remove(removed)
	for until := now.Add(10 * time.Second); now.Before(until); now = table.Next() {
		table.Run(now)
	}
	for e, n := range sent {
		if n < 10 || n > 14 || e == removed {
			t.Errorf("a session that is down sent %d packets in 10 s", n)
		}
	}
	if len(sent) != sessions-1 {
		t.Errorf("%d sessions sent", len(sent))
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	w := connect(t, quickly(), quickly())
	w.run(3 * time.Second)
	table, e := w.ends[0].table, w.ends[0].entry
	p := up()
	p.Yours, p.Mine = e.Mine(), w.ends[1].entry.Mine()
	b := p.Append(nil)
	w.cut = true
	if n := testing.AllocsPerRun(1000, func() {
		w.now = w.now.Add(40 * time.Millisecond)
		if err := table.Receive(w.now, Path{}, b); err != nil {
			t.Fatal(err)
		}
		table.Run(w.now)
	}); n > 0 {
		t.Errorf("%v allocations for a packet in and one out", n)
	}
}

func BenchmarkReceiveAndSend(b *testing.B) {
	table := NewTable(1, func(*Entry, *Packet) {}, func(*Entry) {})
	now := start()
	e := table.Add(now, Path{}, quickly())
	p := up()
	p.Yours = e.Mine()
	packet := p.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(40 * time.Millisecond)
		_ = table.Receive(now, Path{}, packet)
		table.Run(now)
	}
}

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
