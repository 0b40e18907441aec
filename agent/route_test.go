package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
)

func TestGrades(t *testing.T) {
	const delay, wait = 10 * time.Second, time.Second
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	type grades map[time.Duration]grade
	rows := []struct {
		name  string
		story func(r *route, at func(time.Duration) time.Time)
		band  election.Band
		want  grades
	}{
		{"a node that starts is unwell until it was healthy for return_delay",
			func(r *route, at func(time.Duration) time.Time) { r.judge(at(0), true) },
			election.Healthy, grades{0: unwell, delay - 1: unwell, delay: well}},
		{"an unhealthy one stays unwell", func(*route, func(time.Duration) time.Time) {}, election.Unhealthy, grades{time.Hour: unwell}},
		{"one that falls is unwell at once",
			func(r *route, at func(time.Duration) time.Time) { r.judge(at(0), true); r.judge(at(time.Hour), false) },
			election.Unhealthy, grades{time.Hour: unwell}},
		{"one that flaps waits twice as long",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.judge(at(time.Minute), false)
				r.judge(at(2*time.Minute), true)
			}, election.Healthy, grades{2*time.Minute + 2*delay - 1: unwell, 2*time.Minute + 2*delay: well}},
		{"but not for more than 32 times as long",
			func(r *route, at func(time.Duration) time.Time) {
				for i := range 100 {
					r.judge(at(time.Duration(i)*time.Second), i%2 == 1)
				}
			}, election.Healthy, grades{99*time.Second + 32*delay - 1: unwell, 99*time.Second + 32*delay: well}},
		{"flaps are forgotten after ten good minutes",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.judge(at(time.Minute), false)
				r.judge(at(2*time.Minute), true)
				r.judge(at(20*time.Minute), false)
				r.judge(at(21*time.Minute), true)
			}, election.Healthy, grades{21*time.Minute + delay: well}},
		{"a draining one leaves", func(r *route, at func(time.Duration) time.Time) { r.judge(at(0), true) }, election.Draining, grades{time.Hour: leaving}},
		{"one that gives up is worse first, then withdrawn",
			func(r *route, at func(time.Duration) time.Time) { r.judge(at(0), true); r.leave(at(time.Hour)) },
			election.Healthy, grades{time.Hour: leaving, time.Hour + wait - 1: leaving, time.Hour + wait: unannounced}},
		{"one that was draining for long is withdrawn at once",
			func(r *route, at func(time.Duration) time.Time) {
				r.grade(at(0), election.Draining)
				r.leave(at(time.Hour))
			}, election.Draining, grades{time.Hour: unannounced}},
		{"one that stays after all is as before",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.leave(at(time.Hour))
				r.stay()
			}, election.Healthy, grades{time.Hour: well}},
		{"a longer delay makes a node longer unwell that is not well yet",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.configure(at(delay-1), config.BGP{ReturnDelay: time.Hour})
			}, election.Healthy, grades{time.Hour - 1: unwell, time.Hour: well}},
		{"and a shorter one less long",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.configure(at(time.Second), config.BGP{ReturnDelay: 2 * time.Second})
			}, election.Healthy, grades{2*time.Second - 1: unwell, 2 * time.Second: well}},
		{"one that is well stays so under a longer delay",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.configure(at(delay), config.BGP{ReturnDelay: time.Hour})
			}, election.Healthy, grades{delay: well}},
		{"until health falls",
			func(r *route, at func(time.Duration) time.Time) {
				r.judge(at(0), true)
				r.configure(at(delay), config.BGP{ReturnDelay: time.Hour})
				r.judge(at(time.Hour), false)
				r.judge(at(2*time.Hour), true)
			}, election.Healthy, grades{3*time.Hour - 1: unwell, 3 * time.Hour: well}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := route{delay: delay, wait: wait}
			at := begin.Add
			row.story(&r, at)
			for d, want := range row.want {
				if got := r.grade(at(d), row.band); got != want {
					t.Errorf("after %v: %q, want %q", d, got, want)
				}
			}
		})
	}
}

