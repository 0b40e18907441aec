package measure

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// errSilent is the cause for which a stream is given up.
var errSilent = errors.New("silent while a control stream flows")

// lastSeen is the time of the last line of a stream, or of a group of streams.
type lastSeen struct {
	mu sync.Mutex
	at time.Time
}

// set returns the time before.
func (l *lastSeen) set(at time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.at
	l.at = at
	return before
}

func (l *lastSeen) get() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// stream keeps one long stream open.
type stream struct {
	id       int
	control  bool
	http2    bool
	target   netip.AddrPort
	patience time.Duration
	roots    *x509.CertPool
	rec      *recorder
	pulse    *lastSeen // of all control streams
}

// redial is the pause between two attempts to open a stream.
const redial = 20 * time.Millisecond

// run opens the stream again and again until ctx ends.
func (s *stream) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.follow(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
}

// follow opens the stream and records it until it breaks. An opening that fails is
// not recorded: requests tell that.
func (s *stream) follow(ctx context.Context) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	transport := s.transport()
	defer transport.CloseIdleConnections()
	body, err := s.open(ctx, transport)
	if err != nil {
		return
	}
	defer func() { _ = body.Close() }() // it was only read

	lines := bufio.NewScanner(body)
	var c cadence
	var last lastSeen
	for lines.Scan() {
		now := time.Now()
		if s.control {
			s.pulse.set(now)
		}
		if last.set(now).IsZero() {
			go s.watch(ctx, &last, giveUp)
		}
		if event, gap, worth := c.line(now); worth {
			node, _, _ := strings.Cut(lines.Text(), " ")
			s.rec.stream(Stream{ID: s.id, Control: s.control, Event: event, At: now, Node: node, Gap: gap})
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSilent):
		err = cause
	case cause != nil:
		return // the measurement is over
	}
	if !last.get().IsZero() {
		s.rec.stream(Stream{ID: s.id, Control: s.control, Event: Ended, At: time.Now(), Error: word(err)})
	}
}

func (s *stream) transport() *http.Transport {
	const patience = time.Second
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!s.http2)
	protocols.SetHTTP2(s.http2)
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: patience}).DialContext,
		TLSClientConfig:       clientTLS(s.roots, s.target),
		TLSHandshakeTimeout:   patience,
		ResponseHeaderTimeout: patience,
		Protocols:             protocols,
	}
}

func (s *stream) open(ctx context.Context, transport *http.Transport) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s/stream", s.target), nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // it was only read
		return nil, statusError(resp.StatusCode)
	}
	return resp.Body, nil
}

// watch gives the stream up when it has been silent for its patience although a
// control stream flowed in the meantime. It ends with ctx.
func (s *stream) watch(ctx context.Context, last *lastSeen, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			silentSince := last.get()
			if now.Sub(silentSince) >= s.patience && s.pulse.get().Sub(silentSince) >= s.patience/2 {
				giveUp(errSilent)
				return
			}
		}
	}
}

// cadence decides which lines of a stream are worth a record.
type cadence struct {
	last     time.Time     // line
	recorded time.Time     // last recorded line
	gap      time.Duration // longest since the last record
}

func (c *cadence) line(now time.Time) (event StreamEvent, gap time.Duration, worth bool) {
	if c.last.IsZero() {
		c.last, c.recorded = now, now
		return Opened, 0, true
	}
	c.gap = max(c.gap, now.Sub(c.last))
	c.last = now
	if now.Sub(c.recorded) < lineEvery && c.gap < longGap {
		return Line, 0, false
	}
	gap = c.gap
	c.recorded, c.gap = now, 0
	return Line, gap, true
}
