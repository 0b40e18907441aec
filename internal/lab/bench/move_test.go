package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab/measure"
)

// moved is a result of three equal moves.
func moved(s Subject, served, stall, p99 int, failed, broken int) MoveResult {
	r := MoveResult{Subject: s, Quiet: measure.Report{P99: 2 * time.Millisecond}}
	for range 3 {
		r.Moves = append(r.Moves, Move{Served: ms(served)[0], Seen: measure.Report{
			Stall: ms(stall)[0], P99: ms(p99)[0], Failed: failed, Broken: broken, Streams: moveStreams,
		}})
	}
	return r
}

func TestPrintMoves(t *testing.T) {
	ours := moved(vipdAt(0), 41, 18, 3, 0, 0)
	ours.Carried, ours.Direct = []float64{1e9, 1.2e9, 1.1e9}, []float64{1.25e9}
	other := moved(keepalivedAt(100*time.Millisecond), 30, 0, 2, 4, 100)
	other.Errors = []error{errors.New("no successor")}
	var out strings.Builder
	if err := PrintMoves(&out, []MoveResult{other, ours}); err != nil {
		t.Fatal(err)
	}
	want := `| planned move, median/max       | order to successor, ms | longest stall of a stream, ms | p99 of requests, ms (quiet) | failed requests | broken of 100 streams | throughput carried/direct |
|--------------------------------|------------------------|-------------------------------|-----------------------------|-----------------|-----------------------|---------------------------|
| keepalived, adverts each 100ms | 30/30 (1 failed)       | -                             | 2.0 (2.0)                   | 4               | 100                   | -                         |
| vipd, as it comes              | 41/41                  | 18/18                         | 3.0 (2.0)                   | 0               | 0                     | 8.8/10.0 Gbit/s           |

✓ vipd, as it comes: a planned move loses no request and no stream: 0 lost in 3 moves
✓ vipd, as it comes: from vipd drain to the successor serving, median at most 50 ms: 41 ms
✓ vipd, as it comes: longest stall of a stream, median at most 50 ms: 18 ms
✓ vipd, as it comes: p99 of requests during a move at most 2 times the quiet one: 3.0 against 2.0 ms
✓ vipd, as it comes: throughput of carried connections at least 85 % of direct ones: 88 %
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMoveTargets(t *testing.T) {
	tests := []struct {
		name   string
		change func(*MoveResult)
		missed []string
	}{
		{"all is well", func(*MoveResult) {}, nil},
		{"one stream broke once", func(r *MoveResult) { r.Moves[1].Seen.Broken = 1 }, []string{"a planned move loses no request and no stream"}},
		{"one request failed once", func(r *MoveResult) { r.Moves[2].Seen.Failed = 1 }, []string{"a planned move loses no request and no stream"}},
		{"no move worked", func(r *MoveResult) { r.Moves = nil }, []string{
			"a planned move loses no request and no stream",
			"from vipd drain to the successor serving, median at most 50 ms",
			"longest stall of a stream, median at most 50 ms",
			"p99 of requests during a move at most 2 times the quiet one",
		}},
		{"a slow successor", func(r *MoveResult) { *r = with(moved(r.Subject, 51, 18, 3, 0, 0)) },
			[]string{"from vipd drain to the successor serving, median at most 50 ms"}},
		{"a long stall", func(r *MoveResult) { *r = with(moved(r.Subject, 41, 51, 3, 0, 0)) },
			[]string{"longest stall of a stream, median at most 50 ms"}},
		{"slow requests", func(r *MoveResult) { *r = with(moved(r.Subject, 41, 18, 5, 0, 0)) },
			[]string{"p99 of requests during a move at most 2 times the quiet one"}},
		{"carried slowly", func(r *MoveResult) { r.Carried = []float64{84} },
			[]string{"throughput of carried connections at least 85 % of direct ones"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := with(moved(vipdAt(0), 41, 18, 3, 0, 0))
			tt.change(&r)
			var missed []string
			for _, target := range judgeMoves([]MoveResult{r}) {
				if !target.met {
					missed = append(missed, strings.TrimPrefix(target.text, "vipd, as it comes: "))
				}
			}
			if diff := cmp.Diff(tt.missed, missed); diff != "" {
				t.Errorf("missed (-want +got):\n%s", diff)
			}
		})
	}
}

// with adds good throughputs.
func with(r MoveResult) MoveResult {
	r.Carried, r.Direct = []float64{90}, []float64{100}
	return r
}