func TestRoutesOfEachGrade(t *testing.T) {
	vip := netip.MustParseAddr("198.51.100.10")
	c := config.BGP{
		MED: 100, Communities: []string{"64512:100", "64512:1:1"},
		Unhealthy: config.Worse{Prepend: 3, MED: 1000, GracefulShutdown: true},
		Leaving:   config.Leaving{Worse: config.Worse{Prepend: 5, MED: 2000}},
	}
	large := []bgp.LargeCommunity{{Administrator: 64512, Data1: 1, Data2: 1}}
	own := bgp.Community(64512<<16 | 100)
	rows := map[grade]bgp.Route{
		well:    {MED: 100, LocalPreference: 100, Communities: []bgp.Community{own}, LargeCommunities: large},
		unwell:  {MED: 1000, Prepend: 3, Communities: []bgp.Community{own, bgp.GracefulShutdown}, LargeCommunities: large},
		leaving: {MED: 2000, Prepend: 5, Communities: []bgp.Community{own}, LargeCommunities: large},
	}
	phrase := phrasesOf(c)
	for as, want := range rows {
		want.Prefix = netip.PrefixFrom(vip, 32)
		if diff := cmp.Diff(want, phrase.route(vip, as), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s: -want +got\n%s", as, diff)
		}
	}
}

// routed is a configuration of a VIP that routers lead to.
const routed = `
vips: [{name: apiserver, addresses: [198.51.100.10], announce: bgp, election: none}]
bgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}], return_delay: 5s, leaving: {wait: 500ms}}
`

// fabric is the speaker of a node, and the paths of others. It implements Speaker
// and Paths.
type fabric struct {
	mu     sync.Mutex
	wanted bgp.Wanted
	beats  int
	// story are changes of what is announced: when, and how.
	began time.Time
	story []string
	last  string
	// other tells why no other node serves.
	other error
	// asked are the routers that were asked last.
	asked []netip.Addr
	// routes are changes of the route to each address, as story has them.
	routes map[netip.Addr][]string
	read   map[netip.Addr]int
}

// note keeps what is said of each address that was said of once.
func (f *fabric) note(w bgp.Wanted) {
	now := map[netip.Addr]string{}
	for addr := range f.routes {
		now[addr] = "gone"
	}
	for _, r := range w.Routes {
		now[r.Prefix.Addr()] = fmt.Sprintf("med %d prepend %d", r.MED, r.Prepend)
	}
	if f.routes == nil {
		f.routes = map[netip.Addr][]string{}
	}
	for addr, what := range now {
		if all := f.routes[addr]; len(all) == 0 || !strings.HasSuffix(all[len(all)-1], what) {
			f.routes[addr] = append(all, fmt.Sprintf("%v %s", time.Since(f.began).Round(100*time.Millisecond), what))
		}
	}
}

// routesTo are the changes of the route to an address since told was called.
func (f *fabric) routesTo(addr netip.Addr) []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.routes[addr][f.read[addr]:]
}

func (f *fabric) Want(w bgp.Wanted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beats++
	f.wanted = w
	f.note(w)
	now := "nothing"
	for _, r := range w.Routes {
		now = fmt.Sprintf("%s med %d prepend %d", r.Prefix, r.MED, r.Prepend)
	}
	if now != f.last {
		f.last = now
		f.story = append(f.story, fmt.Sprintf("%v %s", time.Since(f.began).Round(100*time.Millisecond), now))
	}
}

// heard is how often something was said, newest what was said last.
func (f *fabric) heard() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beats
}

func (f *fabric) newest() bgp.Wanted {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}

func (f *fabric) Prove(_ context.Context, _ config.VIP, routers []netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = routers
	return f.other
}

// told is the story since a moment, with times counted from it.
func (f *fabric) told() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	story := f.story
	f.story = nil
	f.read = map[netip.Addr]int{}
	for addr, all := range f.routes {
		f.read[addr] = len(all)
	}
	f.began = time.Now()
	return story
}

