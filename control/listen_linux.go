package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Listen when a daemon already answers on the socket.
var ErrInUse = errors.New("another vipd is running")

// socketMode lets root and the group connect: connecting needs the right to
// write (unix(7)).
const socketMode fs.FileMode = 0o660

// Listen creates the control socket, owned by this user and the named group,
// with its directory if that is missing. A socket that a dead daemon left is
// replaced; one on which a daemon answers is [ErrInUse]. A group that is empty,
// unknown, or not this user's to give away leaves the socket to its owner, with
// a warning. Close removes the socket.
//
// Two daemons must not call it for one path at the same moment; the lock in
// state_dir sees to that.
func Listen(ctx context.Context, path, group string, log *slog.Logger) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the group has to come as far as the socket
		return nil, fmt.Errorf("listen on control.socket: %w", err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("listen on control.socket: %w", err)
	}
	config := net.ListenConfig{Control: ownerOnly}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on control.socket: %w", err)
	}
	socket := &listener{UnixListener: l.(*net.UnixListener), path: path}
	socket.SetUnlinkOnClose(false)
	if socket.file, err = os.Lstat(path); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on control.socket: %w", err), socket.Close())
	}
	if err := admit(path, group); err != nil {
		log.Warn("the control socket is left to its owner", "socket", path, "group", group, "error", err,
			"mend", "create the group (groupadd --system "+group+") and restart vipd")
	}
	return socket, nil
}

// ownerOnly keeps everyone else out from the very bind: on Linux the file of a
// unix socket takes the mode of the socket's own inode. Changing it after the
// bind would leave a moment, and a umask is the whole process's.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return failed
}

// admit opens the socket to the group: first it becomes the group's, then the
// group may write.
func admit(path, group string) error {
	if group == "" {
		return nil
	}
	id, err := systemGroups{}.ID(group)
	if err != nil {
		return err
	}
	if err := os.Lchown(path, -1, int(id)); err != nil {
		return err
	}
	return os.Chmod(path, socketMode)
}

// removeStale removes a socket nobody listens on.
func removeStale(ctx context.Context, path string) error {
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if file.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket; remove it or set control.socket to another path", path)
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		defer func() { _ = c.Close() }() // nothing was sent
		return fmt.Errorf("%w%s and answers on %s; stop it first: systemctl stop vipd", ErrInUse, processOf(c), path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// processOf names the process that listens at the other end, if the kernel
// tells it.
func processOf(c net.Conn) string {
	peer, err := peerOf(c)
	if err != nil || peer.PID == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", peer.PID)
}

// listener removes its socket when it is closed, unless another daemon has put
// its own there.
type listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	once sync.Once
}

// Close stops listening and removes the socket.
func (l *listener) Close() error {
	err := l.UnixListener.Close()
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && l.file != nil && os.SameFile(l.file, now) {
			err = errors.Join(err, os.Remove(l.path))
		}
	})
	return err
}
