package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const theRouted = "198.51.100.10/32"

// has tells whether lo has the routed VIP.
func (n *node) hasRouted() bool { return slices.Contains(n.listed("lo"), theRouted) }

// routedAt starts a node with a routed VIP that is announced as well as can be.
func (l *lan) routedAt(file string) (*node, *fabric) {
	n, f := l.routedNode(file)
	n.start()
	time.Sleep(time.Minute)
	f.told()
	return n, f
}

func TestAReloadTakesARoutedVIPOffLast(t *testing.T) {
	const two = `[198.51.100.10, 198.51.100.20]`
	rows := []struct{ name, before, after string }{
		{"the group is removed", routed, apiserver},
		{"the group is removed, and the router stays", routed, strings.Replace(routed, "vips: [{name: apiserver, addresses: [198.51.100.10], announce: bgp, election: none}]", apiserver, 1)},
		{"the address is removed from a group", strings.Replace(routed, "[198.51.100.10]", two, 1), strings.Replace(routed, "198.51.100.10", "198.51.100.20", 1)},
		{"another daemon is to announce", routed, strings.Replace(routed, "addresses: [198.51.100.10], announce: bgp", "addresses: [198.51.100.30], announce: local", 1)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(row.before)
				began := time.Now()
				n.mustReload(row.after)
				story := map[time.Duration]bool{}
				for _, at := range []time.Duration{0, 499, 501, 999, 1001, 10000} {
					time.Sleep(time.Until(began.Add(at * time.Millisecond)))
					synctest.Wait()
					story[at] = n.hasRouted()
				}
				if diff := cmp.Diff(map[time.Duration]bool{0: true, 499: true, 501: true, 999: true, 1001: false, 10000: false}, story); diff != "" {
					t.Errorf("lo has the address, by milliseconds (-want +got):\n%s", diff)
				}
				told := f.routesTo(netip.MustParseAddr("198.51.100.10"))
				if diff := cmp.Diff([]string{"0s med 1000 prepend 3", "500ms gone"}, told); diff != "" {
					t.Errorf("told of it (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAReElectedRoutedVIPIsServedThroughout(t *testing.T) {
	elected := strings.Replace(routed, "election: none", "interface: eth0, vrrp: {vrid: 5}", 1)
	rows := []struct{ name, before, after string }{
		{"from every node to an elected one", routed, elected},
		{"from an elected one to every node", elected, routed},
		{"under another VRID", elected, strings.Replace(elected, "vrid: 5", "vrid: 6", 1)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				n, f := l.routedAt(row.before)
				n.mustReload(row.after)
				for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					synctest.Wait()
					if !n.hasRouted() {
						t.Fatalf("lo lacks the address %v before the end", time.Until(end))
					}
				}
				if told := f.told(); slices.ContainsFunc(told, func(line string) bool { return strings.HasSuffix(line, "nothing") }) {
					t.Errorf("it was withdrawn: %v", told)
				}
			})
		})
	}
}

// A killed daemon's routes and addresses go, however long they were to stay.
func TestWhatDepartsKeepsItsFence(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		slow := strings.Replace(routed, "wait: 500ms", "wait: 29s", 1)
		n, _ := l.routedAt(slow)
		n.mustReload(apiserver)
		time.Sleep(20 * time.Second)
		if !n.hasRouted() {
			t.Error("the fence took the address before its time")
		}
		n.kill()
		time.Sleep(4 * time.Second)
		if n.hasRouted() {
			t.Error("the address stands without a fence")
		}
	})
}

func TestAStopAwaitsWhatDeparts(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(routed)
		n.mustReload(strings.Replace(routed, "vips: [{name: apiserver, addresses: [198.51.100.10], announce: bgp, election: none}]", apiserver, 1))
		n.terminate()
		tellsRoutes(t, f, "0s "+leavingRoute, "500ms nothing")
		if n.hasRouted() {
			t.Error("lo has the address")
		}
	})
}

// A router that goes from the configuration with the VIP hears first that the
// route is worse, and is gone before the address.
func TestARemovedRouterIsToldBeforeTheAddressGoes(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedAt(routed)
		n.mustReload(apiserver)
		if w := f.newest(); len(w.Neighbors) != 1 || w.ASN != 64512 || len(w.Routes) != 1 {
			t.Errorf("at first: %+v", w)
		}
		time.Sleep(600 * time.Millisecond)
		if w := f.newest(); len(w.Neighbors) != 0 || !n.hasRouted() {
			t.Errorf("when it is withdrawn: %+v, and lo has %v", w, n.listed("lo"))
		}
	})
}

func TestARemovedRouterIsGoneAtOnceIfNothingDeparts(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		const two = `neighbors: [{address: 192.0.2.2, asn: 64500}, {address: 192.0.2.1, asn: 64500}]`
		n, f := l.routedAt(strings.Replace(routed, `neighbors: [{address: 192.0.2.1, asn: 64500}]`, two, 1))
		n.mustReload(routed)
		if w := f.newest(); len(w.Neighbors) != 1 {
			t.Errorf("wanted: %+v", w)
		}
	})
}
