package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vipd/vipd/agent"
)

// The paths of the API.
const (
	pathStatus  = "/v1/status"
	pathHistory = "/v1/history"
	pathWatch   = "/v1/watch"
	pathDrain   = "/v1/drain"
	pathUndrain = "/v1/undrain"
	pathReload  = "/v1/reload"
)

// drainBody is the body of a drain. All of it may be left out.
type drainBody struct {
	VIP     string   `json:"vip,omitempty"`
	Timeout duration `json:"timeout,omitzero"`
	Force   bool     `json:"force,omitempty"`
	// WaitConnections waits for open connections, for WaitLimit at the most.
	WaitConnections bool     `json:"wait_connections,omitempty"`
	WaitLimit       duration `json:"wait_limit,omitzero"`
}

// undrainBody is the body of an undrain. All of it may be left out.
type undrainBody struct {
	VIP string `json:"vip,omitempty"`
}

// errorBody is every answer that is not a success, and the last line of a
// stream that failed after it had begun.
type errorBody struct {
	Error string `json:"error"`
}

// drainLine is a line of a drain's answer: progress, or its end, which has a
// result, an error or both.
type drainLine struct {
	agent.DrainProgress
	Error string `json:"error,omitempty"`
}

// watchLine is a line of a watch's answer: a change, or an error as its end.
type watchLine struct {
	agent.Entry
	Error string `json:"error"`
}

// duration is written as in the configuration: "30s".
type duration time.Duration

// MarshalJSON writes the duration as "1m30s".
func (d duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a duration of no less than zero.
func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf(`timeout: %s is not a duration; write one such as "30s"`, data)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return fmt.Errorf(`timeout: %q is not a duration; write one such as "30s"`, text)
	}
	*d = duration(parsed)
	return nil
}

// requestError is an error with the HTTP status that tells it.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

// statusOf is the HTTP status that tells err.
func statusOf(err error) int {
	var request *requestError
	var unknown *agent.UnknownVIPError
	switch {
	case errors.As(err, &request):
		return request.status
	case errors.As(err, &unknown):
		return http.StatusNotFound
	case errors.Is(err, agent.ErrStopping):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
