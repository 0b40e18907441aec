package speaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bfd"
)

// world is what a speaker touches: sessions that come up at once, and a watcher.
// It notes what was done, in order.
type world struct {
	mu       sync.Mutex
	story    []string
	sessions map[netip.Addr]*session
	// only4 are routers that agree to IPv4 only.
	only4 map[netip.Addr]bool
	// broken keeps a neighbour's session from being opened.
	broken map[netip.Addr]bool
	// memory is how much the process has.
	memory uint64
	// slowness is how long a removal takes.
	slowness time.Duration
}

type session struct {
	*world
	neighbor bgp.Neighbor
	// only4: the router agreed to IPv4 only.
	only4  bool
	routes []bgp.Route
	state  bgp.SessionState
	// received counts the router's routes; stuck: it does not come to say so.
	received uint64
	stuck    bool
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// told returns the story since it was asked for last.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	story := w.story
	w.story = nil
	return story
}

func (w *world) open(_ uint32, _ netip.Addr, n bgp.Neighbor, changed func()) (Session, error) {
	w.mu.Lock()
	broken := w.broken[n.Address]
	w.mu.Unlock()
	if broken {
		return nil, io.ErrUnexpectedEOF
	}
	w.note("%v: open, hold %v", n.Address, n.HoldTime)
	s := &session{world: w, neighbor: n, state: bgp.Established, only4: w.only4[n.Address]}
	w.mu.Lock()
	w.sessions[n.Address] = s
	w.mu.Unlock()
	changed()
	return s, nil
}

func (s *session) Announce(routes []bgp.Route) error {
	s.mu.Lock()
	same := slices.EqualFunc(routes, s.routes, bgp.Route.Equal)
	s.routes = routes
	s.mu.Unlock()
	if !same {
		s.note("%v: %d routes", s.neighbor.Address, len(routes))
	}
	return nil
}

func (s *session) Announced() ([]bgp.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.routes), func(r bgp.Route) bool { return s.only4 && r.Prefix.Addr().Is6() }), nil
}

func (s *session) State() bgp.NeighborReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bgp.NeighborReport{Address: s.neighbor.Address, ASN: s.neighbor.ASN, State: s.state}
}

func (s *session) become(state bgp.SessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

func (s *session) Reset(why string) error {
	s.note("%v: reset, %s", s.neighbor.Address, why)
	return nil
}

func (s *session) Hasten() error {
	s.note("%v: tried anew", s.neighbor.Address)
	return nil
}

func (s *session) Close(why string) error {
	s.note("%v: close, %s", s.neighbor.Address, why)
	return nil
}

func (s *session) Remove() error {
	time.Sleep(s.slowness)
	s.note("%v: remove", s.neighbor.Address)
	return nil
}

func (w *world) Configure(ways []Way) {
	var all []string
	for _, way := range ways {
		all = append(all, way.Neighbor.String())
	}
	w.note("watch [%s]", strings.Join(all, " "))
}

func (s *session) Received() uint64 {
	s.mu.Lock()
	stuck, n := s.stuck, s.received
	s.mu.Unlock()
	if stuck {
		time.Sleep(2 * answering)
	}
	return n
}

// has is how much memory the process has; it is asked for until it is too much.
func (w *world) has() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	has := w.memory
	if has > MaxMemory {
		w.memory = 0 // the process has ended
	}
	return has
}

func (w *world) collapse(neighbor netip.Addr, why string) { w.note("%v: %s", neighbor, why) }

func (w *world) Lateness() time.Duration { return 0 }
func (w *world) Refused() uint64         { return 0 }

// play runs a speaker in a bubble; the story talks as the daemon does.
func play(t *testing.T, story func(w *world, s *Speaker, d *daemon)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{sessions: map[netip.Addr]*session{}, broken: map[netip.Addr]bool{}, only4: map[netip.Addr]bool{}}
		s := New(Edges{Open: w.open, Watcher: w, Memory: w.has, Collapse: w.collapse}, slog.New(slog.DiscardHandler))
		ours, theirs := net.Pipe()
		d := &daemon{t: t, conn: ours}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Run(context.Background(), theirs)
			_ = theirs.Close()
		}()
		go d.listen()
		story(w, s, d)
		_ = ours.Close()
		<-ended
	})
}

