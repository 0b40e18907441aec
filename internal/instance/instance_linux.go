// Package instance keeps a second vipd from running on the same state directory.
package instance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrRunning tells that another vipd holds the lock.
var ErrRunning = errors.New("another vipd is running")

// Lock is the right to be the only vipd of a state directory. The kernel takes
// it back when the process ends, however it ends.
type Lock struct{ file *os.File }

// Acquire takes the lock (flock(2)) of a state directory, which it makes if it
// is missing. It does not wait: while another process has it, the error is
// ErrRunning.
func Acquire(directory string) (*Lock, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil { //nolint:gosec // the control socket is in it, for a group
		return nil, fmt.Errorf("make state_dir: %w", err)
	}
	path := filepath.Join(directory, "vipd.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("open the lock in state_dir: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrRunning
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{file: f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }
