package speaker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHasteIsRarerTheMoreItIsNeeded(t *testing.T) {
	rows := []struct {
		name  string
		flaps time.Duration
		span  time.Duration
		want  []time.Duration
	}{
		{"a flap a second", time.Second, time.Minute, []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second}},
		{"a flap in ten minutes", 10 * time.Minute, 31 * time.Minute, []time.Duration{0, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var h haste
			var got []time.Duration
			start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			for at := time.Duration(0); at < row.span; at += row.flaps {
				if h.permits(start.Add(at)) {
					got = append(got, at)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
