package speaker

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bfd"
)

const (
	// spread is how long a withdrawal is given to reach the neighbours before what
	// follows tears the sessions down. BGP knows no receipt.
	spread = 200 * time.Millisecond
	// lapseGrace is how long words of the daemon that are on their way may take.
	lapseGrace = 50 * time.Millisecond
	// rewatchInterval is how often ways whose BFD session is not up are looked at
	// anew: what kept one from being watched may be gone, and the way may lead
	// from another address.
	rewatchInterval = 5 * time.Second
)

// Speaker serves one daemon.
type Speaker struct {
	edges Edges
	log   *slog.Logger
	// wake: there is something to report.
	wake chan struct{}

	// What follows belongs to Run.

	wanted    bgp.Wanted
	applied   bool
	neighbors map[netip.Addr]*neighbor
	// removed are neighbours that are configured no more, until they are gone.
	removed map[netip.Addr]*neighbor
	lapse   *time.Timer

	mu    sync.Mutex
	sight map[netip.Addr]Sight
	// missed are ways that were up and are not.
	missed map[netip.Addr]bool
	turns  []turn
}

// turn is a way that was lost, or is there.
type turn struct {
	neighbor netip.Addr
	// lost is why; empty: it is there.
	lost string
}

// New returns a speaker that has not started.
func New(edges Edges, log *slog.Logger) *Speaker {
	return &Speaker{
		edges: edges, log: log, wake: make(chan struct{}, 1),
		neighbors: map[netip.Addr]*neighbor{}, removed: map[netip.Addr]*neighbor{},
		sight: map[netip.Addr]Sight{}, missed: map[netip.Addr]bool{},
	}
}

// Run serves until the daemon's end of the socket is closed or ctx ends. Before
// it returns, nothing is announced any more and the neighbours know.
func (s *Speaker) Run(ctx context.Context, daemon io.ReadWriter) {
	wants, ended := make(chan bgp.Wanted), make(chan struct{})
	defer close(ended)
	go s.read(daemon, wants, ended)
	s.lapse = time.NewTimer(bgp.Lapse)
	defer s.lapse.Stop()
	report := time.NewTicker(bgp.ReportInterval)
	defer report.Stop()
	rewatch := time.NewTicker(rewatchInterval)
	defer rewatch.Stop()
	weigh := time.NewTicker(weighing)
	defer weigh.Stop()
	for {
		select {
		case w, more := <-wants:
			if !s.heard(w, more) {
				return
			}
		case <-s.lapse.C:
			// A host that was paused lets time run out for both sides at once: what
			// the daemon says may be on its way.
			select {
			case w, more := <-wants:
				if !s.heard(w, more) {
					return
				}
			case <-time.After(lapseGrace):
				s.forsake()
			}
		case <-rewatch.C:
			if s.applied && s.blind() {
				s.watch(ways(s.wanted))
			}
		case <-weigh.C:
			s.weigh()
		case <-report.C:
			s.report(daemon)
		case <-s.wake:
			s.follow()
			s.report(daemon)
		case <-ctx.Done():
			s.farewell("vipd stops")
			return
		}
	}
}

// blind tells whether a way that is to be watched is not seen to be up.
func (s *Speaker) blind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, way := range ways(s.wanted) {
		if s.sight[way.Neighbor].State != bfd.Up {
			return true
		}
	}
	return false
}

// watch watches exactly these ways, and forgets what was seen of others.
func (s *Speaker) watch(ways []Way) {
	s.edges.Watcher.Configure(ways)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.sight {
		if !slices.ContainsFunc(ways, func(w Way) bool { return w.Neighbor == n }) {
			delete(s.sight, n)
			delete(s.missed, n)
		}
	}
}

// heard takes what the daemon wants; false: it has ended.
func (s *Speaker) heard(w bgp.Wanted, more bool) bool {
	if !more {
		s.farewell("vipd has ended")
		return false
	}
	s.lapse.Reset(bgp.Lapse)
	s.apply(w)
	return true
}

// read hands over what the daemon wants, until it is gone or says what can not
// be understood.
func (s *Speaker) read(daemon io.Reader, wants chan<- bgp.Wanted, ended <-chan struct{}) {
	defer close(wants)
	messages := bgp.NewReader(daemon)
	for {
		m, err := messages.Read()
		if err != nil {
			s.log.Debug("the daemon is gone", "error", err)
			return
		}
		if m.Wanted == nil {
			continue
		}
		select {
		case wants <- *m.Wanted:
		case <-ended:
			return
		}
	}
}

// apply brings everything to what the daemon wants.
func (s *Speaker) apply(w bgp.Wanted) {
	if s.applied && reflect.DeepEqual(w, s.wanted) {
		return
	}
	local := s.wanted.ASN == w.ASN && s.wanted.RouterID == w.RouterID
	s.wanted, s.applied = w, true
	s.leave(w)
	maps.DeleteFunc(s.removed, func(_ netip.Addr, n *neighbor) bool { return n.over() })
	for _, n := range w.Neighbors {
		former := s.neighbors[n.Address]
		if former == nil || !local || former.wanted.Session() != n.Session() {
			s.replace(former, n)
		}
		s.neighbors[n.Address].announce(w.Routes, owed(n, w))
	}
	s.watch(ways(w))
	s.changed()
}

