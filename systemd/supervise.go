package systemd

import (
	"context"
	"errors"
	"time"
)

const (
	// startPoll is how often a starting service is asked whether it is ready.
	startPoll = 50 * time.Millisecond
	// statusPoll is how often the status line is brought up to date.
	statusPoll = time.Second
	// feeds is how often the watchdog is fed in its interval: one feeding that
	// comes late or is lost does no harm.
	feeds = 4
)

// Service is what a Supervisor watches.
type Service interface {
	// Alive returns nil when the service's own loop answers before ctx ends.
	Alive(ctx context.Context) error
	// State is one line on what the service does, for people, and whether its
	// start is complete. It is asked only after Alive returned nil.
	State() (line string, ready bool)
}

// told is what a Supervisor tells a service manager; a Notifier is one.
type told interface {
	Ready() error
	Status(line string) error
	Alive() error
}

// Supervisor tells the service manager when a service is ready, what it does
// and that it lives. Only the service's loop feeds the watchdog: a process whose
// loop hangs is restarted however alive the rest of it is.
type Supervisor struct {
	Service Service
	// Manager is told.
	Manager Notifier
	// Watchdog is the service manager's interval; 0: it does not watch.
	Watchdog time.Duration
}

// Run supervises until ctx ends. An error is that of the first message that did
// not reach the service manager; supervision goes on, and ends with ctx.
func (s Supervisor) Run(ctx context.Context) error {
	return supervise(ctx, s.Service, s.Manager, s.Watchdog)
}

func supervise(ctx context.Context, s Service, manager told, watchdog time.Duration) error {
	pace := statusPoll
	if watchdog > 0 {
		pace = min(pace, watchdog/feeds)
	}
	var failed error
	tell := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	var shown string
	ready := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return failed
		}
		if answers(ctx, s, pace) {
			if watchdog > 0 {
				tell(manager.Alive())
			}
			line, complete := s.State()
			if line != shown {
				shown = line
				tell(manager.Status(line))
			}
			if complete && !ready {
				ready = true
				tell(manager.Ready())
			}
		}
		timer.Reset(pause(ready, pace))
	}
}

func pause(ready bool, pace time.Duration) time.Duration {
	if ready {
		return pace
	}
	return min(startPoll, pace)
}

func answers(ctx context.Context, s Service, patience time.Duration) bool {
	asked, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the loop does not answer"))
	defer cancel()
	return s.Alive(asked) == nil
}
