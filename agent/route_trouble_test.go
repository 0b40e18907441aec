package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
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
