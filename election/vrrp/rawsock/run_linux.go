package rawsock

import (
	"context"
	"fmt"
	"time"

	"github.com/vipd/vipd/internal/dontwait"
)

// Ready gets a value when Receive may have frames or an error to note, while
// Run runs. It is never closed.
func (s *Socket) Ready() <-chan struct{} { return s.in.ready }

// Run waits for packets and reports them on Ready until ctx ends or the Socket
// is closed; both are a nil error. It takes nothing out of the queue and parks
// in the runtime's poller, so it costs no thread. Call it once per Socket.
func (s *Socket) Run(ctx context.Context) error { return s.in.run(ctx) }

func (r *receiver) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		// A deadline that has passed wakes the wait below. It fails only if the
		// socket is closed, which wakes it as well.
		_ = r.conn.SetReadDeadline(time.Now())
	})
	defer stop()
	err := r.watch(ctx, func() error { return r.raw.Read(dontwait.Readable) })
	if err == nil || r.ended(ctx) {
		return nil
	}
	return fmt.Errorf("wait for adverts on %s: %w", r.name, err)
}

// ended reports whether Run was meant to end.
func (r *receiver) ended(ctx context.Context) bool {
	select {
	case <-r.closed:
		return true
	default:
		return ctx.Err() != nil
	}
}
