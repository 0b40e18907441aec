package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The kernel refuses a refresh of the address for a moment, which stands on.
func TestARefusedRefreshWithdrawsNoRoute(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Minute)
		f.told()
		refuse := func(err error) { n.set(func(h *host) { h.refused = err }) }
		refuse(errors.New("no buffer space available"))
		time.Sleep(1100 * time.Millisecond)
		refuse(nil)
		time.Sleep(time.Second)
		if got := f.told(); slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, "nothing") }) {
			t.Errorf("told %q", got)
		}
		refuse(errors.New("no buffer space available"))
		time.Sleep(10 * time.Second)
		if got := f.told(); !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, "nothing") }) {
			t.Errorf("the address is gone, and told was %q", got)
		}
	})
}

// The successor of a drained node falls silent before the drain has another path.
func TestADrainOfARouteOutlivesItsSuccessor(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		file := strings.Replace(routed, "election: none", "interface: eth0, vrrp: {vrid: 5}", 1)
		a, f := l.routedNode(file)
		b := l.bare(12, file)
		b.nics["lo"] = &nic{name: "lo", index: 99, up: true}
		other := &fabric{began: time.Now()}
		b.edges = func(e *Edges) { e.Speaker, e.Paths = other, other }
		a.start()
		time.Sleep(10 * time.Second)
		b.start()
		time.Sleep(time.Minute)
		f.mu.Lock()
		f.other = errors.New("refused")
		f.mu.Unlock()
		d := a.drain(DrainRequest{Timeout: 10 * time.Second})
		time.Sleep(100 * time.Millisecond)
		l.lose(func(*host, *host) bool { return true })
		if got := d.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
	})
}

// An elected owner loses the interface that its adverts go by: its addresses are
// on lo, and leave as from any other node that is succeeded.
func TestARoutedOwnerWithoutItsInterfaceLeaves(t *testing.T) {
	elected := strings.Replace(routed, "election: none", "interface: eth0, vrrp: {vrid: 5}", 1)
	rows := []struct{ name, file string }{
		{"with a fence", elected},
		{"without one", strings.Replace(elected, "announce: bgp", "announce: bgp, fence: 0s", 1)},
		{"slower than the fence", strings.Replace(elected, "wait: 500ms", "wait: 10s", 1)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				a, b, f := l.routedPair(row.file)
				a.unplug("eth0")
				withdrawn := func() bool { return len(f.newest().Routes) == 0 }
				for a.hasRouted() && time.Since(f.began) < time.Minute {
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if !withdrawn() || a.hasRouted() {
					t.Errorf("withdrawn: %v, lo has %v", withdrawn(), a.listed("lo"))
				}
				wait := a.process.agent.config.BGP.Leaving.Wait
				if took := time.Since(f.began).Round(100 * time.Millisecond); took != 2*wait {
					t.Errorf("lo lost the address after %v, want %v", took, 2*wait)
				}
				tellsRoutes(t, f, "0s "+leavingRoute, wait.String()+" nothing")
				b.awaitAt(StateOwner)
				a.plug("eth0")
				a.awaitReady()
				if got := a.drain(DrainRequest{}).result(); got != DrainDone {
					t.Errorf("drain: %s", got)
				}
				before := time.Now()
				a.terminate()
				if took := time.Since(before); took > 0 {
					t.Errorf("the stop took %v", took)
				}
			})
		})
	}
}

// The interface is back before the routers know that this node leaves.
func TestARoutedOwnerWhoseInterfaceIsBackServesOn(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(strings.Replace(routed, "election: none", "interface: eth0, vrrp: {vrid: 5}", 1))
		n.unplug("eth0")
		time.Sleep(100 * time.Millisecond)
		n.plug("eth0")
		n.awaitAt(StateOwner)
		time.Sleep(time.Minute)
		if got := f.newest().Routes; !n.hasRouted() || len(got) != 1 {
			t.Errorf("lo has %v, announced is %v", n.listed("lo"), got)
		}
	})
}
