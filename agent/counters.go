package agent

import (
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/election"
)

// Counters count what happened to one VIP group since the daemon started. The
// loop counts, anyone may read.
type Counters struct {
	AdvertsSent, AdvertsReceived atomic.Uint64
	// DuplicateOwners counts episodes in which another station claimed the VIP.
	DuplicateOwners atomic.Uint64
	// Restored counts addresses put back after someone removed them.
	Restored atomic.Uint64
	// Transitions is read and replaced as a whole.
	Transitions atomic.Pointer[map[TransitionKey]uint64]
	// lastAdvert is in nanoseconds since the agent started; 0: none yet.
	lastAdvert atomic.Int64
}

// TransitionKey labels a count of transitions.
type TransitionKey struct {
	To     State
	Reason election.Reason
}

// CheckCounters count the probes of one health check.
type CheckCounters struct {
	// Succeeded and Failed count probes by result.
	Succeeded, Failed atomic.Uint64
	// Duration is the distribution of probe durations in seconds.
	Duration Histogram
}

// LoopCounters count what concerns the daemon as a whole.
type LoopCounters struct {
	// Late counts how often a group's deadline was served more than an advert
	// interval too late.
	Late atomic.Uint64
	// Lag is the distribution of the loop's lateness in seconds.
	Lag Histogram
	// Discarded counts packets by reason; read and replaced as a whole.
	Discarded                  atomic.Pointer[map[string]uint64]
	HellosSent, HellosReceived atomic.Uint64
	// HellosDiscarded counts hellos by reason; read and replaced as a whole.
	HellosDiscarded atomic.Pointer[map[string]uint64]
	// ReloadOK and ReloadTime tell how the last reload went; ReloadTime is the
	// last success in Unix seconds.
	ReloadOK   atomic.Bool
	ReloadTime atomic.Int64
}

// reloaded notes that a configuration was taken over.
func (l *LoopCounters) reloaded(now time.Time) {
	l.ReloadOK.Store(true)
	l.ReloadTime.Store(now.Unix())
}

// countIn adds one to m[k], for readers that load the map as a whole.
func countIn[K comparable](p *atomic.Pointer[map[K]uint64], k K, n uint64) {
	next := map[K]uint64{}
	if old := p.Load(); old != nil {
		for k, v := range *old {
			next[k] = v
		}
	}
	next[k] += n
	p.Store(&next)
}

// buckets are the upper bounds of a Histogram, from a tenth of a millisecond
// to five seconds.
var buckets = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Histogram counts durations. The zero value is ready; it never allocates.
type Histogram struct {
	counts [len(buckets) + 1]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot returns the number of observations, their sum in seconds, and the
// cumulative counts by upper bound in seconds, as Prometheus wants them.
func (h *Histogram) Snapshot() (count uint64, sum float64, cumulative map[float64]uint64) {
	cumulative = make(map[float64]uint64, len(buckets))
	for i := range buckets {
		count += h.counts[i].Load()
		cumulative[buckets[i].Seconds()] = count
	}
	count += h.counts[len(buckets)].Load()
	return count, time.Duration(h.sum.Load()).Seconds(), cumulative
}
