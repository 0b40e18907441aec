package logqueue

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// gate is a reader of the log that can stand still, or be gone.
type gate struct {
	bytes.Buffer
	open chan struct{}
	gone bool
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	if g.gone {
		return 0, io.ErrClosedPipe
	}
	return g.Buffer.Write(b)
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

// logger queues lines without their time for w.
func logger(q *Queue, w io.Writer) *slog.Logger {
	return slog.New(q.Handler(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})))
}

func run(t *testing.T, q *Queue) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); q.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestWhatWasLoggedIsWrittenInOrderAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, q := newGate(), New()
		log := logger(q, g).With("vip", "apiserver").WithGroup("peer")
		close(g.open)
		log.Info("one", "name", "cp2")
		log.Warn("two")
		end := run(t, q)
		log.Error("three", "name", "cp3")
		end()
		want := "level=INFO msg=one vip=apiserver peer.name=cp2\n" +
			"level=WARN msg=two vip=apiserver\n" +
			"level=ERROR msg=three vip=apiserver peer.name=cp3\n"
		if diff := cmp.Diff(want, g.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAReaderThatStandsStillMakesNobodyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, q := newGate(), New()
		log := logger(q, g)
		end := run(t, q)
		log.Info("taken, not written")
		synctest.Wait() // Run stands in the write
		for range length + 3 {
			log.Info("more")
		}
		close(g.open)
		end()
		text := g.String()
		if n := strings.Count(text, "msg=more"); n != length {
			t.Errorf("%d lines were kept, want %d", n, length)
		}
		if n := strings.Count(text, "lines=3"); n != 1 {
			t.Errorf("the loss of 3 lines was told %d times:\n%s", n, text[max(0, len(text)-400):])
		}
	})
}

func TestLinesThatNobodyTookAreToldWhenSomebodyDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, q := newGate(), New()
		log := logger(q, g)
		close(g.open)
		end := run(t, q)
		g.gone = true
		log.Info("lost")
		synctest.Wait()
		g.gone = false
		log.Info("taken")
		end()
		if !strings.Contains(g.String(), "msg=taken") || !strings.Contains(g.String(), "lines=1") {
			t.Error(g.String())
		}
	})
}

func TestLevelsAreTheHandlers(t *testing.T) {
	h := New().Handler(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level is not the inner handler's")
	}
}
