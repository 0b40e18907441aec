package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Log collects the records that a client writes into it. The zero Log is empty;
// its methods may be called while it is written to.
type Log struct {
	mu       sync.Mutex
	rest     []byte // of an unfinished line
	err      error  // the first line that is no record
	requests []Request
	streams  []Stream
	settled  time.Time
}

// Write takes lines, each a Record in JSON. It never fails: the first line that is no
// record is told by the methods that read.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.take(line)
		l.rest = rest
	}
}

func (l *Log) take(line []byte) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		if l.err == nil {
			l.err = fmt.Errorf("read the client's record %q: %w", line, err)
		}
		return
	}
	switch {
	case r.Request != nil:
		l.requests = append(l.requests, *r.Request)
	case r.Stream != nil:
		l.streams = append(l.streams, *r.Stream)
	default:
		l.settled = r.Settled
	}
}

// Summarise reports on what is recorded so far.
func (l *Log) Summarise(from, to time.Time) (Report, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Summarise(l.requests, l.streams, from, to), l.err
}

// Failures returns the requests of a span that failed, in the order of their ends.
func (l *Log) Failures(from, to time.Time) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed []Request
	for _, q := range l.requests {
		if q.Error != "" && !q.At.Before(from) && q.At.Before(to) {
			failed = append(failed, q)
		}
	}
	return failed
}

// Ends returns the ends of streams to the VIP in a span, in their order.
func (l *Log) Ends(from, to time.Time) []Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ends []Stream
	for _, s := range l.streams {
		if s.Event == Ended && !s.Control && !s.At.Before(from) && s.At.Before(to) {
			ends = append(ends, s)
		}
	}
	return ends
}

// completeTo returns nil if all requests that started before at are recorded.
func (l *Log) completeTo(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settled.Before(at) {
		return fmt.Errorf("complete only up to %s", l.settled.Format(time.TimeOnly))
	}
	return l.err
}

// served returns the newest answers by the wanted nodes to requests after since,
// in the order of their starts, that no other answer and no failure interrupts.
func (l *Log) served(since time.Time, by func(node string) bool) ([]Request, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var in []Request
	for _, q := range slices.Backward(l.requests) {
		if q.At.Add(q.Took).Before(since) { // records come in the order of the requests' ends
			break
		}
		if q.At.After(since) {
			in = append(in, q)
		}
	}
	slices.SortFunc(in, func(a, b Request) int { return a.At.Compare(b.At) })
	for i, q := range slices.Backward(in) {
		if q.Error != "" || !by(q.Node) {
			return in[i+1:], l.err
		}
	}
	return in, l.err
}

// flowing counts the streams to the VIP whose newest event, after since, is not
// their end.
func (l *Log) flowing(since time.Time) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	seen := make(map[int]bool)
	for _, s := range slices.Backward(l.streams) {
		if s.At.Before(since) {
			break
		}
		if s.Control || seen[s.ID] {
			continue
		}
		seen[s.ID] = true
		if s.Event != Ended {
			n++
		}
	}
	return n, l.err
}
