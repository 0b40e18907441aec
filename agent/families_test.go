package agent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A neighbour that is told otherwise has its session renegotiated, which breaks
// streams of every VIP.
func TestAVIPOfAnotherFamilyLeavesSessionsAlone(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		n, f := l.routedNode(routed)
		n.start()
		time.Sleep(time.Minute)
		before := f.newest().Neighbors
		n.mustReload(strings.Replace(routed, "[198.51.100.10]", `[198.51.100.10, "2001:db8::10"]`, 1))
		time.Sleep(time.Minute)
		after := f.newest()
		if len(after.Routes) != 2 {
			t.Errorf("routes: %+v", after.Routes)
		}
		if diff := cmp.Diff(before, after.Neighbors, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})
}
