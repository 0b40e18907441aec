package agent

import (
	"testing"
	"time"

	"github.com/vipd/vipd/election"
)

// A foreign owner that never steps down is asked about. Where no other station
// hears this node either, it makes way.
func TestOwnerThatIsNotObeyed(t *testing.T) {
	const peers = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11, 192.0.2.12, 192.0.2.14]}}]`
	rows := []struct {
		name string
		cut  bool
		want State
		why  election.Reason
	}{
		{"another member hears this node: the foreign one is deaf", false, StateOwner, election.NobodyHeard},
		{"nobody hears this node: it is mute", true, StateBackup, election.Unheard},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a := l.node(11, peers)
				a.awaitSeated()
				b := l.node(12, peers)
				b.awaitReady()
				time.Sleep(time.Minute) // until it is lonely no more
				if row.cut {
					l.split([]*node{b}, []*node{a})
				}
				for range 30 {
					l.foreign(14, a)
					time.Sleep(100 * time.Millisecond)
				}
				v := a.status("apiserver")
				if v.State != row.want || v.Reason != row.why {
					t.Errorf("%s for %s, want %s for %s", v.State, v.Reason, row.want, row.why)
				}
				if told := len(a.logged("does not hear this one")); (told == 1) == row.cut {
					t.Errorf("told %d times that the other one is deaf", told)
				}
			})
		})
	}
}
