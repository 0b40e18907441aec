package measure

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Report is what the client saw in a span of time.
type Report struct {
	From, To time.Time

	Requests int            // started in the span
	Failed   int            // of those
	Errors   map[string]int // failures by Err word
	Nodes    map[string]int // answers by node

	// Outage is the longest time between the start of an answered request and
	// that of the next answered one, with failures between; zero without any.
	// The span's ends stand in for a missing one. OutageFrom is its begin.
	Outage     time.Duration
	OutageFrom time.Time

	// Latency of the answered requests.
	P50, P99, Max time.Duration
	// Late is the client's own worst delay: numbers below it are not to be trusted.
	Late time.Duration

	// Streams to the VIP that flowed when the span began, and those opened in it
	// that broke in it again. A stream that was silent before is lost already.
	Streams int
	Broken  int // of those, ended in the span or silent at its end
	// Stall is the longest silence of a stream that was not broken.
	Stall time.Duration
}

// Silence is the least age of a stream's last line at which it counts as silent
// at the end of a span. It is well above lineEvery.
const Silence = 500 * time.Millisecond

// Summarise reports on the records of from (included) to to (excluded). Records
// before from are needed too: they say which streams were open.
func Summarise(requests []Request, streams []Stream, from, to time.Time) Report {
	r := Report{From: from, To: to, Errors: map[string]int{}, Nodes: map[string]int{}}
	r.requests(requests)
	r.streams(streams)
	return r
}

func (r *Report) requests(all []Request) {
	in := make([]Request, 0, len(all))
	for _, q := range all {
		if !q.At.Before(r.From) && q.At.Before(r.To) {
			in = append(in, q)
		}
	}
	slices.SortFunc(in, func(a, b Request) int { return a.At.Compare(b.At) })
	latencies := make([]time.Duration, 0, len(in))
	lastGood, failing := r.From, false
	for _, q := range in {
		r.Requests++
		r.Late = max(r.Late, q.Late)
		if q.Error != "" {
			r.Failed++
			r.Errors[q.Error]++
			failing = true
			continue
		}
		r.Nodes[q.Node]++
		latencies = append(latencies, q.Took)
		if failing {
			r.outage(lastGood, q.At)
		}
		lastGood, failing = q.At, false
	}
	if failing {
		r.outage(lastGood, r.To)
	}
	slices.Sort(latencies)
	r.P50, r.P99, r.Max = quantile(latencies, 50), quantile(latencies, 99), quantile(latencies, 100)
}

func (r *Report) outage(from, to time.Time) {
	if d := to.Sub(from); d > r.Outage {
		r.Outage, r.OutageFrom = d, from
	}
}

// quantile returns the smallest element that percent of a sorted list do not
// exceed; zero for an empty one.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// course is what is known of one opening of a stream.
type course struct {
	control  bool
	opened   time.Time
	lastLine time.Time
	lost     bool      // silent when the span began, and had no line in it
	ended    time.Time // zero while open
	stall    time.Duration
}

func (r *Report) streams(events []Stream) {
	courses := r.courses(events)
	var controlled time.Time // the last line of a control stream
	for i := range courses {
		c := &courses[i]
		c.lost = r.From.Sub(c.lastLine) >= Silence
		if c.control && c.lastLine.After(controlled) {
			controlled = c.lastLine
		}
	}
	for _, c := range courses {
		silent := r.To.Sub(c.lastLine) >= Silence && controlled.Sub(c.lastLine) >= Silence
		broken := !c.ended.IsZero() || silent
		if c.control || c.lost || !broken && !c.opened.Before(r.From) {
			continue
		}
		r.Streams++
		if broken {
			r.Broken++
			continue
		}
		r.Stall = max(r.Stall, c.stall)
	}
}

// courses follows each stream up to the end of the span and returns those that
// were open in it.
func (r *Report) courses(events []Stream) []course {
	type key struct {
		id      int
		control bool
	}
	ended := []course{}
	open := make(map[key]*course)
	for _, e := range slices.SortedFunc(slices.Values(events), func(a, b Stream) int { return a.At.Compare(b.At) }) {
		if !e.At.Before(r.To) {
			break
		}
		k := key{e.ID, e.Control}
		c := open[k]
		switch {
		case e.Event == Opened:
			open[k] = &course{control: e.Control, opened: e.At, lastLine: e.At}
		case c == nil: // the record of its opening is missing
		case e.Event == Line:
			c.lastLine = e.At
			if !e.At.Before(r.From) {
				c.stall = max(c.stall, e.Gap)
			}
		case e.Event == Ended:
			c.ended = e.At
			if !e.At.Before(r.From) {
				ended = append(ended, *c)
			}
			delete(open, k)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(open), func(a, b key) int { return cmp.Compare(a.id, b.id) }) {
		ended = append(ended, *open[k])
	}
	return ended
}
