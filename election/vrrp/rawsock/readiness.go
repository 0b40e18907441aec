package rawsock

import (
	"context"
	"sync/atomic"
)

// readiness is the hand-shake between the one who sees that the queue is not
// empty and the loop, which empties it. The queue is reported once and not
// looked at again until the loop has found it empty. So a slow loop is not asked
// twice, and a packet that arrives while the loop finishes is seen by the look
// that follows. A drain that nobody asked for is no word. There may be a report
// for which there is nothing.
type readiness struct {
	asked   atomic.Bool   // the watcher waits for word of a drain
	ready   chan struct{} // to the loop: there may be packets
	drained chan struct{} // from the loop: the queue was empty
	closed  chan struct{} // the socket is closed
}

// newReadiness reports on ready, or on a channel of its own.
func newReadiness(ready chan struct{}) *readiness {
	if ready == nil {
		ready = make(chan struct{}, 1)
	}
	return &readiness{
		ready:   ready,
		drained: make(chan struct{}, 1),
		closed:  make(chan struct{}),
	}
}

// watch reports each time that look, which blocks until the queue is not empty,
// has returned. It ends with look's error, or with nil when ctx or the socket
// ends while the loop has the word.
func (r *readiness) watch(ctx context.Context, look func() error) error {
	for {
		if err := look(); err != nil {
			return err
		}
		r.asked.Store(true)
		select {
		case r.ready <- struct{}{}:
		default: // the loop has been told already and has not come yet
		}
		select {
		case <-r.drained:
		case <-r.closed:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// rearm is called by the loop when it found the queue empty.
func (r *readiness) rearm() {
	if !r.asked.CompareAndSwap(true, false) {
		return
	}
	select {
	case r.drained <- struct{}{}:
	default: // said already, and not yet heard
	}
}
