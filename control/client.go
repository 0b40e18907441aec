package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/vipd/vipd/agent"
)

// ErrNotRunning tells that no daemon listens on the socket.
var ErrNotRunning = errors.New("vipd is not running")

// ErrDenied tells that this user may not open the socket, or not change things.
var ErrDenied = errors.New("permission denied")

// ErrRefused tells that the daemon understood, and what was asked for is wrong:
// a VIP that does not exist, a configuration with mistakes.
var ErrRefused = errors.New("refused")

// Client talks to the daemon on this host. Its methods return errors that wrap
// [ErrNotRunning], [ErrDenied], [ErrRefused] or [agent.ErrStopping] where one
// of these is the cause; the text of each is for the operator.
type Client struct {
	socket string
	http   *http.Client
	// patience is how long a daemon may take to answer what needs no waiting.
	patience time.Duration
}

// NewClient returns a client of the daemon that listens on the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	return &Client{
		socket:   path,
		http:     &http.Client{Transport: &http.Transport{DialContext: dial}},
		patience: 10 * time.Second,
	}
}

// Close ends the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status is the node's present state.
func (c *Client) Status(ctx context.Context) (agent.Status, error) {
	var status agent.Status
	err := c.ask(ctx, http.MethodGet, pathStatus, nil, &status)
	return status, err
}

// History is the last changes, oldest first.
func (c *Client) History(ctx context.Context) ([]agent.Entry, error) {
	var entries []agent.Entry
	err := c.ask(ctx, http.MethodGet, pathHistory, nil, &entries)
	return entries, err
}

// Undrain lets the named VIP, or with an empty name all, be held again.
func (c *Client) Undrain(ctx context.Context, vip string) error {
	return c.ask(ctx, http.MethodPost, pathUndrain, undrainBody{VIP: vip}, nil)
}

// Reload makes the daemon read its configuration anew. [ErrRefused]: the new
// one is bad and the old one stays in force.
func (c *Client) Reload(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, pathReload, nil, nil)
}

// Watch calls fn with each VIP's present state and then with each change, until
// ctx ends (nil), fn fails (its error) or the daemon goes away.
func (c *Client) Watch(ctx context.Context, fn func(agent.Entry) error) error {
	body, err := c.open(ctx, http.MethodGet, pathWatch, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	for lines := json.NewDecoder(body); ; {
		var line watchLine
		if err := lines.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return c.interrupted("watch", err)
		}
		if line.Error != "" {
			return fmt.Errorf("watch: %s", line.Error)
		}
		if err := fn(line.Entry); err != nil {
			return err
		}
	}
}

// Drain makes the node give VIPs up and calls fn with the steps, the last of
// which has the result. A result with an error is true, but something was left
// undone. When ctx ends first, the daemon undoes what has not moved.
func (c *Client) Drain(ctx context.Context, r agent.DrainRequest, fn func(agent.DrainProgress)) (agent.DrainResult, error) {
	body, err := c.open(ctx, http.MethodPost, pathDrain,
		drainBody{
			VIP: r.VIP, Timeout: duration(r.Timeout), Force: r.Force,
			WaitConnections: r.WaitConnections, WaitLimit: duration(r.WaitLimit),
		})
	switch {
	case ctx.Err() != nil && err != nil:
		return agent.DrainCancelled, fmt.Errorf("drain: %w", ctx.Err())
	case err != nil:
		return "", err
	}
	defer func() { _ = body.Close() }() // it was only read
	for lines := json.NewDecoder(body); ; {
		var line drainLine
		if err := lines.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return agent.DrainCancelled, fmt.Errorf("drain: %w", ctx.Err())
			}
			return "", c.interrupted("drain", err)
		}
		if line.Error == "" || line.Result != "" {
			fn(line.DrainProgress)
		}
		switch {
		case line.Error != "":
			return line.Result, fmt.Errorf("drain: %s", line.Error)
		case line.Result != "":
			return line.Result, nil
		}
	}
}

// ask sends a request whose answer needs no waiting, and reads that into
// answer unless it is nil.
func (c *Client) ask(ctx context.Context, method, path string, request, answer any) error {
	limited, cancel := context.WithTimeoutCause(ctx, c.patience,
		fmt.Errorf("vipd took the connection on %s but does not answer; it may be frozen: see systemctl status vipd", c.socket))
	defer cancel()
	body, err := c.open(limited, method, path, request)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("read the answer of vipd to %s: %w", path, err)
	}
	return nil
}

// open sends a request and returns the body of its answer, if that is a
// success.
func (c *Client) open(ctx context.Context, method, path string, request any) (io.ReadCloser, error) {
	var body io.Reader = http.NoBody
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return nil, fmt.Errorf("ask vipd for %s: %w", path, err)
		}
		body = bytes.NewReader(data)
	}
	// The host name is not looked up; the socket is the address.
	r, err := http.NewRequestWithContext(ctx, method, "http://vipd"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask vipd for %s: %w", path, err)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if answer.StatusCode/100 != 2 {
		defer func() { _ = answer.Body.Close() }() // it was only read
		return nil, failure(answer)
	}
	return answer.Body, nil
}

// unreached says why there was no answer at all.
func (c *Client) unreached(ctx context.Context, err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens on %s; start it (systemctl start vipd), or name its socket with --socket if the configuration cannot be read", ErrNotRunning, c.socket)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: %s is for root and %s; run the command as one of these", ErrDenied, c.socket, groupOf(c.socket))
	case ctx.Err() != nil:
		return fmt.Errorf("ask vipd: %w", context.Cause(ctx))
	}
	return fmt.Errorf("ask vipd on %s: %w", c.socket, err)
}

// interrupted says that the daemon ended an answer in the middle.
func (c *Client) interrupted(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%s: vipd ended the connection; it was stopped or restarted: see vipd status", what)
	}
	return fmt.Errorf("%s: read from vipd: %w", what, err)
}

// failure is the error that an answer tells.
func failure(answer *http.Response) error {
	var body errorBody
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || json.Unmarshal(data, &body) != nil || body.Error == "" {
		body.Error = "vipd answered " + answer.Status
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return &remoteError{body.Error, ErrRefused}
	case http.StatusForbidden:
		return &remoteError{body.Error, ErrDenied}
	case http.StatusServiceUnavailable:
		return &remoteError{body.Error, agent.ErrStopping}
	}
	return &remoteError{body.Error, nil}
}

// remoteError is an error in the daemon's words, of a kind the caller knows.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }
