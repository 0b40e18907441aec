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
	// Forwarded counts packets that were passed on to another node.
	Forwarded atomic.Uint64
	// ConnectionsReset counts connections that this node ended, by cause; Handovers
	// counts handovers that ended here, by result. Both are read and replaced as a
	// whole.
	ConnectionsReset atomic.Pointer[map[EndCause]uint64]
	Handovers        atomic.Pointer[map[HandoverResult]uint64]
	// HandoverDuration is the distribution of how long this node carried
	// connections after it was owner, in seconds.
	HandoverDuration Histogram
	// Transitions is read and replaced as a whole.
	Transitions atomic.Pointer[map[TransitionKey]uint64]
	// lastAdvert is in nanoseconds since the agent started; 0: none yet.
	lastAdvert atomic.Int64
}

// newCounters returns counters of nothing.
func newCounters() *Counters {
	return &Counters{HandoverDuration: Histogram{scale: 1000}}
}

// HandoverResult is how a handover ended on the former owner.
type HandoverResult string

// The results.
const (
	// HandoverCompleted: all connections ended by themselves.
	HandoverCompleted HandoverResult = "completed"
	// HandoverReset: some were ended by this node.
	HandoverReset HandoverResult = "reset"
	// HandoverResumed: this node became the owner again before all had ended.
	HandoverResumed HandoverResult = "resumed"
)

// HandoverResults lists every HandoverResult, for documentation and tests.
func HandoverResults() []HandoverResult {
	return []HandoverResult{HandoverCompleted, HandoverReset, HandoverResumed}
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
	// scale widens the bounds; 0 is 1.
	scale time.Duration
}

// bound is an upper bound.
func (h *Histogram) bound(i int) time.Duration { return buckets[i] * max(1, h.scale) }

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(buckets) && d > h.bound(i) {
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
		cumulative[h.bound(i).Seconds()] = count
	}
	count += h.counts[len(buckets)].Load()
	return count, time.Duration(h.sum.Load()).Seconds(), cumulative
}
