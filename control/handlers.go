package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/vipd/vipd/agent"
)

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	reply(w, s.agent.Status())
}

func (s *Server) history(w http.ResponseWriter, _ *http.Request) {
	entries := s.agent.History()
	if entries == nil {
		// An empty list, not null.
		entries = []agent.Entry{}
	}
	reply(w, entries)
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	lines := newLines(w)
	// The client learns at once that it is watching.
	if err := lines.begin(); err != nil {
		return
	}
	err := s.agent.Watch(r.Context(), func(e agent.Entry) error { return lines.send(e) })
	if err != nil && r.Context().Err() == nil {
		lines.fail(err)
	}
}

// drain answers with its progress. The headers wait for the first line, so that
// a request that cannot begin gets the status that tells why.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	var body drainBody
	if err := decode(w, r, &body); err != nil {
		fail(w, err)
		return
	}
	// A client that went away ends the drain; so does one that takes no lines.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := newLines(w)
	concluded := false
	request := agent.DrainRequest{
		VIP: body.VIP, Timeout: time.Duration(body.Timeout), Force: body.Force,
		WaitConnections: body.WaitConnections, WaitLimit: time.Duration(body.WaitLimit),
	}
	result, err := s.agent.Drain(ctx, request, func(p agent.DrainProgress) {
		concluded = p.Result != ""
		if lines.send(p) != nil {
			cancel()
		}
	})
	switch {
	case concluded:
	case err != nil && result != "":
		// It ended, with something to add: the last line has both. A line
		// that cannot be sent has no reader any more.
		end := agent.DrainProgress{Time: time.Now(), VIP: body.VIP, Message: err.Error(), Result: result}
		_ = lines.send(drainLine{DrainProgress: end, Error: err.Error()})
	case err != nil:
		lines.fail(err)
	default:
		_ = lines.send(agent.DrainProgress{Time: time.Now(), VIP: body.VIP, Message: conclusion(result), Result: result})
	}
}

// conclusion puts a result into words.
func conclusion(r agent.DrainResult) string {
	switch r {
	case agent.DrainDone:
		return "done"
	case agent.DrainReset:
		return "done; connections that were left have been ended"
	case agent.DrainNoSuccessor:
		return "no healthy successor was heard in time"
	case agent.DrainCancelled:
		return "cancelled; what had not moved was undone"
	}
	panic("control: unhandled drain result " + string(r))
}

func (s *Server) undrain(w http.ResponseWriter, r *http.Request) {
	var body undrainBody
	if err := decode(w, r, &body); err != nil {
		fail(w, err)
		return
	}
	if err := s.agent.Undrain(r.Context(), body.VIP); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := decode(w, r, &struct{}{}); err != nil {
		fail(w, err)
		return
	}
	err := s.agent.Reload(r.Context())
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, agent.ErrStopping), errors.Is(err, context.Canceled):
		fail(w, err)
	default:
		fail(w, &requestError{http.StatusUnprocessableEntity, err.Error()})
	}
}

// decode reads the body of r into v. No body leaves v as it is.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d KiB", maxBody>>10)}
	}
	if err != nil {
		return &requestError{http.StatusBadRequest, "read the request: " + err.Error()}
	}
	// Without a deadline again: the server's background read, which would take
	// it for a client that went away, lasts as long as the request.
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if err := unmarshal(data, v); err != nil {
		return &requestError{http.StatusBadRequest, "the request is not what was expected: " + err.Error()}
	}
	return nil
}

// reply answers with one JSON document.
func reply(w http.ResponseWriter, v any) { replyWith(w, http.StatusOK, v) }

// fail answers with an error.
func fail(w http.ResponseWriter, err error) { replyWith(w, statusOf(err), errorBody{err.Error()}) }

func replyWith(w http.ResponseWriter, status int, v any) {
	// A client that is gone or stuck gets nothing; there is nobody to tell.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
