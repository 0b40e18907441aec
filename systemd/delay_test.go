package systemd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience is for messages between processes.
const patience = 10 * time.Second

// logind stands in for systemd-logind on a bus of the test's own: it hands out
// pipes, whose other end tells when a delay is given up.
type logind struct {
	t       *testing.T
	conn    *dbus.Conn
	refuses bool
	taken   chan pipe
}

// pipe is a delay: it lasts until each copy of its other end is closed.
type pipe struct{ end, other *os.File }

// Inhibit is org.freedesktop.login1.Manager.Inhibit.
func (l *logind) Inhibit(what, who, _, mode string) (dbus.UnixFD, *dbus.Error) {
	if l.refuses {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"Permission denied"})
	}
	if what != "shutdown" || who != "vipd" || mode != "delay" {
		l.t.Errorf("asked for %s by %s as %s", what, who, mode)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		l.t.Error(err)
		return 0, dbus.MakeFailedError(err)
	}
	l.taken <- pipe{ours, theirs}
	return dbus.UnixFD(theirs.Fd()), nil
}

func (l *logind) prepareForShutdown(goesDown bool) {
	l.t.Helper()
	if err := l.conn.Emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForShutdown", goesDown); err != nil {
		l.t.Fatal(err)
	}
}

// delayed waits for a delay to be taken, and tells when it is given up.
func (l *logind) delayed() (givenUp func()) {
	l.t.Helper()
	select {
	case p := <-l.taken:
		return func() {
			l.t.Helper()
			_ = p.other.Close() // it has been sent by now
			_ = p.end.SetReadDeadline(time.Now().Add(patience))
			if _, err := p.end.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				l.t.Error("the delay was not given up")
			}
		}
	case <-time.After(patience):
		l.t.Fatal("no delay was taken")
		return nil
	}
}

// bus starts a message bus with a stand-in logind.
func bus(t *testing.T, refuses bool) *logind {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skipf("needs dbus-daemon: %v", err)
	}
	path := filepath.Join(t.TempDir(), "bus")
	daemon := exec.Command(program, "--session", "--nofork", "--nopidfile", "--address=unix:path="+path)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	l := &logind{t: t, refuses: refuses, taken: make(chan pipe, 4)}
	for began := time.Now(); l.conn == nil; {
		if l.conn, err = dbus.ConnectSystemBus(); err != nil && time.Since(began) > patience {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = l.conn.Close() })
	if err := l.conn.Export(l, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.conn.RequestName("org.freedesktop.login1", 0); err != nil {
		t.Fatal(err)
	}
	return l
}

// steps is a Leaving that tells what it is asked.
type steps chan string

func (s steps) Leave(context.Context) { s <- "leave" }
func (s steps) Stay(context.Context)  { s <- "stay" }

func (s steps) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s:
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", want)
	}
}

func TestAShutdownWaitsForTheHandOver(t *testing.T) {
	l := bus(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(steps)
	ended := make(chan error, 1)
	go func() { ended <- DelayShutdown(ctx, "hands over", asked) }()
	givenUp := l.delayed()

	l.prepareForShutdown(true)
	asked.expect(t, "leave")
	givenUp()
	l.prepareForShutdown(false)
	asked.expect(t, "stay")
	givenUp = l.delayed()
	l.prepareForShutdown(true)
	asked.expect(t, "leave")
	givenUp()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestARefusedDelayIsToldAndNoMore(t *testing.T) {
	bus(t, true)
	if err := DelayShutdown(t.Context(), "hands over", make(steps)); !errors.Is(err, ErrNotDelayed) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutABusNothingIsDelayed(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "bus"))
	if err := DelayShutdown(t.Context(), "hands over", make(steps)); !errors.Is(err, ErrNotDelayed) {
		t.Errorf("got %v", err)
	}
}