const (
	wellRoute    = "198.51.100.10/32 med 100 prepend 0"
	unwellRoute  = "198.51.100.10/32 med 1000 prepend 3"
	leavingRoute = unwellRoute
)

// routedNode is a node of a fabric, before it starts.
func (l *lan) routedNode(file string) (*node, *fabric) {
	f := &fabric{began: time.Now()}
	n := l.bare(11, file)
	n.nics["lo"] = &nic{name: "lo", index: 99, up: true}
	n.edges = func(e *Edges) { e.Speaker, e.Paths = f, f }
	return n, f
}

func tellsRoutes(t *testing.T, f *fabric, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.told()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

func TestANodeAnnouncesByItsHealth(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(10 * time.Second)
		tellsRoutes(t, f, "0s nothing", "0s "+unwellRoute, "5s "+wellRoute)
		if !slices.Contains(n.listed("lo"), "198.51.100.10/32") {
			t.Errorf("lo has %v", n.listed("lo"))
		}
		n.tells("init -> owner: every-node", "owner -> owner: path-better")
		if e := n.status("apiserver").Election; e.Type != "none" || e.VRID != 0 {
			t.Errorf("status tells of %s with VRID %d", e.Type, e.VRID)
		}

		n.die()
		time.Sleep(10 * time.Second)
		tellsRoutes(t, f, "0s "+unwellRoute)
		n.recover()
		time.Sleep(time.Minute)
		tellsRoutes(t, f, "10s "+wellRoute) // twice the delay: it flapped
		n.tells("init -> owner: every-node", "owner -> owner: path-better", "owner -> owner: path-worse", "owner -> owner: path-better")
	})
}

// Routers that have no better path use an unhealthy node's, whose end sways them.
func TestTheEndOfAnUnhealthyPathIsTold(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, _ := l.routedAt(routed)
		shows := func(as string, until time.Time) {
			t.Helper()
			if v := n.status("apiserver"); v.AnnouncedAs != as || !v.HealthyAt.Equal(until) {
				t.Errorf("announced as %q until %v, want %q until %v", v.AnnouncedAs, v.HealthyAt, as, until)
			}
		}
		shows("healthy", time.Time{})
		n.die()
		time.Sleep(time.Minute)
		shows("unhealthy", time.Time{})
		if got := n.drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		shows("", time.Time{})
		n.tells("init -> owner: every-node", "owner -> owner: path-better", "owner -> owner: path-worse",
			"owner -> drained: drain", "drained -> drained: path-worse")
		history := n.process.agent.History()
		if why := history[2].Detail; !strings.HasPrefix(why, "this node is not healthy: check apiserver: connection refused; ") {
			t.Errorf("told of the check: %s", why)
		}
		if err := n.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		n.recover()
		synctest.Wait()
		shows("unhealthy", time.Now().Add(10*time.Second))
	})
}

func TestTheSpeakerHearsEachBeat(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Second)
		before := f.heard()
		time.Sleep(10 * time.Second)
		if got := f.heard() - before; got < 20 || got > 22 {
			t.Errorf("%d beats in 10 s", got)
		}
	})
}

func TestDrainOfARoutedVIP(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Minute)
		f.told()
		d := n.drain(DrainRequest{})
		if got := d.result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		d.told("apiserver: draining; serving on until a successor is heard", "apiserver: another node serves; withdrawing", "apiserver: withdrawn; other nodes serve")
		time.Sleep(time.Minute)
		tellsRoutes(t, f, "0s "+leavingRoute, "500ms nothing")
		if got := n.listed("lo"); len(got) > 0 {
			t.Errorf("lo has %v", got)
		}
		drained := []string{"init -> owner: every-node", "owner -> owner: path-better", "owner -> owner: path-worse", "owner -> drained: drain"}
		n.tells(drained...)
		if err := n.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		n.tells(append(drained, "drained -> owner: undrain", "owner -> owner: path-better")...)
		tellsRoutes(t, f, "0s "+wellRoute)
	})
}