// daemon is the other end of the socket.
type daemon struct {
	t    *testing.T
	conn net.Conn

	mu   sync.Mutex
	last bgp.Report
}

func (d *daemon) listen() {
	messages := bgp.NewReader(d.conn)
	for {
		m, err := messages.Read()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.last = *m.Report
		d.mu.Unlock()
	}
}

// say wants something for a while, saying it each beat.
func (d *daemon) say(w bgp.Wanted, span time.Duration) {
	d.t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(bgp.Beat) {
		if err := bgp.Write(d.conn, bgp.Message{Wanted: &w}); err != nil {
			d.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func (d *daemon) report() bgp.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

func one() netip.Addr { return netip.MustParseAddr("192.0.2.1") }
func two() netip.Addr { return netip.MustParseAddr("192.0.2.2") }

// wanted is a route for two neighbours, of which the first is watched.
func wanted() bgp.Wanted {
	return bgp.Wanted{
		ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11"),
		Neighbors: []bgp.Neighbor{
			{Address: one(), ASN: 64500, HoldTime: 9 * time.Second, BFD: bgp.BFD{Enabled: true, Multiplier: 3}},
			{Address: two(), ASN: 64500, HoldTime: 9 * time.Second},
		},
		Routes: []bgp.Route{{Prefix: netip.MustParsePrefix("198.51.100.10/32")}},
	}
}

// sorted is a story whose parts have no order among them.
func sorted(story []string) []string {
	slices.Sort(story)
	return story
}

func same(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func opened() []string {
	return []string{"192.0.2.1: 1 routes", "192.0.2.1: open, hold 9s", "192.0.2.2: 1 routes", "192.0.2.2: open, hold 9s", "watch [192.0.2.1]"}
}

func TestWhatIsWantedIsDoneOnce(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		d.say(wanted(), rewatchInterval-bgp.Beat)
		same(t, opened(), sorted(w.told()))
		r := d.report()
		if len(r.Neighbors) != 2 || len(r.Neighbors[0].Announced) != 1 || r.Neighbors[0].BFD != bgp.BFDDown || r.Neighbors[1].BFD != "" {
			t.Errorf("report: %+v", r)
		}
	})
}

func TestAChangeTouchesOnlyWhatChanged(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.told()
		next := wanted()
		next.Neighbors[1].HoldTime = 3 * time.Second
		d.say(next, time.Second)
		story := slices.DeleteFunc(w.told(), func(line string) bool { return line == "watch [192.0.2.1]" }) // it waits for nobody
		same(t, []string{
			"192.0.2.2: close, the configuration of the neighbour changed", "192.0.2.2: open, hold 3s", "192.0.2.2: 1 routes",
		}, story)
		next.Routes = nil
		d.say(next, time.Second)
		same(t, []string{"192.0.2.1: 0 routes", "192.0.2.2: 0 routes", "watch [192.0.2.1]"}, sorted(w.told()))
		next.Neighbors = next.Neighbors[1:]
		d.say(next, time.Second)
		same(t, []string{"192.0.2.1: remove", "watch []"}, sorted(w.told()))
	})
}

// A router that knows this node by one address refuses a second session, by another
// address of its own.
func TestASessionIsTriedAnewWhenAnotherNeighbourIsLeft(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.sessions[two()].become(bgp.Idle)
		w.told()
		without := wanted()
		without.Neighbors = without.Neighbors[1:]
		d.say(without, time.Second)
		same(t, []string{"192.0.2.1: remove", "192.0.2.2: tried anew", "watch []"}, sorted(w.told()))
	})
}

// Two connections from one address would have the router choose among them.
func TestARemovedNeighbourIsGoneBeforeItComesBack(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.slowness = 2 * time.Second
		without := wanted()
		without.Neighbors = without.Neighbors[1:]
		d.say(without, time.Second)
		w.told()
		d.say(wanted(), 3*time.Second)
		story := slices.DeleteFunc(w.told(), func(line string) bool { return line == "watch [192.0.2.1]" })
		same(t, []string{"192.0.2.1: remove", "192.0.2.1: open, hold 9s", "192.0.2.1: 1 routes"}, story)
	})
}

