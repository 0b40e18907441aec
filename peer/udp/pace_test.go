package udp

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	start := time.Now()
	rows := []struct {
		name string
		// at is how late each datagram comes; more is how many come at once then.
		at   []time.Duration
		more int
		want time.Duration
	}{
		{"the first", []time.Duration{0}, 0, 0},
		{"as many as a turn allows", []time.Duration{0}, perTurn - 1, 0},
		{"one more", []time.Duration{0}, perTurn, turn},
		{"one more, when half of the turn is over", []time.Duration{0, turn / 2}, perTurn - 1, turn / 2},
		{"one more, when the turn is over", []time.Duration{0, turn}, perTurn - 1, 0},
		{"after a long rest", []time.Duration{0, time.Hour}, 0, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var p pace
			var got time.Duration
			now := start
			for _, d := range row.at {
				now = start.Add(d)
				got = p.wait(now)
			}
			for range row.more {
				got = p.wait(now)
			}
			if got != row.want {
				t.Errorf("waits %v, want %v", got, row.want)
			}
		})
	}
}

// However many come, at most perTurn of them are read in a turn.
func TestPaceUnderAFlood(t *testing.T) {
	var p pace
	start := time.Now()
	now := start
	const count = 100 * perTurn
	for range count {
		now = now.Add(p.wait(now))
	}
	if took := now.Sub(start); took < 99*turn {
		t.Errorf("%d in %v", count, took)
	}
}

func TestRest(t *testing.T) {
	rows := []struct {
		name string
		rest time.Duration
		end  func(s *Socket, cancel func())
		took time.Duration
		want error
	}{
		{"none", 0, func(*Socket, func()) {}, 0, nil},
		{"to its end", turn, func(*Socket, func()) {}, turn, nil},
		{"until the context ends", turn, func(_ *Socket, cancel func()) { cancel() }, turn / 2, context.Canceled},
		{"until the socket is closed", turn, func(s *Socket, _ func()) { close(s.closed) }, turn / 2, net.ErrClosed},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := &Socket{closed: make(chan struct{})}
				timer := time.AfterFunc(turn/2, func() { row.end(s, cancel) })
				defer timer.Stop()
				began := time.Now()
				err := s.rest(ctx, row.rest)
				if !errors.Is(err, row.want) || time.Since(began) != row.took {
					t.Errorf("error %v after %v, want %v after %v", err, time.Since(began), row.want, row.took)
				}
			})
		})
	}
}