func TestDrainOfARoutedVIPWithoutAnotherPath(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		f.other = errors.New("connection refused")
		n.start()
		time.Sleep(time.Minute)
		f.told()
		d := n.drain(DrainRequest{Timeout: 3 * time.Second})
		if got := d.result(); got != DrainNoSuccessor {
			t.Errorf("drain: %s", got)
		}
		d.told("apiserver: draining; serving on until a successor is heard", "apiserver: no other path to the VIP is known to work: connection refused; this node serves on")
		tellsRoutes(t, f, "0s "+leavingRoute, "3s "+wellRoute)
		n.tells("init -> owner: every-node", "owner -> owner: path-better", "owner -> owner: path-worse", "owner -> owner: path-better")
		if got := n.drain(DrainRequest{Force: true}).result(); got != DrainDone {
			t.Errorf("forced drain: %s", got)
		}
		if got := n.listed("lo"); len(got) > 0 {
			t.Errorf("after a forced drain lo has %v", got)
		}
	})
}

func TestAStopOfARoutedVIP(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Minute)
		f.told()
		n.terminate()
		tellsRoutes(t, f, "0s "+leavingRoute, "500ms nothing")
		if took := time.Since(f.began); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := n.listed("lo"); len(got) > 0 {
			t.Errorf("lo has %v", got)
		}
	})
}

func TestAReloadChangesRoutersAndRoutes(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Minute)
		f.told()
		before := f.newest().Generation
		n.mustReload(strings.Replace(strings.Replace(routed, "192.0.2.1,", "192.0.2.2,", 1), "asn: 64512,", "asn: 64512, med: 7,", 1))
		tellsRoutes(t, f, "0s 198.51.100.10/32 med 7 prepend 0")
		if w := f.newest(); w.Neighbors[0].Address != netip.MustParseAddr("192.0.2.2") || w.Generation == before {
			t.Errorf("wanted: %+v", w)
		}
		n.mustReload(strings.Replace(routed, "return_delay: 5s", "return_delay: 1h", 1))
		tellsRoutes(t, f, "0s "+wellRoute)
		n.mustReload(apiserver)
		time.Sleep(time.Second)
		tellsRoutes(t, f, "0s "+leavingRoute, "500ms nothing")
		if w := f.newest(); len(w.Neighbors) > 0 {
			t.Errorf("wanted: %+v", w)
		}
		n.awaitAt(StateOwner)
	})
}

func TestTheElectedOwnerAloneAnnounces(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		file := strings.Replace(routed, "election: none", "interface: eth0, vrrp: {vrid: 5}", 1)
		a, fa := l.routedNode(file)
		b := l.bare(12, file)
		b.nics["lo"] = &nic{name: "lo", index: 99, up: true}
		fb := &fabric{began: time.Now()}
		b.edges = func(e *Edges) { e.Speaker, e.Paths = fb, fb }
		a.start()
		time.Sleep(10 * time.Second)
		b.start()
		time.Sleep(time.Minute)
		tellsRoutes(t, fb, "10s nothing")
		fa.told()
		if got := a.drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		tellsRoutes(t, fa, "0s "+leavingRoute, "500ms nothing")
		tellsRoutes(t, fb, "0s "+wellRoute)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> drained: drain") // one path: nothing to spread
		if len(a.listed("lo")) > 0 || len(b.listed("lo")) != 1 {
			t.Errorf("a has %v, b has %v", a.listed("lo"), b.listed("lo"))
		}
	})
}

