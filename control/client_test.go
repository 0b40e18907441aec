package control

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNoDaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "vipd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	tests := []struct{ name, path string }{
		{"no socket", filepath.Join(dir, "none")},
		{"the socket of a dead daemon", stale},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewClient(test.path).Status(t.Context())
			if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("got %v, want %v with the path", err, ErrNotRunning)
			}
		})
	}
}

func TestAFrozenDaemonIsToldFromADeadOne(t *testing.T) {
	dir, err := os.MkdirTemp("", "vipd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "frozen")
	// It listens, so the kernel takes connections for it, and never answers.
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := NewClient(path)
	c.patience = time.Millisecond
	_, err = c.Status(t.Context())
	if err == nil || errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("got %v, want an error that calls it frozen", err)
	}
}

func TestDeniedNamesWhoMay(t *testing.T) {
	dir, err := os.MkdirTemp("", "vipd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	if err := os.WriteFile(path, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, -1, os.Getgid()); err != nil {
		t.Fatal(err)
	}
	denied := &url.Error{Err: &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	tests := []struct {
		name, path string
		mode       os.FileMode
		want       string
	}{
		{"the socket's group", path, 0o660, "members of the group "},
		{"a socket without a group", path, 0o600, "control.group"},
		{"a socket in a closed directory", filepath.Join(dir, "none", "socket"), 0o600, "control.group"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			err := NewClient(test.path).unreached(context.Background(), denied)
			if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %v with %q", err, ErrDenied, test.want)
			}
		})
	}
}
