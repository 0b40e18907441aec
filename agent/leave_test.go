package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipd/vipd/bgp"
)

// slowly is routed with routers that need long to prefer another path.
func slowly(election string) string {
	file := strings.Replace(routed, "wait: 500ms", "wait: 20s", 1)
	return strings.Replace(file, "election: none", election, 1)
}

const elected = "interface: eth0, vrrp: {vrid: 5}"

func TestADrainMayTakeLongerThanItsTimeoutOnceAPathIsProved(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(slowly("election: none"))
		if got := n.drain(DrainRequest{Timeout: 30 * time.Second}).result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		tellsRoutes(t, f, "0s "+leavingRoute, "20s nothing")
		if n.hasRouted() {
			t.Error("lo has the address")
		}
	})
}

func TestADrainOfAnElectedOwnerMayTakeLongerThanItsTimeout(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a, b, _ := l.routedPair(slowly(elected))
		if got := a.drain(DrainRequest{Timeout: 30 * time.Second}).result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		if a.hasRouted() || !b.hasRouted() {
			t.Errorf("a has %v, b has %v", a.listed("lo"), b.listed("lo"))
		}
	})
}

// routedPair are two nodes, of which the first owns a VIP that routers lead to.
func (l *lan) routedPair(file string) (owner, backup *node, f *fabric) {
	owner, f = l.routedNode(file)
	backup = l.bare(12, file)
	backup.nics["lo"] = &nic{name: "lo", index: 99, up: true}
	other := &fabric{began: time.Now()}
	backup.edges = func(e *Edges) { e.Speaker, e.Paths = other, other }
	owner.start()
	time.Sleep(10 * time.Second)
	backup.start()
	time.Sleep(time.Minute)
	f.told()
	return owner, backup, f
}

// A stop comes when the route is withdrawn, and packets may still be on their
// way.
func TestAStopAwaitsTheEndOfADrain(t *testing.T) {
	for name, at := range map[string]time.Duration{"just after it is withdrawn": 1100 * time.Millisecond, "much later": 1900 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(strings.Replace(routed, "wait: 500ms", "wait: 1s", 1))
				n.drain(DrainRequest{})
				time.Sleep(at)
				began := f.began
				n.terminate()
				tellsRoutes(t, f, "0s "+leavingRoute, "1s nothing")
				if took := time.Since(began); n.hasRouted() || took != 2*time.Second {
					t.Errorf("after %v lo has %v", took, n.listed("lo"))
				}
			})
		})
	}
}

func TestAGroupThatIsMadeAnewDuringADrainIsAskedForToo(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(routed)
		f.setOther(errors.New("refused"))
		d := n.drain(DrainRequest{Timeout: time.Minute})
		time.Sleep(time.Second)
		n.mustReload(strings.Replace(routed, "announce: bgp", "announce: bgp, vrrp: {vrid: 7}", 1))
		time.Sleep(time.Second)
		f.setOther(nil)
		if got := d.result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		synctest.Wait()
		if n.hasRouted() {
			t.Error("lo has the address")
		}
	})
}

func (f *fabric) setOther(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.other = err
}

// A router without a session was told no way here, and may not be there at all.
func TestADrainAsksTheRoutersThatWereTold(t *testing.T) {
	first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	file := strings.Replace(routed, "[{address: 192.0.2.1, asn: 64500}]", "[{address: 192.0.2.1, asn: 64500}, {address: 192.0.2.2, asn: 64500}]", 1)
	rows := []struct {
		name          string
		first, second bgp.SessionState
		want          []netip.Addr
	}{
		{"both have sessions", bgp.Established, bgp.Established, []netip.Addr{first, second}},
		{"one is away", bgp.Active, bgp.Established, []netip.Addr{second}},
		{"both are away", bgp.Active, bgp.Idle, []netip.Addr{first, second}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(file)
				n.process.agent.Post(t.Context(), SpeakerChanged{Running: true, Report: bgp.Report{Neighbors: []bgp.NeighborReport{
					{Address: first, State: row.first}, {Address: second, State: row.second},
				}}})
				n.drain(DrainRequest{}).result()
				f.mu.Lock()
				defer f.mu.Unlock()
				if !slices.Equal(f.asked, row.want) {
					t.Errorf("asked %v, want %v", f.asked, row.want)
				}
			})
		})
	}
}

// What a drain without another path says is why, and not that nobody was heard.
func TestADrainThatIsTooShortForItsRoutersSaysSo(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, _ := l.routedAt(routed)
		d := n.drain(DrainRequest{Timeout: 400 * time.Millisecond})
		if got := d.result(); got != DrainNoSuccessor {
			t.Errorf("drain: %s", got)
		}
		d.told("apiserver: draining; serving on until a successor is heard",
			"apiserver: it was too early to look for another path: routers get bgp.leaving.wait, 500ms, to prefer one first; give the drain longer (--timeout, drain.timeout); this node serves on")
	})
}

// Another daemon announces the VIP from every node; vipd asks whether one of the
// others serves before it takes the address off.
func TestADrainOfWhatAnotherDaemonAnnounces(t *testing.T) {
	const local = "vips: [{name: apiserver, addresses: [198.51.100.10], announce: local, election: none}]"
	rows := []struct {
		name    string
		other   error
		request DrainRequest
		want    DrainResult
		last    string
		holds   bool
	}{
		{"another node serves", nil, DrainRequest{}, DrainDone, "withdrawn; other nodes serve", false},
		{"no other node does", errors.New("all came back"), DrainRequest{}, DrainNoSuccessor, "no other path to the VIP is known to work: all came back; this node serves on", true},
		{"no other node does, and it must be", errors.New("all came back"), DrainRequest{Force: true}, DrainDone, "given up without another path", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(local)
				f.setOther(row.other)
				d := n.drain(row.request)
				if got := d.result(); got != row.want {
					t.Errorf("drain: %s, want %s", got, row.want)
				}
				if last := d.lines[len(d.lines)-1]; last.Message != row.last {
					t.Errorf("told at last: %s", last.Message)
				}
				synctest.Wait()
				if n.hasRouted() != row.holds {
					t.Errorf("lo has %v", n.listed("lo"))
				}
			})
		})
	}
}
