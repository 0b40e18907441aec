// Package readiness tells balancers in front of the API servers whether this node
// should get traffic.
//
//	agent ── Ready ──► Server ── /readyz on readiness.listen ──► HAProxy, a cloud's balancer
package readiness

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/vipd/vipd/internal/listener"
)

// patience is how long the daemon may take to answer. It answers within
// microseconds unless its loop is stuck.
const patience = time.Second

// Node is the node that is asked about.
type Node interface {
	// Ready returns nil while the node should get traffic; the error says why it
	// should not.
	Ready(ctx context.Context) error
}

// Server answers balancers, by plain HTTP.
type Server struct {
	// Address is host:port, readiness.listen.
	Address string
	Node    Node
	Log     *slog.Logger

	// listen is net.ListenConfig's unless a test replaces it.
	listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Serve answers until ctx ends, which is to be after the daemon has handed over:
// until then a balancer is told that the node stops. It never gives up before;
// until it can listen, balancers take the node for down.
func (s *Server) Serve(ctx context.Context) {
	l := listener.Listener{Key: "readiness.listen", Address: s.Address, Handler: s.handler(), Log: s.Log, Listen: s.listen}
	l.Run(ctx)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.Node.Ready(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}
