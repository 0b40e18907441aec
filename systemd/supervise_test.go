package systemd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manager writes down what a service manager is told, and when.
type manager struct {
	start time.Time
	told  []string
	err   error
}

func (m *manager) hear(what string) error {
	m.told = append(m.told, fmt.Sprintf("%v %s", time.Since(m.start), what))
	return m.err
}

func (m *manager) Ready() error             { return m.hear("ready") }
func (m *manager) Status(line string) error { return m.hear(line) }
func (m *manager) Alive() error             { return m.hear("alive") }

// loop is a service whose start takes a while and which hangs at times.
type loop struct {
	start            time.Time
	ready            time.Duration
	hangs, goesOnAt  time.Duration
	lineChangesAfter time.Duration
}

func (l loop) Alive(ctx context.Context) error {
	if age := time.Since(l.start); age < l.hangs || age >= l.goesOnAt {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l loop) State() (string, bool) {
	line := "backup"
	if time.Since(l.start) >= l.lineChangesAfter {
		line = "owner"
	}
	return line, time.Since(l.start) >= l.ready
}

func TestSupervisor(t *testing.T) {
	const long = time.Hour
	for _, row := range []struct {
		name     string
		loop     loop
		watchdog time.Duration
		lasts    time.Duration
		want     []string
	}{
		{"a start: the line at once, ready as soon as it is, then only what changes",
			loop{ready: 90 * time.Millisecond, hangs: long, lineChangesAfter: 3 * time.Second}, 0, 5 * time.Second,
			[]string{"0s backup", "100ms ready", "3.1s owner"}},
		{"a watchdog is fed four times in its interval",
			loop{hangs: long, lineChangesAfter: long}, 2 * time.Second, 1200 * time.Millisecond,
			[]string{"0s alive", "0s backup", "0s ready", "500ms alive", "1s alive"}},
		{"a loop that hangs starves the watchdog, and no line is told of it",
			loop{hangs: 600 * time.Millisecond, goesOnAt: 1900 * time.Millisecond, lineChangesAfter: 700 * time.Millisecond}, 2 * time.Second, 2600 * time.Millisecond,
			[]string{"0s alive", "0s backup", "0s ready", "500ms alive", "2s alive", "2s owner", "2.5s alive"}},
		{"a loop that hangs at the start is not ready",
			loop{goesOnAt: 3 * time.Second}, 0, 3500 * time.Millisecond,
			[]string{"3.15s owner", "3.15s ready"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &manager{start: time.Now()}
				row.loop.start = m.start
				ctx, cancel := context.WithTimeout(t.Context(), row.lasts)
				defer cancel()
				if err := supervise(ctx, row.loop, m, row.watchdog); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(row.want, m.told); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestSupervisionGoesOnWithoutAManagerAndTellsWhyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{start: time.Now(), err: errors.New("no socket")}
		ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
		defer cancel()
		err := supervise(ctx, loop{start: m.start, hangs: time.Hour}, m, 2*time.Second)
		if !errors.Is(err, m.err) {
			t.Errorf("got %v", err)
		}
		if len(m.told) != 5 { // owner, ready, alive each 500 ms
			t.Errorf("told %v", m.told)
		}
	})
}
