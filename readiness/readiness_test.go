package readiness

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// node answers err.
type node struct{ err error }

func (n node) Ready(context.Context) error { return n.err }

// stuck never answers.
type stuck struct{}

func (stuck) Ready(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestReadyz(t *testing.T) {
	tests := []struct {
		name         string
		node         Node
		method, path string
		status       int
		text         string
	}{
		{"ready", node{}, http.MethodGet, "/readyz", 200, "ok"},
		{"ready, asked by HEAD", node{}, http.MethodHead, "/readyz", 200, ""},
		{"not ready: the reason", node{errors.New("apiserver is drained from this node")}, http.MethodGet, "/readyz", 503, "is drained"},
		{"a loop that does not answer", stuck{}, http.MethodGet, "/readyz", 503, "deadline exceeded"},
		{"another path", node{}, http.MethodGet, "/", 404, "not found"},
		{"another method", node{}, http.MethodPost, "/readyz", 405, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := Server{Node: test.node, Log: slog.New(slog.DiscardHandler)}
				w := httptest.NewRecorder()
				s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil))
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.text) {
					t.Errorf("%d %q; want %d with %q", w.Code, w.Body, test.status, test.text)
				}
			})
		})
	}
}
