package peer

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestWindow(t *testing.T) {
	rows := []struct {
		name  string
		heard []uint64
		n     uint64
		want  bool
	}{
		{"the first one may be any", nil, 1000, true},
		{"zero as the first one", nil, 0, true},
		{"zero again", []uint64{0}, 0, false},
		{"the same again", []uint64{7}, 7, false},
		{"the next one", []uint64{7}, 8, true},
		{"one that others overtook", []uint64{7, 9}, 8, true},
		{"one that others overtook, again", []uint64{7, 9, 8}, 8, false},
		{"the last one inside the window", []uint64{1, 64}, 2, true},
		{"the first one again, at the window's end", []uint64{1, 64}, 1, false},
		{"behind the window", []uint64{1, 66}, 2, false},
		{"after a leap of a window", []uint64{1, 65}, 64, true},
		{"the one that leapt, again", []uint64{1, math.MaxUint64}, math.MaxUint64, false},
		{"one before the first", []uint64{7}, 6, false},
		{"one before the first, after others", []uint64{7, 9}, 6, false},
		{"beside the highest number", []uint64{1, math.MaxUint64}, math.MaxUint64 - 1, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var w window
			for _, n := range row.heard {
				w.note(n)
			}
			if got := w.admits(row.n); got != row.want {
				t.Errorf("admitted: %v, want %v", got, row.want)
			}
		})
	}
}

// Whatever the order, no number is admitted twice, and none of the last 64 that
// follows the first one is refused the first time.
func TestWindowAdmitsEachNumberOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var w window
		admitted := map[uint64]bool{}
		first, top := uint64(0), uint64(random.IntN(200))
		for range 500 {
			n := top + uint64(random.IntN(200)) - min(top, 100)
			ok := w.admits(n)
			switch {
			case ok && admitted[n]:
				t.Fatalf("%d was admitted twice", n)
			case !ok && !admitted[n] && n > first && n+windowSize > w.top:
				t.Fatalf("%d was refused, the highest is %d", n, w.top)
			}
			if ok {
				if len(admitted) == 0 {
					first = n
				}
				w.note(n)
				admitted[n] = true
				top = w.top
			}
		}
	}
}
