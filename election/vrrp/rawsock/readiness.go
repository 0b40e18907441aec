package rawsock

import "context"

// readiness is the hand-shake between the one who sees that the queue is not
// empty and the loop, which empties it. The queue is reported once and not
// looked at again until the loop has found it empty. So a slow loop is not asked
// twice, and a packet that arrives while the loop finishes is seen by the look
// that follows. Word of a drain that nobody asked for costs one more look, and
// at most one report for which there is nothing.
type readiness struct {
	ready   chan struct{} // to the loop: there may be packets
	drained chan struct{} // from the loop: the queue was empty
	closed  chan struct{} // the socket is closed
}

func newReadiness() readiness {
	return readiness{
		ready:   make(chan struct{}, 1),
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
	select {
	case r.drained <- struct{}{}:
	default: // said already, and not yet heard
	}
}
