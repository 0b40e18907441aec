package process

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestQuarantineGrows(t *testing.T) {
	router, now := netip.MustParseAddr("192.0.2.1"), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	q := quarantine{}
	if _, held := q.holds(now, router); held {
		t.Error("one of which nothing is known is held")
	}
	for i, want := range []time.Duration{3 * time.Second, 10 * time.Second, 40 * time.Second, 160 * time.Second, 640 * time.Second, 2560 * time.Second, 10240 * time.Second, 40960 * time.Second, 24 * time.Hour, 24 * time.Hour} {
		r := q.killed(now, router)
		if got := r.until.Sub(now); got != want {
			t.Errorf("time %d: left out for %v, want %v", i+1, got, want)
		}
		now = r.until
		if _, held := q.holds(now, router); held {
			t.Errorf("time %d: held when its time is over", i+1)
		}
	}
	now = now.Add(parole)
	if got := q.killed(now, router).until.Sub(now); got != respite {
		t.Errorf("what it did long ago is held against it for %v", got)
	}
}

func TestAPardonEndsASentenceAndForgetsNothing(t *testing.T) {
	router, now := netip.MustParseAddr("192.0.2.1"), time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	q := quarantine{}
	q.killed(now, router)
	q.killed(now, router)
	q.pardon(now)
	if _, held := q.holds(now, router); held {
		t.Error("it is held after the pardon")
	}
	if got := q.killed(now, router).until.Sub(now); got != firstSentence*sentenceFactor {
		t.Errorf("left out for %v the next time", got)
	}
}

func TestLastWords(t *testing.T) {
	rows := []struct {
		name, text, cause string
		neighbor          string
		traceback         int
	}{
		{"a log is none", "level=INFO msg=panic: no\n", "", "invalid IP", 0},
		{
			"a panic of a neighbour's goroutine",
			"level=INFO msg=x\npanic: runtime error: nil\n\ngoroutine 8 [running labels:{\"neighbor\": \"192.0.2.1\"}]:\nmain.f()\ngoroutine 9 [select labels:{\"neighbor\": \"192.0.2.2\"}]:\n",
			"panic: runtime error: nil", "192.0.2.1", 5,
		},
		{"a panic of another goroutine", "panic: nil\n\ngoroutine 1 [running]:\n", "panic: nil", "invalid IP", 3},
		{
			"a panic of nobody's goroutine beside a neighbour's",
			"panic: nil\n\ngoroutine 1 [running]:\nmain.f()\n\ngoroutine 9 [select labels:{\"neighbor\": \"192.0.2.2\"}]:\n",
			"panic: nil", "invalid IP", 6,
		},
		{"a fatal error", "fatal error: concurrent map writes\n", "fatal error: concurrent map writes", "invalid IP", 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var w lastWords
			n := 0
			for line := range strings.Lines(row.text) {
				if w.hear(strings.TrimSuffix(line, "\n")) {
					n++
				}
			}
			if w.cause != row.cause || w.neighbor.String() != row.neighbor || n != row.traceback {
				t.Errorf("cause %q, neighbour %v, %d lines", w.cause, w.neighbor, n)
			}
		})
	}
}
