package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSchedule(t *testing.T) {
	const ms = time.Millisecond
	epoch := time.Unix(1_000_000, 0)
	for _, row := range []struct {
		name     string
		interval time.Duration
		// stirs are when the connection of the probe before stirs; 0: never.
		// Probes start when they are due, the first at 0.
		stirs []time.Duration
		want  []time.Duration // starts of the probes that follow
	}{
		{"a quiet server: each interval", 1000 * ms, []time.Duration{0, 0, 0},
			[]time.Duration{1000 * ms, 2000 * ms, 3000 * ms}},
		{"a stir: at once, and the interval starts again", 1000 * ms, []time.Duration{300 * ms, 0},
			[]time.Duration{300 * ms, 1300 * ms}},
		{"the interval may be long", time.Hour, []time.Duration{5 * ms, 0},
			[]time.Duration{5 * ms, time.Hour + 5*ms}},
		{"a second stir at once: after the pause", 10000 * ms, []time.Duration{300 * ms, 301 * ms},
			[]time.Duration{300 * ms, 400 * ms}},
		{"every connection ends at once: the pause doubles up to the interval", 1000 * ms, []time.Duration{1 * ms, 2 * ms, 102 * ms, 302 * ms, 702 * ms, 1502 * ms, 2502 * ms, 3502 * ms},
			[]time.Duration{1 * ms, 101 * ms, 301 * ms, 701 * ms, 1501 * ms, 2501 * ms, 3501 * ms, 4501 * ms}},
		{"after a quiet interval: at once again", 1000 * ms, []time.Duration{1 * ms, 2 * ms, 0, 0, 2150 * ms},
			[]time.Duration{1 * ms, 101 * ms, 1101 * ms, 2101 * ms, 2150 * ms}},
		{"a short interval is not outrun", 50 * ms, []time.Duration{1 * ms, 2 * ms},
			[]time.Duration{1 * ms, 51 * ms}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := schedule{interval: row.interval, next: epoch}
			s.began(epoch)
			var got []time.Duration
			for _, stir := range row.stirs {
				if stir > 0 {
					s.stirred(epoch.Add(stir))
				}
				got = append(got, s.next.Sub(epoch))
				s.began(s.next)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