// Adverts go by a segment, whichever interface has the addresses.
func TestStatusTellsWhereAVIPIsHeldAndAdvertised(t *testing.T) {
	rows := []struct{ name, group, held, adverts string }{
		{"announced on its segment, there", "", "eth0", "eth0"},
		{"announced on a segment that is not there yet, by its name", "interface: eth7", "eth7", "eth7"},
		{"elected, and announced to routers: on lo, elected on the segment", "announce: bgp, interface: eth0", "lo", "eth0"},
		{"elected, and announced by another daemon: on lo, elected on the segment", "announce: local, interface: eth0", "lo", "eth0"},
		{"held by every node: on lo, and there are no adverts", "announce: bgp, election: none", "lo", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, _ := l.routedNode("vips: [{name: apiserver, addresses: [192.0.2.10], " + row.group + "}]\n" +
					"bgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}]}")
				n.start()
				time.Sleep(time.Second)
				s := n.status("apiserver")
				if s.Interface != row.held || s.Election.Interface != row.adverts {
					t.Errorf("held on %q, adverts on %q; want %q and %q", s.Interface, s.Election.Interface, row.held, row.adverts)
				}
			})
		})
	}
}

func TestStatusOfRouters(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, _ := l.routedNode(routed)
		n.start()
		time.Sleep(time.Second)
		router := netip.MustParseAddr("192.0.2.1")
		n.process.agent.Post(t.Context(), SpeakerChanged{Running: true, Restarts: 1, Report: bgp.Report{
			Lateness: 3 * time.Millisecond,
			Neighbors: []bgp.NeighborReport{{
				Address: router, ASN: 64500, State: bgp.Established, Age: time.Second, BFD: bgp.BFDUp,
				Announced: []bgp.Route{{Prefix: netip.MustParsePrefix("198.51.100.10/32")}},
			}},
		}})
		synctest.Wait()
		want := BGPStatus{
			Speaker: "running", Restarts: 1, BFDLatenessSeconds: 0.003,
			Neighbors: []NeighborStatus{{
				Address: router, ASN: 64500, State: bgp.Established, Since: time.Now().Add(-time.Second), BFD: bgp.BFDUp,
				Announced: []netip.Prefix{netip.MustParsePrefix("198.51.100.10/32")},
			}},
		}
		byValue := []cmp.Option{
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		}
		if diff := cmp.Diff(want, n.process.agent.Status().BGP, byValue...); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if len(n.logged("the BGP session is established")) != 1 {
			t.Error("it was not told once")
		}
	})
}

// A speaker that dies takes its sessions along: each is told, and so is since when.
func TestSessionsEndWithTheirSpeaker(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, _ := l.routedNode(routed)
		began := time.Now()
		n.start()
		router := func() NeighborStatus {
			synctest.Wait()
			return n.process.agent.Status().BGP.Neighbors[0]
		}
		shows := func(want bgp.SessionState, since time.Time) {
			t.Helper()
			if got := router(); got.State != want || !got.Since.Equal(since) {
				t.Errorf("%s since %v, want %s since %v", got.State, got.Since.Sub(began), want, since.Sub(began))
			}
		}
		shows(bgp.Idle, began)
		changes := func(ev SpeakerChanged) { n.process.agent.Post(t.Context(), ev) }
		up := bgp.NeighborReport{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: bgp.Established}
		time.Sleep(time.Minute)
		changes(SpeakerChanged{Running: true, Report: bgp.Report{Neighbors: []bgp.NeighborReport{up}}})
		shows(bgp.Established, time.Now())

		time.Sleep(time.Minute)
		died := time.Now()
		changes(SpeakerChanged{Restarts: 1, Error: "speaker: signal: killed"})
		shows(bgp.Idle, died)
		lost := n.logged("the BGP session is lost")
		if len(lost) != 1 || !strings.Contains(lost[0], "neighbor=192.0.2.1") || !strings.Contains(lost[0], "signal: killed") {
			t.Errorf("logged %q", lost)
		}
		time.Sleep(time.Minute)
		changes(SpeakerChanged{Restarts: 2, Error: "speaker: signal: killed"})
		shows(bgp.Idle, died)
		if again := n.logged("the BGP session is lost"); len(again) != 1 {
			t.Errorf("logged %q", again)
		}

		time.Sleep(time.Minute)
		n.mustReload(strings.Replace(routed, "192.0.2.1,", "192.0.2.2,", 1))
		shows(bgp.Idle, time.Now())
	})
}