func TestARemovedNeighbourIsToldBeforeTheSpeakerEnds(t *testing.T) {
	var w *world
	play(t, func(now *world, _ *Speaker, d *daemon) {
		w = now
		d.say(wanted(), time.Second)
		w.slowness = 2 * time.Second
		without := wanted()
		without.Neighbors = without.Neighbors[1:]
		d.say(without, bgp.Beat)
		w.told()
	})
	if story := w.told(); !slices.Contains(story, "192.0.2.1: remove") {
		t.Errorf("the speaker ended after %v", story)
	}
}

func TestADaemonThatFallsSilentIsForsaken(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.told()
		time.Sleep(bgp.Lapse + spread)
		synctest.Wait()
		same(t, []string{"192.0.2.1: 0 routes", "192.0.2.2: 0 routes", "watch []"}, sorted(w.told()))
		d.say(wanted(), time.Second)
		same(t, []string{"192.0.2.1: 1 routes", "192.0.2.2: 1 routes", "watch [192.0.2.1]"}, sorted(w.told()))
	})
}

func TestADaemonThatEndsIsFollowed(t *testing.T) {
	var w *world
	play(t, func(now *world, _ *Speaker, d *daemon) {
		w = now
		d.say(wanted(), time.Second)
		w.told()
	})
	story := w.told()
	if len(story) != 5 || story[2] != "watch []" {
		t.Errorf("routes, then BFD, then sessions: %v", story)
	}
	same(t, []string{
		"192.0.2.1: 0 routes", "192.0.2.1: close, vipd has ended", "192.0.2.2: 0 routes", "192.0.2.2: close, vipd has ended", "watch []",
	}, sorted(story))
}

func TestALostWayResetsTheSessionAndWithdrawsNothing(t *testing.T) {
	play(t, func(w *world, s *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.told()
		s.Saw(one(), Sight{State: bfd.Init})
		s.Saw(one(), Sight{State: bfd.Down})
		d.say(wanted(), time.Second)
		same(t, nil, w.told()) // never up is no loss
		s.Saw(one(), Sight{State: bfd.Up})
		s.Saw(one(), Sight{State: bfd.Down, Remote: bfd.AdminDown, Diagnostic: bfd.NeighborSignaledDown})
		d.say(wanted(), time.Second)
		same(t, nil, w.told()) // RFC 5882 4.2
		s.Saw(one(), Sight{State: bfd.Up})
		s.Saw(one(), Sight{State: bfd.Down, Remote: bfd.Down, Diagnostic: bfd.DetectionTimeExpired})
		d.say(wanted(), time.Second)
		if got := w.told(); len(got) == 0 || got[0] != "192.0.2.1: reset, BFD: nothing was heard for the detection time" {
			t.Errorf("told %v", got)
		}
	})
}

func TestASessionThatCannotBeBegunIsTriedAgain(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		w.broken[one()] = true
		d.say(wanted(), time.Second)
		if r := d.report(); r.Neighbors[0].Error == "" || r.Neighbors[1].State != bgp.Established {
			t.Errorf("report: %+v", r.Neighbors)
		}
		w.mu.Lock()
		w.broken[one()] = false
		w.mu.Unlock()
		d.say(wanted(), retryOpen)
		if r := d.report(); r.Neighbors[0].Error != "" || r.Neighbors[0].State != bgp.Established {
			t.Errorf("report: %+v", r.Neighbors[0])
		}
	})
}

func TestAnUnusableNeighbourIsNotTried(t *testing.T) {
	play(t, func(w *world, _ *Speaker, d *daemon) {
		next := wanted()
		next.Neighbors[0].Unusable = "no password"
		d.say(next, time.Second)
		same(t, []string{"192.0.2.2: 1 routes", "192.0.2.2: open, hold 9s", "watch []"}, sorted(w.told()))
		if r := d.report().Neighbors[0]; r.State != bgp.Unusable || r.Error != "no password" {
			t.Errorf("report: %+v", r)
		}
	})
}

// A way that cannot be watched at the start, without a route or a free port, is
// watched as soon as it can.
func TestAWayThatCouldNotBeWatchedIsTriedAgain(t *testing.T) {
	play(t, func(w *world, s *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.told()
		s.Saw(one(), Sight{Err: errors.New("no route")})
		d.say(wanted(), 2*rewatchInterval)
		if got := w.told(); !slices.Contains(got, "watch [192.0.2.1]") {
			t.Errorf("told %v", got)
		}
		s.Saw(one(), Sight{State: bfd.Up})
		d.say(wanted(), 2*rewatchInterval)
		if got := w.told(); len(got) > 0 {
			t.Errorf("watched already, and told %v", got)
		}
	})
}

