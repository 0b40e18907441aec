package agent

import (
	"testing"
	"time"
)

func TestLagOf99In100(t *testing.T) {
	tests := []struct {
		name  string
		fast  int
		slow  time.Duration
		slows int
		want  float64
	}{
		{"nothing was observed", 0, 0, 0, 0},
		{"one late in a hundred does not count", 99, time.Second, 1, 0.0001},
		{"two late in a hundred do", 98, 80 * time.Millisecond, 2, 0.1},
		{"beyond the last bound it is that bound", 0, time.Minute, 1, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l LoopCounters
			for range tt.fast {
				l.Lag.Observe(time.Microsecond)
			}
			for range tt.slows {
				l.Lag.Observe(tt.slow)
			}
			if got := l.status().LagSeconds99; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
