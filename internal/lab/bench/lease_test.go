package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPrintLeases(t *testing.T) {
	results := []LeaseResult{
		{Name: "election: vrrp", Crash: TrialResult{Outages: ms(310, 330, 320)}, Drain: TrialResult{Outages: ms(0, 0, 0)}},
		{
			Name: "election: etcd, ttl 3s", TTL: 3 * time.Second,
			Crash: TrialResult{Outages: ms(3400, 2900, 3600)}, LeaderCrash: TrialResult{Outages: ms(6800, 5000, 7000)},
			Drain: TrialResult{Outages: ms(0, 0), Lost: 2, Errors: []error{errors.New("no successor")}},
		},
	}
	var out strings.Builder
	if err := PrintLeases(&out, results); !errors.Is(err, ErrMissed) {
		t.Errorf("%v although targets are missed", err)
	}
	want := `| outage in ms, median/max | crash of the owner | crash of the owner, which leads etcd | drain          | drain: lost requests and streams |
|--------------------------|--------------------|--------------------------------------|----------------|----------------------------------|
| election: vrrp           | 320/330            | -                                    | 0/0            | 0 in 3 moves                     |
| election: etcd, ttl 3s   | 3400/3600          | 6800/7000                            | 0/0 (1 failed) | 2 in 2 moves                     |

✓ election: vrrp: a drain loses nothing: 0 in 3 moves
✓ election: etcd, ttl 3s: crash, the slowest at most 3700 ms: 3600 ms
✗ election: etcd, ttl 3s: crash of etcd's leader, the slowest at most 5000 ms: 7000 ms
✗ election: etcd, ttl 3s: a drain loses nothing: 2 in 2 moves
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
