package gobgp

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// reaper ends the goroutine of a server that has stopped. gobgp has no word for
// that, and each change of a neighbour would leave one behind; but that goroutine
// calls a hook after each operation, with nothing locked. The last operation is
// the end of the watch, which waits for an answer.
type reaper struct {
	// deleting belongs to the server's goroutine: the operation that runs deletes
	// the peer. deleted gets a value after each one that did.
	deleting bool
	deleted  chan struct{}
	// last: the next operation is.
	last atomic.Bool
	// peerless: the peer is gone, and was not replaced.
	peerless atomic.Bool
}

// Observe implements gobgp's FSMTimingHook.
func (r *reaper) Observe(op server.FSMOperation, _, _ time.Duration) {
	switch {
	case op != server.FSMMgmtOp:
	case r.last.Load():
		runtime.Goexit()
	case r.deleting:
		r.deleting = false
		r.deleted <- struct{}{}
	}
}

// deletes is told, by the server's goroutine, that it deletes the peer.
func (r *reaper) deletes() { r.deleting = true }

// reap ends the goroutine of a server that has stopped. endWatch is nil if there
// is no watch, and then no peer either; otherwise stopping deleted the peer. A
// server that lost its peer before is left running: nothing tells when it has
// done its last but one operation. Nothing may be asked of the server after that.
func (r *reaper) reap(s *server.BgpServer, endWatch context.CancelFunc) {
	if endWatch == nil {
		r.last.Store(true)
		_, _ = s.GetBgp(context.Background(), &api.GetBgpRequest{}) // the answer does not matter
		return
	}
	if r.peerless.Load() {
		endWatch()
		return
	}
	<-r.deleted
	r.last.Store(true)
	endWatch()
}
