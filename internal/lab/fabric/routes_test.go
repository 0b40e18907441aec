package fabric

import (
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab/measure"
)

func TestARehashExcusesWhatWasUnderWay(t *testing.T) {
	change := time.UnixMilli(10_000)
	w := routeWatch{changes: []routeChange{{change, 2}}}
	request := func(from, to int, why string) measure.Request {
		return measure.Request{At: change.Add(time.Duration(from) * time.Millisecond), Took: time.Duration(to-from) * time.Millisecond, Error: why}
	}
	rows := []struct {
		name string
		of   measure.Request
		want bool
	}{
		{"reset at the change", request(-3, 1, measure.ErrReset), true},
		{"reset just before the change was seen", request(-60, -50, measure.ErrReset), true},
		{"reset long before", request(-200, -150, measure.ErrReset), false},
		{"begun after the change", request(1, 3, measure.ErrReset), false},
		{"refused: nobody serves", request(-3, 1, measure.ErrRefused), false},
		{"not answered", request(-3, 1000, measure.ErrTimeout), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := w.rehashed(row.of); got != row.want {
				t.Errorf("excused: %v", got)
			}
		})
	}
}
