package program

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// WithoutPrivileges calls f on a thread that has no capabilities and can gain
// none; a process that f makes inherits that. It works alike for a daemon that is
// root and for one with ambient capabilities. The thread is f's own and lives as
// long as f runs, which PR_SET_PDEATHSIG counts on.
//
// Capabilities and no_new_privs belong to a thread (capabilities(7), prctl(2)),
// so the thread is given up afterwards: its goroutine ends while locked to it,
// which makes the runtime end it, and the runtime starts no other thread from
// a locked one. With no_new_privs, execve(2) gives even uid 0 no more than the
// thread had, which is nothing.
func WithoutPrivileges(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end, and /proc shows its capabilities as
			// the daemon's. As long as it is locked here, the next goroutine
			// gets another thread.
			defer runtime.UnlockOSThread()
			done <- WithoutPrivileges(f)
			return
		}
		if err := dropPrivileges(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// dropPrivileges strips the calling thread for good.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}
