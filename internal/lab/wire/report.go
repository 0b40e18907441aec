package wire

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Question is one question and who answered.
type Question struct {
	At time.Time
	// By are those who answered, sorted: hosts by name, others by MAC.
	By []string
}

// Interval is a time in which consecutive questions got the same answer.
type Interval struct {
	// From is when the first of the questions was asked, To when the first one
	// after them was.
	From, To  time.Time
	Questions int
	By        []string
}

// String tells the interval as a length and its answer.
func (i Interval) String() string {
	by := strings.Join(i.By, " and ")
	if by == "" {
		by = "nobody"
	}
	return fmt.Sprintf("%s answered %d questions in %v", by, i.Questions, i.To.Sub(i.From).Round(time.Millisecond))
}

// Report is what a Watch saw.
type Report struct {
	// All are the intervals in their order; Two and None those of them in which
	// more than one station answered, and nobody.
	All, Two, None []Interval
	Questions      int
}

// Longest is the longest time in which nobody answered.
func (r Report) Longest() time.Duration {
	var longest time.Duration
	for _, i := range r.None {
		longest = max(longest, i.To.Sub(i.From))
	}
	return longest
}

// summarise makes a report of questions, the last of which was over at end.
func summarise(questions []Question, end time.Time) Report {
	r := Report{Questions: len(questions)}
	for _, q := range questions {
		if n := len(r.All); n > 0 {
			r.All[n-1].To = q.At
			if slices.Equal(r.All[n-1].By, q.By) {
				r.All[n-1].Questions++
				continue
			}
		}
		r.All = append(r.All, Interval{From: q.At, Questions: 1, By: q.By})
	}
	if n := len(r.All); n > 0 {
		r.All[n-1].To = end
	}
	for _, i := range r.All {
		switch {
		case len(i.By) > 1:
			r.Two = append(r.Two, i)
		case len(i.By) == 0:
			r.None = append(r.None, i)
		}
	}
	return r
}
