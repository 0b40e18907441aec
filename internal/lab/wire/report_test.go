package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	a, b, both := []string{"cp1"}, []string{"cp2"}, []string{"cp1", "cp2"}
	interval := func(from, to, questions int, by []string) Interval {
		return Interval{From: at(from), To: at(to), Questions: questions, By: by}
	}
	for _, row := range []struct {
		name      string
		questions []Question
		want      Report
	}{
		{"nothing was asked", nil, Report{}},
		{
			"one owner all the time",
			[]Question{{at(0), a}, {at(5), a}, {at(10), a}},
			Report{Questions: 3, All: []Interval{interval(0, 15, 3, a)}},
		},
		{
			"a move with a gap",
			[]Question{{at(0), a}, {at(5), nil}, {at(10), nil}, {at(15), b}},
			Report{
				Questions: 4,
				All:       []Interval{interval(0, 5, 1, a), interval(5, 15, 2, nil), interval(15, 15, 1, b)},
				None:      []Interval{interval(5, 15, 2, nil)},
			},
		},
		{
			"a move with two for a moment",
			[]Question{{at(0), a}, {at(5), both}, {at(10), b}},
			Report{
				Questions: 3,
				All:       []Interval{interval(0, 5, 1, a), interval(5, 10, 1, both), interval(10, 15, 1, b)},
				Two:       []Interval{interval(5, 10, 1, both)},
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, summarise(row.questions, at(15))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