// What this side cannot do says nothing about the neighbour.
func TestAWayThatCannotBeWatchedAnyMoreIsNoLoss(t *testing.T) {
	play(t, func(w *world, s *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		s.Saw(one(), Sight{State: bfd.Up})
		d.say(wanted(), time.Second)
		w.told()
		s.Saw(one(), Sight{State: bfd.Down, Err: errors.New("no memory")})
		d.say(wanted(), time.Second)
		if got := w.told(); slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "reset") }) {
			t.Errorf("told %v", got)
		}
		if r := d.report().Neighbors[0]; r.BFD != bgp.BFDDown || r.Error != "no memory" {
			t.Errorf("report: %+v", r)
		}
	})
}

func TestASessionIsTriedAnewWhenTheWayIsThereAgain(t *testing.T) {
	play(t, func(w *world, s *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		w.told()
		w.sessions[one()].become(bgp.Active)
		s.Saw(one(), Sight{State: bfd.Down})
		s.Saw(one(), Sight{State: bfd.Up})
		d.say(wanted(), time.Second)
		same(t, nil, w.told()) // it is being tried already
		w.sessions[one()].become(bgp.Established)
		s.Saw(one(), Sight{State: bfd.Down, Remote: bfd.Down, Diagnostic: bfd.NeighborSignaledDown})
		d.say(wanted(), time.Second)
		w.sessions[one()].become(bgp.Idle)
		s.Saw(one(), Sight{State: bfd.Up})
		d.say(wanted(), time.Second)
		same(t, []string{"192.0.2.1: reset, BFD: the neighbour said down", "192.0.2.1: tried anew"}, w.told())
		for range 3 {
			s.Saw(one(), Sight{State: bfd.Down})
			s.Saw(one(), Sight{State: bfd.Up})
			d.say(wanted(), time.Second)
		}
		same(t, nil, w.told()) // not again and again
	})
}

func TestWhatWasSeenOfAWayIsForgottenWithIt(t *testing.T) {
	play(t, func(_ *world, s *Speaker, d *daemon) {
		d.say(wanted(), time.Second)
		s.Saw(one(), Sight{State: bfd.Up})
		d.say(wanted(), time.Second)
		if r := d.report().Neighbors[0]; r.BFD != bgp.BFDUp {
			t.Errorf("report: %+v", r)
		}
		without := wanted()
		without.Neighbors[0].BFD.Enabled = false
		d.say(without, time.Second)
		d.say(wanted(), time.Second)
		if r := d.report().Neighbors[0]; r.BFD != bgp.BFDDown {
			t.Errorf("a session that begins anew is told to be %s", r.BFD)
		}
	})
}

func TestARouterThatLacksAFamilyIsAnErrorUnlessAnotherSessionIsOfThatFamily(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	const lacks = "the router did not agree to IPv6 unicast, and is not told 2001:db8:1::10/128; activate that family for this node at the router"
	rows := []struct {
		name      string
		neighbors []netip.Addr
		only4     map[netip.Addr]bool
		want      []string
	}{
		{"both agree", []netip.Addr{one(), two()}, nil, []string{"", ""}},
		{"one does not", []netip.Addr{one(), two()}, map[netip.Addr]bool{one(): true}, []string{lacks, ""}},
		{"each family has its own session", []netip.Addr{one(), six}, map[netip.Addr]bool{one(): true}, []string{"", ""}},
		{"the session over IPv6 does not carry it", []netip.Addr{one(), six}, map[netip.Addr]bool{one(): true, six: true}, []string{"", lacks}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(w *world, _ *Speaker, d *daemon) {
				w.only4 = row.only4
				both := wanted()
				both.Routes = append(both.Routes, bgp.Route{Prefix: netip.MustParsePrefix("2001:db8:1::10/128")})
				both.Neighbors = nil
				for _, a := range row.neighbors {
					both.Neighbors = append(both.Neighbors, bgp.Neighbor{Address: a, ASN: 64500, HoldTime: 9 * time.Second})
				}
				d.say(both, time.Second)
				var got []string
				for _, n := range d.report().Neighbors {
					got = append(got, n.Error)
				}
				same(t, row.want, got)
			})
		})
	}
}
