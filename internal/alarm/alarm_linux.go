// Package alarm is a timer that is kept by the kernel (timerfd_create(2)).
//
// A timer of package time costs an idle process much more than the wake-up that
// it is for: the runtime sleeps in whole milliseconds, so it wakes twice, and its
// monitor thread wakes for each timer too and then watches, every few
// microseconds, until the timer has run. A descriptor is to the runtime a
// connection on which something arrives: it wakes once, to the microsecond.
package alarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/dontwait"
)

// Alarm rings once each time that it was set. It goes by the monotonic clock.
// Set belongs to one goroutine; all else is for any.
type Alarm struct {
	file  *os.File
	raw   syscall.RawConn
	rings chan time.Time

	// set does the system call for Set. It is made once: a closure made for each
	// call would be garbage.
	set  func(fd uintptr)
	next unix.ItimerSpec
	err  error
}

// New returns an alarm that is not set.
func New() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an alarm: %w", os.NewSyscallError("timerfd_create", err))
	}
	file := os.NewFile(uintptr(fd), "alarm")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an alarm: %w", err), file.Close())
	}
	a := &Alarm{file: file, raw: raw, rings: make(chan time.Time, 1)}
	a.set = func(fd uintptr) { a.err = dontwait.SetTimer(fd, &a.next) }
	return a, nil
}

// Rings gets the time when what was set has passed, while Run runs. It may get it
// although the alarm was set anew meanwhile.
func (a *Alarm) Rings() <-chan time.Time { return a.rings }

// Set has the alarm ring when d has passed, at once if that is not more than 0,
// and forgets what was set before. It panics after Close.
func (a *Alarm) Set(d time.Duration) {
	// A timer of 0 is one that is off.
	a.next.Value = unix.NsecToTimespec(int64(max(d, 1)))
	err := a.raw.Control(a.set)
	if err == nil {
		err = a.err
	}
	if err != nil {
		// The kernel refuses no valid time, so this is a mistake of the caller.
		panic(fmt.Sprintf("alarm: set: %v", err))
	}
}

// Run waits for the kernel until ctx ends, which is a nil error. Call it once.
func (a *Alarm) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		// A deadline that has passed ends the wait below. It fails only if the
		// alarm is closed, which ends it as well.
		_ = a.file.SetReadDeadline(time.Now())
	})
	defer stop()
	for {
		err := a.raw.Read(dontwait.Expired)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for the alarm: %w", err)
		}
		select {
		case a.rings <- time.Now():
		default: // nobody has come for the last one yet
		}
	}
}

// Close gives the timer back to the kernel, when Run has ended.
func (a *Alarm) Close() error { return a.file.Close() }
