package control_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/control/controltest"
)

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user or give files away")
	}
}

func groupID(t *testing.T, name string) uint32 {
	t.Helper()
	group, err := user.LookupGroup(name)
	if err != nil {
		t.Skipf("this host has no group %s", name)
	}
	id, err := strconv.ParseUint(group.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

func TestListenOpensTheSocketToItsGroup(t *testing.T) {
	requireRoot(t)
	group := groupID(t, daemonGroup)
	path := controltest.Socket(t)
	l, err := control.Listen(t.Context(), path, daemonGroup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if file.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, want a socket with 0660", file.Mode())
	}
	if owner := file.Sys().(*syscall.Stat_t); owner.Uid != 0 || owner.Gid != group {
		t.Errorf("owner %d:%d, want 0:%d", owner.Uid, owner.Gid, group)
	}
}

func TestListenWithoutTheGroupWarnsAndKeepsOthersOut(t *testing.T) {
	path := controltest.Socket(t)
	var log bytes.Buffer
	l, err := control.Listen(t.Context(), path, "no-such-group", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, want a socket with 0600", file.Mode())
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "no-such-group") {
		t.Errorf("log %q, want one warning that names the group", got)
	}
}

func TestListenRemovesTheSocketAtClose(t *testing.T) {
	path := controltest.Socket(t)
	l, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestListenLeavesAnothersSocketAtClose(t *testing.T) {
	path := controltest.Socket(t)
	first, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("closing the first took the second's socket away: %v", err)
	}
}

func TestListenReplacesTheSocketOfADeadDaemon(t *testing.T) {
	path := controltest.Socket(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("nobody answers on the new socket: %v", err)
	}
	c.Close()
}

func TestListenRefusesBesideALiveDaemon(t *testing.T) {
	path := controltest.Serve(t, controltest.New(oneVIP()))
	_, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if !errors.Is(err, control.ErrInUse) {
		t.Fatalf("got %v, want %v", err, control.ErrInUse)
	}
	for _, want := range []string{path, "pid " + strconv.Itoa(os.Getpid()), "systemctl stop vipd"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestListenKeepsAFileThatIsNoSocket(t *testing.T) {
	path := controltest.Socket(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := control.Listen(t.Context(), path, "", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "control.socket") {
		t.Errorf("got %v, want an error that names control.socket", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file is now %q, %v", data, err)
	}
}
