package controltest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vipd/vipd/control"
)

// Socket returns a path for a socket in a directory that the test removes. It
// is short: the kernel takes no more than 107 bytes (unix(7)), which the names
// of tests in t.TempDir exceed.
func Socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vipd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// Other users may come as far as the socket.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nothing but the socket is in it
		t.Fatal(err)
	}
	return filepath.Join(dir, "vipd.sock")
}

// Serve serves a's control API on a socket of its own until the test ends, and
// returns the socket's path.
func Serve(t testing.TB, a control.Agent) string {
	t.Helper()
	path := Socket(t)
	l, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ServeOn(t, control.NewServer(a, "", slog.New(slog.DiscardHandler)), l)
	return path
}

// ServeOn serves connections of l until the test ends.
func ServeOn(t testing.TB, s *control.Server, l net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}
