package measure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// at is a moment of the tests, in milliseconds.
func at(ms int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func good(start, took int, node string) Request {
	return Request{At: at(start), Took: ms(took), Node: node}
}

func bad(start int, word string) Request { return Request{At: at(start), Error: word} }

func TestSummariseRequests(t *testing.T) {
	tests := []struct {
		name     string
		requests []Request
		want     Report
	}{
		{"nothing: nothing", nil, Report{}},
		{
			"all answered: no outage, however far apart",
			[]Request{good(0, 1, "cp1"), good(50, 3, "cp1"), good(90, 2, "cp2")},
			Report{Requests: 3, Nodes: map[string]int{"cp1": 2, "cp2": 1}, P50: ms(2), P99: ms(3), Max: ms(3)},
		},
		{
			"failures between two answers: the time between the answers' starts",
			[]Request{good(10, 1, "cp1"), bad(12, ErrTimeout), bad(14, ErrRefused), good(40, 1, "cp2")},
			Report{Requests: 4, Failed: 2, Errors: map[string]int{ErrTimeout: 1, ErrRefused: 1},
				Nodes: map[string]int{"cp1": 1, "cp2": 1}, Outage: ms(30), OutageFrom: at(10), P50: ms(1), P99: ms(1), Max: ms(1)},
		},
		{
			"of two outages the longer",
			[]Request{good(0, 1, "cp1"), bad(2, ErrReset), good(4, 1, "cp1"), bad(6, ErrReset), good(20, 1, "cp1")},
			Report{Requests: 5, Failed: 2, Errors: map[string]int{ErrReset: 2}, Nodes: map[string]int{"cp1": 3},
				Outage: ms(16), OutageFrom: at(4), P50: ms(1), P99: ms(1), Max: ms(1)},
		},
		{
			"no answer at all: the whole span",
			[]Request{bad(2, ErrTimeout)},
			Report{Requests: 1, Failed: 1, Errors: map[string]int{ErrTimeout: 1}, Outage: ms(100), OutageFrom: at(0)},
		},
		{
			"records come in the order of their ends: an answer that began before a failure is no second outage",
			[]Request{bad(12, ErrRefused), good(14, 1, "cp1"), good(10, 40, "cp1")},
			Report{Requests: 3, Failed: 1, Errors: map[string]int{ErrRefused: 1}, Nodes: map[string]int{"cp1": 2},
				Outage: ms(4), OutageFrom: at(10), P50: ms(1), P99: ms(40), Max: ms(40)},
		},
		{
			"only what starts in the span counts; its end is excluded",
			[]Request{bad(-1, ErrReset), good(0, 1, "cp1"), bad(100, ErrReset)},
			Report{Requests: 1, Nodes: map[string]int{"cp1": 1}, P50: ms(1), P99: ms(1), Max: ms(1)},
		},
		{
			"the client's own lateness is told",
			[]Request{{At: at(1), Took: ms(1), Node: "cp1", Late: ms(7)}},
			Report{Requests: 1, Nodes: map[string]int{"cp1": 1}, P50: ms(1), P99: ms(1), Max: ms(1), Late: ms(7)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.From, tt.want.To = at(0), at(100)
			got := Summarise(tt.requests, nil, at(0), at(100))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSummariseStreams(t *testing.T) {
	opened := func(id, when int) Stream { return Stream{ID: id, Event: Opened, At: at(when)} }
	line := func(id, when, gap int) Stream { return Stream{ID: id, Event: Line, At: at(when), Gap: ms(gap)} }
	ended := func(id, when int) Stream { return Stream{ID: id, Event: Ended, At: at(when), Error: ErrReset} }
	control := func(s Stream) Stream { s.Control = true; return s }
	tests := []struct {
		name    string
		streams []Stream
		want    Report
	}{
		{"a stream that flows is whole", []Stream{opened(1, -50), line(1, 1950, 100)}, Report{Streams: 1, Stall: ms(100)}},
		{"a stream that ended in the span is broken", []Stream{opened(1, -50), ended(1, 300)}, Report{Streams: 1, Broken: 1}},
		{"opened anew it does not count again",
			[]Stream{opened(1, -50), ended(1, 300), opened(1, 400), line(1, 1990, 10)}, Report{Streams: 1, Broken: 1}},
		{"broken anew it counts twice",
			[]Stream{opened(1, -50), ended(1, 300), opened(1, 400), ended(1, 500)}, Report{Streams: 2, Broken: 2}},
		{"silent since long before the span, given up in it: lost already",
			[]Stream{opened(1, -5000), line(1, -600, 10), ended(1, 300)}, Report{}},
		{"one that ended before the span does not count", []Stream{opened(1, -50), ended(1, -10)}, Report{}},
		{"one that ends after the span is whole", []Stream{opened(1, -50), line(1, 1950, 10), ended(1, 2010)}, Report{Streams: 1, Stall: ms(10)}},
		{"silent to the end while a control stream flows: broken",
			[]Stream{opened(1, -50), line(1, 300, 10), control(opened(1, -50)), control(line(1, 1950, 10))}, Report{Streams: 1, Broken: 1}},
		{"silent to the end with the control stream: the client's own trouble",
			[]Stream{opened(1, -50), line(1, 300, 10), control(opened(1, -50)), control(line(1, 310, 10))}, Report{Streams: 1, Stall: ms(10)}},
		{"a stall that ended is none after the fact, but told",
			[]Stream{opened(1, -50), line(1, 1900, 1600), control(opened(1, -50)), control(line(1, 1950, 10))}, Report{Streams: 1, Stall: ms(1600)}},
		{"a stall before the span is not told", []Stream{opened(1, -5000), line(1, -10, 900), line(1, 1950, 20)}, Report{Streams: 1, Stall: ms(20)}},
		{"a control stream that breaks is nobody's loss", []Stream{control(opened(1, -50)), control(ended(1, 100))}, Report{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.From, tt.want.To = at(0), at(2000)
			got := Summarise(nil, tt.streams, at(0), at(2000))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndsOfStreams(t *testing.T) {
	own := Stream{ID: 1, Event: Ended, At: at(20), Error: ErrReset}
	l := Log{streams: []Stream{
		{ID: 0, Event: Ended, At: at(9), Error: ErrReset},
		{ID: 1, Event: Line, At: at(10)},
		{ID: 2, Event: Ended, At: at(15), Error: ErrClosed, Control: true},
		own,
		{ID: 3, Event: Ended, At: at(30), Error: ErrSilent},
	}}
	if diff := cmp.Diff([]Stream{own}, l.Ends(at(10), at(30))); diff != "" {
		t.Errorf("of the VIP, in the span (-want +got):\n%s", diff)
	}
}