// leave parts from neighbours that are not wanted any more. A router has one session
// with this node, and has refused one with another of its own addresses until now.
func (s *Speaker) leave(w bgp.Wanted) {
	wanted := map[netip.Addr]bool{}
	for _, n := range w.Neighbors {
		wanted[n.Address] = true
	}
	before := len(s.neighbors)
	for addr, n := range s.neighbors {
		if !wanted[addr] {
			n.remove()
			s.removed[addr] = n
			delete(s.neighbors, addr)
		}
	}
	if len(s.neighbors) < before {
		for _, n := range s.neighbors {
			n.regain("another neighbour was left")
		}
	}
}

// replace begins a neighbour, in place of one that is configured otherwise.
func (s *Speaker) replace(former *neighbor, n bgp.Neighbor) {
	if former != nil {
		former.close("the configuration of the neighbour changed")
	} else {
		former = s.removed[n.Address] // which may not be gone yet
		delete(s.removed, n.Address)
	}
	next := &neighbor{
		wanted: n, asn: s.wanted.ASN, routerID: s.wanted.RouterID,
		open: s.edges.Open, log: s.log, changed: s.changed,
	}
	next.begin(former)
	s.neighbors[n.Address] = next
}

func ways(w bgp.Wanted) []Way {
	var all []Way
	for _, n := range w.Neighbors {
		if n.BFD.Enabled && n.Unusable == "" {
			all = append(all, Way{
				Neighbor: n.Address, Source: n.Source, Multihop: n.Multihop > 0,
				Config: bfd.Config{Transmit: n.BFD.Transmit, Receive: n.BFD.Receive, Multiplier: n.BFD.Multiplier},
			})
		}
	}
	return all
}

// forsake withdraws everything: the daemon is frozen, and its addresses will be
// off this node soon. BFD ends after that, so that routers do not take the
// withdrawal for less than it is.
func (s *Speaker) forsake() {
	if len(s.neighbors) == 0 {
		return
	}
	s.log.Error("the daemon does not answer; its routes are withdrawn until it does", "after", bgp.Lapse)
	s.withdraw()
	s.watch(nil)
	s.applied = false
}

func (s *Speaker) withdraw() {
	for _, n := range s.neighbors {
		n.announce(nil, nil)
	}
	if len(s.neighbors) > 0 {
		time.Sleep(spread)
	}
}

// farewell ends everything in the order that loses least: routes, BFD, sessions.
func (s *Speaker) farewell(why string) {
	s.withdraw()
	s.watch(nil)
	for _, n := range s.neighbors {
		n.close(why)
	}
	for _, all := range []map[netip.Addr]*neighbor{s.neighbors, s.removed} {
		for _, n := range all {
			<-n.done
		}
	}
}

// Saw tells what became of the way to a neighbour. It is for any goroutine, and
// does not wait. Up and then not up is the loss of the neighbour; never up is
// none.
func (s *Speaker) Saw(neighbor netip.Addr, now Sight) {
	s.mu.Lock()
	before := s.sight[neighbor]
	s.sight[neighbor] = now
	// RFC 5882 4.2: what an operator took down is no loss. Nor is a way that this
	// side cannot watch any more.
	if before.State == bfd.Up && now.State == bfd.Down && now.Remote != bfd.AdminDown && now.Err == nil {
		s.turns = append(s.turns, turn{neighbor, "BFD: " + now.Diagnostic.String()})
	}
	if now.State == bfd.Up && s.missed[neighbor] {
		s.turns = append(s.turns, turn{neighbor: neighbor})
	}
	if before.State == bfd.Up || now.State == bfd.Up {
		s.missed[neighbor] = now.State != bfd.Up
	}
	s.mu.Unlock()
	s.log.Info("BFD", "neighbor", neighbor, "from", before.State.String(), "to", now.State.String(), "detail", now.Diagnostic.String(), "error", now.Err)
	s.changed()
}

// follow resets the sessions whose way was lost, and tries those again whose way
// is there. Routes stay as they are: the neighbour gets them again when it is
// back.
func (s *Speaker) follow() {
	s.mu.Lock()
	turns := s.turns
	s.turns = nil
	s.mu.Unlock()
	for _, t := range turns {
		n := s.neighbors[t.neighbor]
		switch {
		case n == nil:
		case t.lost == "":
			n.regain("BFD is up")
		default:
			n.lose(t.lost)
		}
	}
}

func (s *Speaker) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// report tells the daemon how things are. A daemon that does not read is about
// to be noticed otherwise.
func (s *Speaker) report(daemon io.Writer) {
	r := bgp.Report{Neighbors: []bgp.NeighborReport{}, Lateness: s.edges.Watcher.Lateness(), Refused: s.edges.Watcher.Refused()}
	for _, w := range s.wanted.Neighbors {
		if n := s.neighbors[w.Address]; n != nil {
			r.Neighbors = append(r.Neighbors, s.watched(n.report(), w))
		}
	}
	if err := bgp.Write(daemon, bgp.Message{Report: &r}); err != nil {
		s.log.Debug("the daemon could not be told", "error", err)
	}
}

// watched adds what BFD knows.
func (s *Speaker) watched(r bgp.NeighborReport, w bgp.Neighbor) bgp.NeighborReport {
	if !w.BFD.Enabled {
		return r
	}
	s.mu.Lock()
	sight, seen := s.sight[w.Address]
	s.mu.Unlock()
	r.BFD = bgp.BFDDown
	if seen {
		r.BFD = bgp.BFDState(sight.State.String())
	}
	if sight.Err != nil && r.Error == "" {
		r.Error = sight.Err.Error()
	}
	return r
}
