package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab/daemon"
)

func ms(n ...int) []time.Duration {
	var all []time.Duration
	for _, n := range n {
		all = append(all, time.Duration(n)*time.Millisecond)
	}
	return all
}

func TestMedian(t *testing.T) {
	tests := []struct {
		name string
		all  []time.Duration
		want time.Duration
	}{
		{"of none: zero", nil, 0},
		{"of one: it", ms(7), 7 * time.Millisecond},
		{"of three: the middle one, in whatever order", ms(30, 10, 20), 20 * time.Millisecond},
		{"of four: the worse of the middle ones", ms(40, 10, 30, 20), 30 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := median(tt.all); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// result has the same outages in each trial.
func result(s Subject, outages []time.Duration, cpu, rss float64) Result {
	r := Result{Subject: s, Idle: &Idle{Owner: Consumption{cpu, uint64(rss)}, Backup: Consumption{cpu / 2, uint64(rss)}}}
	for _, t := range trials() {
		r.Trials = append(r.Trials, TrialResult{Name: t.Name, Outages: outages})
	}
	return r
}

func vipdAt(interval time.Duration) Subject {
	return Subject{Daemon: daemon.Vipd{Interval: interval}, Vipd: true, Interval: interval}
}

func keepalivedAt(interval time.Duration) Subject {
	return Subject{Daemon: daemon.Keepalived{Interval: interval}, Interval: interval}
}

func TestPrint(t *testing.T) {
	other := result(keepalivedAt(100*time.Millisecond), ms(300, 260, 280), 0.1, 13.3e6)
	other.Trials[1].Errors = []error{errors.New("no successor")}
	results := []Result{other, result(vipdAt(100*time.Millisecond), ms(250, 240, 90), 0.25, 20e6)}
	results[1].Trials[0].Late = 7 * time.Millisecond
	var out strings.Builder
	if err := Print(&out, results); !errors.Is(err, ErrMissed) || err.Error() != "vipd misses 1 of 7 targets" {
		t.Errorf("error %v", err)
	}
	want := `| outage in ms, median/max       | cable cut | silent cut         | planned stop | API server killed | idle CPU, owner/backup | RSS, owner/backup |
|--------------------------------|-----------|--------------------|--------------|-------------------|------------------------|-------------------|
| keepalived, adverts each 100ms | 280/300   | 280/300 (1 failed) | 280/300      | 280/300           | 0.10/0.05 %            | 13.3/13.3 MB      |
| vipd, adverts each 100ms       | 240/250   | 240/250            | 240/250      | 240/250           | 0.25/0.12 %            | 20.0/20.0 MB      |

The client opens a new connection each 2 ms; it was late by 7 ms at most.

✗ vipd, adverts each 100ms: API server killed, median at most 100 ms: 240/250
✓ vipd, adverts each 100ms: at a planned stop no new connection fails after the announcement: 0 failed
✓ vipd, adverts each 100ms: RSS at most 40 MB: 20.0 MB
✓ vipd, adverts each 100ms: cable cut no slower than keepalived, adverts each 100ms: 240 against 280 ms
✓ vipd, adverts each 100ms: silent cut no slower than keepalived, adverts each 100ms: 240 against 280 ms
✓ vipd, adverts each 100ms: planned stop no slower than keepalived, adverts each 100ms: 240 against 280 ms
✓ vipd, adverts each 100ms: API server killed no slower than keepalived, adverts each 100ms: 240 against 280 ms
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTargets(t *testing.T) {
	asItComes := func(change func(*Result)) []Result {
		r := result(vipdAt(0), ms(90), 0.1, 20e6)
		change(&r)
		return []Result{r}
	}
	tests := []struct {
		name    string
		results []Result
		missed  []string
	}{
		{"all is well", asItComes(func(*Result) {}), nil},
		{"as it comes, a slow takeover", asItComes(func(r *Result) { r.Trials[0].Outages = ms(351) }),
			[]string{"vipd, as it comes: cable cut, median at most 350 ms"}},
		{"no run that worked is no success", asItComes(func(r *Result) { r.Trials[0].Outages = nil }),
			[]string{"vipd, as it comes: cable cut, median at most 350 ms"}},
		{"one request lost in one planned stop", asItComes(func(r *Result) { r.Trials[2].FailedAfterAnnounced = 1 }),
			[]string{"vipd, as it comes: at a planned stop no new connection fails after the announcement"}},
		{"too busy", asItComes(func(r *Result) { r.Idle.Owner.CPU = 0.51 }), []string{"vipd, as it comes: idle CPU at most 0.5 %"}},
		{"a backup too busy", asItComes(func(r *Result) { r.Idle.Backup.CPU = 0.51 }), []string{"vipd, as it comes: idle CPU at most 0.5 %"}},
		{"too large", asItComes(func(r *Result) { r.Idle.Owner.RSS = 41e6 }), []string{"vipd, as it comes: RSS at most 40 MB"}},
		{"a backup too large", asItComes(func(r *Result) { r.Idle.Backup.RSS = 41e6 }), []string{"vipd, as it comes: RSS at most 40 MB"}},
		{"what was not measured is not missed", asItComes(func(r *Result) { r.Idle, r.Trials = nil, nil }), nil},
		{"10 ms: slower than 40 ms", []Result{result(vipdAt(10*time.Millisecond), ms(41), 3, 20e6)},
			[]string{"vipd, adverts each 10ms: cable cut, median at most 40 ms"}},
		{"within the client's resolution of another's result", []Result{
			result(keepalivedAt(time.Second), ms(88), 0, 0), result(vipdAt(time.Second), ms(90), 0, 0),
		}, nil},
		{"slower than another at the same interval", []Result{
			result(keepalivedAt(time.Second), ms(87), 0, 0), result(vipdAt(time.Second), ms(90), 0, 0),
		}, []string{
			"vipd, adverts each 1s: cable cut no slower than keepalived, adverts each 1s",
			"vipd, adverts each 1s: silent cut no slower than keepalived, adverts each 1s",
			"vipd, adverts each 1s: planned stop no slower than keepalived, adverts each 1s",
			"vipd, adverts each 1s: API server killed no slower than keepalived, adverts each 1s",
		}},
		{"another at another interval is no measure", []Result{
			result(keepalivedAt(10*time.Millisecond), ms(30), 0, 0), result(vipdAt(time.Second), ms(90), 0, 0),
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var missed []string
			for _, target := range judge(tt.results) {
				if !target.met {
					missed = append(missed, target.text)
				}
			}
			if diff := cmp.Diff(tt.missed, missed); diff != "" {
				t.Errorf("missed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintOfOnePart(t *testing.T) {
	idle := result(vipdAt(0), nil, 0.4, 20e6)
	idle.Trials = nil
	var out strings.Builder
	if err := Print(&out, []Result{idle}); err != nil {
		t.Fatal(err)
	}
	want := `| outage in ms, median/max | idle CPU, owner/backup | RSS, owner/backup |
|--------------------------|------------------------|-------------------|
| vipd, as it comes        | 0.40/0.20 %            | 20.0/20.0 MB      |

✓ vipd, as it comes: idle CPU at most 0.5 %: 0.40 %
✓ vipd, as it comes: RSS at most 40 MB: 20.0 MB
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPartsToMeasure(t *testing.T) {
	for _, tt := range []struct {
		name string
		only []string
		want []string
	}{
		{"all unless some are named", nil, Parts()},
		{"those named", []string{"idle", "cable cut"}, []string{"idle", "cable cut"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, part := range Parts() {
				if (Options{Only: tt.only}).measures(part) {
					got = append(got, part)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
