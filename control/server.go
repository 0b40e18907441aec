package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
)

// Reader tells what this node knows. It is safe from any goroutine.
type Reader interface {
	// Status is the present state.
	Status() agent.Status
	// History is the last changes, oldest first.
	History() []agent.Entry
	// Watch calls fn with each VIP's present state and then with each change.
	// It returns when ctx ends, fn fails or the watcher was too slow, and does
	// not call fn afterwards.
	Watch(ctx context.Context, fn func(agent.Entry) error) error
}

// Operator changes what this node does. It is safe from any goroutine.
type Operator interface {
	// Drain gives VIPs up and calls fn with the steps, never after it
	// returned. When ctx ends first, what had not moved is undone. A result
	// with an error is true, but something was left undone.
	Drain(ctx context.Context, r agent.DrainRequest, fn func(agent.DrainProgress)) (agent.DrainResult, error)
	// Undrain lets the named VIP, or with an empty name all, be held again.
	Undrain(ctx context.Context, vip string) error
	// Reload reads the configuration anew. An error leaves the old one in force
	// and tells file, line and key.
	Reload(ctx context.Context) error
}

// Agent is the daemon behind the socket.
type Agent interface {
	Reader
	Operator
}

// Bounds on clients: a local one that is slower than this is broken, and would
// hold memory of the daemon for ever.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 5 * time.Second
	writeTimeout  = 10 * time.Second
	idleTimeout   = time.Minute
	// stopGrace is what open requests get to end when the server stops.
	stopGrace = time.Second
	maxHeader = 16 << 10
	maxBody   = 64 << 10
)

// Server answers the control API. Make it with NewServer.
type Server struct {
	agent  Agent
	access access
	log    *slog.Logger
	// identify tells who connected.
	identify func(net.Conn) (Peer, error)
}

// NewServer returns a server for a. Members of the named group may change
// things, besides root and this process's user.
func NewServer(a Agent, group string, log *slog.Logger) *Server {
	self := uint32(os.Geteuid()) //nolint:gosec // a uid_t, which is 32 bits
	return &Server{
		agent:    a,
		access:   access{self: self, group: group, groups: systemGroups{}},
		log:      log,
		identify: peerOf,
	}
}

// Serve answers connections of l until ctx ends, then ends open requests, a
// running drain among them, and closes l. It returns nil if ctx ended it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(s.route),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       s.withPeer,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the control socket: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			// Requests that outlast the grace are cut off.
			_ = server.Close()
		}
		return nil
	})
	return g.Wait()
}

type peerKey struct{}

func (s *Server) withPeer(ctx context.Context, c net.Conn) context.Context {
	peer, err := s.identify(c)
	if err != nil {
		s.log.Warn("a client of the control socket is unknown and may only read", "error", err)
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peer)
}

// route is one thing the API can do.
type route struct {
	method  string
	changes bool
	serve   func(http.ResponseWriter, *http.Request)
}

func (s *Server) routes() map[string]route {
	return map[string]route{
		pathStatus:  {method: http.MethodGet, serve: s.status},
		pathHistory: {method: http.MethodGet, serve: s.history},
		pathWatch:   {method: http.MethodGet, serve: s.watch},
		pathDrain:   {method: http.MethodPost, serve: s.drain, changes: true},
		pathUndrain: {method: http.MethodPost, serve: s.undrain, changes: true},
		pathReload:  {method: http.MethodPost, serve: s.reload, changes: true},
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	route, ok := s.routes()[r.URL.Path]
	if !ok {
		fail(w, &requestError{http.StatusNotFound, "no such path: " + r.URL.Path})
		return
	}
	if r.Method != route.method {
		w.Header().Set("Allow", route.method)
		fail(w, &requestError{http.StatusMethodNotAllowed, fmt.Sprintf("%s wants %s, not %s", r.URL.Path, route.method, r.Method)})
		return
	}
	if route.changes {
		if err := s.admit(r); err != nil {
			fail(w, &requestError{http.StatusForbidden, err.Error()})
			return
		}
	}
	route.serve(w, r)
}

// admit refuses a change by someone who may only read, and logs who asked for
// one.
func (s *Server) admit(r *http.Request) error {
	peer, ok := r.Context().Value(peerKey{}).(Peer)
	if !ok {
		return errors.New("the kernel did not tell who is asking; run the command as root on this host")
	}
	if err := s.access.check(peer); err != nil {
		s.log.Warn("change refused", "request", r.URL.Path, "uid", peer.UID, "pid", peer.PID)
		return err
	}
	s.log.Info("change asked for", "request", r.URL.Path, "uid", peer.UID, "pid", peer.PID)
	return nil
}
