package agent

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHistogram(t *testing.T) {
	rows := []struct {
		name     string
		observed []time.Duration
		count    uint64
		sum      float64
		// upTo are cumulative counts by bound; those of the bounds between are the
		// same as the one before.
		upTo map[float64]uint64
	}{
		{"nothing", nil, 0, 0, map[float64]uint64{0.0001: 0, 5: 0}},
		{"a bound belongs to its own bucket", []time.Duration{time.Millisecond}, 1, 0.001, map[float64]uint64{0.0001: 0, 0.001: 1}},
		{"just above a bound: the next", []time.Duration{time.Millisecond + 1}, 1, 0.001000001, map[float64]uint64{0.0001: 0, 0.0025: 1}},
		{"above all: counted, in no bucket", []time.Duration{time.Minute}, 1, 60, map[float64]uint64{0.0001: 0}},
		{"counts add up", []time.Duration{0, 3 * time.Millisecond, 2 * time.Second, time.Minute}, 4, 62.003, map[float64]uint64{0.0001: 1, 0.005: 2, 2.5: 3}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var h Histogram
			for _, d := range row.observed {
				h.Observe(d)
			}
			want, below := map[float64]uint64{}, uint64(0)
			for _, b := range buckets {
				if n, ok := row.upTo[b.Seconds()]; ok {
					below = n
				}
				want[b.Seconds()] = below
			}
			count, sum, cumulative := h.Snapshot()
			if count != row.count || math.Abs(sum-row.sum) > 1e-9 {
				t.Errorf("count %d, sum %v; want %d, %v", count, sum, row.count, row.sum)
			}
			if diff := cmp.Diff(want, cumulative); diff != "" {
				t.Errorf("cumulative counts (-want +got):\n%s", diff)
			}
		})
	}
}

// Readers load a map of counts as a whole, so one that was read never changes.
func TestCountsThatWereReadDoNotChange(t *testing.T) {
	var c Counters
	key := TransitionKey{To: StateOwner}
	countIn(&c.Transitions, key, 1)
	read := *c.Transitions.Load()
	countIn(&c.Transitions, key, 2)
	countIn(&c.Transitions, TransitionKey{To: StateBackup}, 1)
	if diff := cmp.Diff(map[TransitionKey]uint64{key: 1}, read); diff != "" {
		t.Errorf("read before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[TransitionKey]uint64{key: 3, {To: StateBackup}: 1}, *c.Transitions.Load()); diff != "" {
		t.Errorf("read now (-want +got):\n%s", diff)
	}
}
