// Package logqueue keeps whoever logs from waiting for whoever reads the log. A
// reader that stands still, as a stopped journald does, fills the pipe to it; a
// loop that then writes a line waits, and loses the VIP.
//
//	slog.Logger ──► Handler ──► queue, bounded ──► Run ──► the handler that writes
//	                   └─ full: the record is lost, and counted
package logqueue

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// length is how many records may wait; it is some minutes' worth at the level
// info, and costs nothing until it is needed.
const length = 1024

// Queue holds records between those who log and the handler that writes.
type Queue struct {
	records chan waiting
	lost    atomic.Uint64
}

type waiting struct {
	handler slog.Handler
	record  slog.Record
}

// New returns an empty queue.
func New() *Queue { return &Queue{records: make(chan waiting, length)} }

// Handler returns a handler that queues records for h and never waits. What an
// attribute's value points to must not change afterwards.
func (q *Queue) Handler(h slog.Handler) slog.Handler { return handler{q, h} }

type handler struct {
	queue *Queue
	slog.Handler
}

// Handle implements slog.Handler.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.queue.records <- waiting{h.Handler, r.Clone()}:
	default:
		h.queue.lost.Add(1)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.queue, h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.queue, h.Handler.WithGroup(name)}
}

// Run writes what is queued until ctx ends, and then what is queued still.
func (q *Queue) Run(ctx context.Context) {
	for {
		select {
		case w := <-q.records:
			q.write(ctx, w)
		case <-ctx.Done():
			q.empty(ctx)
			return
		}
	}
}

func (q *Queue) empty(ctx context.Context) {
	for {
		select {
		case w := <-q.records:
			q.write(ctx, w)
		default:
			return
		}
	}
}

func (q *Queue) write(ctx context.Context, w waiting) {
	if err := w.handler.Handle(ctx, w.record); err != nil {
		q.lost.Add(1)
		return
	}
	lost := q.lost.Swap(0)
	if lost == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were lost: whoever takes the log was too slow, or gone", 0)
	r.AddAttrs(slog.Uint64("lines", lost))
	if w.handler.Handle(ctx, r) != nil {
		q.lost.Add(lost)
	}
}
