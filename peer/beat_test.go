package peer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

var epoch = time.Now()

// beats are the times, in milliseconds from the start, of the hellos of a node
// that is driven by its deadlines, up to and with end.
func beats(end time.Duration, happen map[time.Duration]func(*Beat, time.Time)) []int {
	var b Beat
	var at []int
	for d := time.Duration(0); d <= end; d += ms {
		now := epoch.Add(d)
		if f := happen[d]; f != nil {
			f(&b, now)
		}
		if b.Due(now) {
			at = append(at, int(d/ms))
		}
	}
	return at
}

func TestBeat(t *testing.T) {
	news := func(b *Beat, now time.Time) { b.News(now) }
	ask := func(b *Beat, now time.Time) { b.Ask(now) }
	type events = map[time.Duration]func(*Beat, time.Time)
	stormy := events{}
	for d := 300 * ms; d < 330*ms; d += ms {
		stormy[d] = news
	}
	rows := []struct {
		name   string
		happen events
		end    time.Duration
		want   []int
	}{
		{"at the start, then each second", nil, 3 * time.Second, []int{0, 1000, 2000, 3000}},
		{"news at once, and again for the case of loss", events{300 * ms: news}, 1500 * ms, []int{0, 300, 400, 1400}},
		{"news again before the repetition", events{300 * ms: news, 350 * ms: news}, 500 * ms, []int{0, 300, 350, 450}},
		{"a storm of news: ten at once, then one for each 100 ms", stormy, 1200 * ms,
			[]int{0, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 400, 500}},
		{"an answer at once, once", events{300 * ms: ask}, 1400 * ms, []int{0, 300, 1300}},
		{"a second answer waits", events{300 * ms: ask, 310 * ms: ask, 320 * ms: ask}, 700 * ms, []int{0, 300, 550}},
		{"news carry an answer with them", events{300 * ms: ask, 310 * ms: ask, 400 * ms: news}, 900 * ms, []int{0, 300, 400, 500}},
		{"the beat carries an answer with it", events{900 * ms: ask, 901 * ms: ask, 950 * ms: news}, 1300 * ms, []int{0, 900, 950, 1050}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, beats(row.end, row.happen)); diff != "" {
				t.Errorf("milliseconds of hellos, -want +got:\n%s", diff)
			}
		})
	}
}

// However often something new happens or somebody asks, a node sends a bounded
// number of hellos, and it is never silent for more than Interval.
func TestBeatIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var b Beat
		var sent []time.Duration
		chance := random.IntN(100)
		for d := time.Duration(0); d < 10*time.Second; d += ms {
			now := epoch.Add(d)
			if random.IntN(100) <= chance {
				b.News(now)
			}
			if random.IntN(100) <= chance {
				b.Ask(now)
			}
			if b.Due(now) {
				sent = append(sent, d)
			}
		}
		for i := 1; i < len(sent); i++ {
			if sent[i]-sent[i-1] > Interval {
				t.Fatalf("silent from %v to %v", sent[i-1], sent[i])
			}
		}
		// The burst; then news, repetitions, answers and the beat.
		limit := burst + int(10*time.Second/pause)*2 + int(10*time.Second/answerPause) + 10
		if len(sent) > limit {
			t.Errorf("%d hellos in 10 s, want at most %d", len(sent), limit)
		}
	}
}

// A deadline is never in the past once Due was asked, so no loop spins.
func TestBeatNeverSpins(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var b Beat
	now := epoch
	for range 5000 {
		now = now.Add(time.Duration(random.IntN(300)) * ms)
		switch random.IntN(3) {
		case 0:
			b.News(now)
		case 1:
			b.Ask(now)
		}
		b.Due(now)
		if !b.Deadline().After(now) {
			t.Fatalf("the deadline is %v ago", now.Sub(b.Deadline()))
		}
	}
}
