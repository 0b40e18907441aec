package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/internal/logqueue"
	"github.com/vipd/vipd/systemd"
)

// lastWords is how long the end of the program waits for who takes its log.
const lastWords = time.Second

// newLog returns the daemon's log, which never makes anybody wait, its level,
// which a reload may change, and what writes the rest of it at the end.
func newLog(w io.Writer, c config.Log) (log *slog.Logger, level *slog.LevelVar, end func()) {
	level = &slog.LevelVar{}
	level.Set(c.Level)
	queue := logqueue.New()
	ctx, cancel := context.WithCancel(context.Background())
	written := make(chan struct{})
	go func() {
		defer close(written)
		queue.Run(ctx)
	}()
	end = func() {
		cancel()
		select {
		case <-written:
		case <-time.After(lastWords):
		}
	}
	return slog.New(queue.Handler(logHandler(w, c.Format, level))), level, end
}

// logHandler takes lines that go to the journal there as what they are: the
// journal has a time and a level of its own.
func logHandler(w io.Writer, format config.LogFormat, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	switch {
	case format == config.LogJSON:
		return slog.NewJSONHandler(w, options)
	case format == config.LogJournal, systemd.ErrorsGoToJournal():
		return systemd.NewJournal(level)
	}
	return slog.NewTextHandler(w, options)
}
