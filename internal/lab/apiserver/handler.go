package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// handler answers the requests of one server.
type handler struct {
	node string
	tick time.Duration

	mu       sync.Mutex
	mode     Mode
	changed  chan struct{} // closed at the next change of mode
	stopping bool
}

func newHandler(node string, tick time.Duration) *handler {
	return &handler{node: node, tick: tick, mode: Ready, changed: make(chan struct{})}
}

func (h *handler) setMode(m Mode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = m
	close(h.changed)
	h.changed = make(chan struct{})
}

// stop makes the server unready for good.
func (h *handler) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

func (h *handler) state() (mode Mode, stopping bool, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mode, h.stopping, h.changed
}

// awaken waits while the server is hung. It returns false if the client went
// away meanwhile.
func (h *handler) awaken(ctx context.Context) bool {
	for {
		mode, _, changed := h.state()
		if mode != Hung {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// ServeHTTP serves the paths of the package's doc.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.awaken(r.Context()) {
		panic(http.ErrAbortHandler) // returning would be an answer: 200 without a body
	}
	mode, stopping, _ := h.state()
	switch r.URL.Path {
	case "/whoami":
		fmt.Fprint(w, h.node)
	case "/stream":
		h.stream(w, r)
	case "/sink":
		_, _ = io.Copy(io.Discard, r.Body) // ends with the client
	case "/readyz":
		probe(w, mode, mode == Unready || mode == Unwell || stopping)
	case "/livez":
		probe(w, mode, mode == Unwell)
	default:
		http.NotFound(w, r)
	}
}

func probe(w http.ResponseWriter, mode Mode, failing bool) {
	switch {
	case mode == Unauthorised:
		http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
	case failing:
		http.Error(w, "check failed", http.StatusInternalServerError)
	default:
		fmt.Fprint(w, "ok")
	}
}

// stream writes a line each tick until the client or the server is gone.
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w)
	tick := time.NewTicker(h.tick)
	defer tick.Stop()
	for n := 0; h.awaken(r.Context()); n++ {
		if _, err := fmt.Fprintf(w, "%s %d\n", h.node, n); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// control answers on the control socket: PUT / with a mode.
func (h *handler) control(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64))
	if err != nil {
		return
	}
	mode, err := parseMode(string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.setMode(mode)
}
