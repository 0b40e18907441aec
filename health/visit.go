package health

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/health/counter"
)

// maxBody is how much of an answer is read, in bytes. A failing kube-apiserver
// lists its checks in about 3 KiB.
const maxBody = 64 << 10

// visit is one probe of a server: its questions and the lines it opened.
type visit struct {
	probe    *httpProbe
	material *material // nil: plain HTTP
	// certificate is the one the server showed last; two lines may be dialled at
	// once, if readiness hangs.
	certificate atomic.Pointer[Certificate]

	mu    sync.Mutex
	lines []*line
}

// answer is what one question came to.
type answer struct {
	outcome counter.Outcome
	reason  string    // one line, empty for OK
	at      time.Time // when it was known
	line    *line     // fit to be kept; nil if it is not
	// unconnected: the question was not put, for want of a connection.
	unconnected bool
}

// patience is the part of the time-out for which an answer about readiness may
// keep liveness waiting: far longer than a good one takes, and most of the
// time-out is left.
const patience = 10

// both asks about readiness, and about liveness only if readiness is not
// answered well: who is ready lives. A readyz that hangs must neither delay livez
// nor cost a second time-out, so livez is asked beside it then.
func (v *visit) both(ctx context.Context) (ready, live answer) {
	p := v.probe
	if p.live == nil {
		ready = v.askAnew(ctx, p.ready)
		return ready, answer{outcome: livenessFrom(ready.outcome)}
	}
	beside, cancel := context.WithCancel(ctx)
	defer cancel()
	liveness := make(chan answer, 1)
	hangs := time.AfterFunc(p.timeout/patience, func() { liveness <- v.askAnew(beside, p.live) })
	ready = v.askAnew(ctx, p.ready)
	asked := !hangs.Stop()
	if ready.outcome == counter.OK {
		cancel()
	}
	if asked {
		live = <-liveness
	}
	switch {
	case ready.outcome == counter.OK:
		return ready, answer{outcome: counter.OK}
	case asked:
		return ready, live
	}
	return v.askAfter(ctx, ready)
}

// askAfter asks about liveness after the question about readiness has ended, by
// the same connection if it can.
func (v *visit) askAfter(ctx context.Context, ready answer) (_, live answer) {
	p := v.probe
	if dialAddress(p.live) != dialAddress(p.ready) {
		return ready, v.askAnew(ctx, p.live)
	}
	switch {
	case ready.unconnected:
		return ready, ready
	case ready.line == nil:
		return ready, v.askAnew(ctx, p.live)
	}
	live = v.ask(ctx, p.live, ready.line)
	if live.line != ready.line {
		ready.line = nil // it did not outlive the question
	}
	return ready, live
}

// livenessFrom is what the answer about readiness shows about life where there
// is no other question. A time-out or 5xx shows nothing: only liveness_url may
// call a server hung.
func livenessFrom(ready counter.Outcome) counter.Outcome {
	switch ready {
	case counter.OK, counter.Unauthorised, counter.NotReady, counter.Refused:
		return ready
	case counter.Unasked, counter.ServerError, counter.Timeout, counter.Unreachable, counter.Untrusted, counter.Unconfigured:
		return counter.Unasked
	}
	panic(fmt.Sprintf("health: unknown outcome %d", uint8(ready)))
}

// askAnew puts a question on a line of its own.
func (v *visit) askAnew(ctx context.Context, u *url.URL) answer {
	l, failed := v.connect(ctx, u)
	if l == nil {
		return failed
	}
	return v.ask(ctx, u, l)
}

// connect opens a line, or says why there is none.
func (v *visit) connect(ctx context.Context, u *url.URL) (*line, answer) {
	l, failed := v.connectOnce(ctx, u)
	if failed.cut(ctx) {
		l, failed = v.connectOnce(ctx, u)
	}
	failed.unconnected = l == nil
	return l, failed
}

func (v *visit) connectOnce(ctx context.Context, u *url.URL) (*line, answer) {
	var session *tls.Config
	if v.material != nil {
		session = v.material.session(onLoopback(u), func(c tls.ConnectionState) {
			v.certificate.Store(describe(c.PeerCertificates[0], v.probe.endpoint))
		})
	}
	l, err := dial(ctx, u, session)
	if err != nil {
		return nil, v.failure(ctx, u, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lines = append(v.lines, l)
	return l, answer{}
}

// ask puts a question on a line, and once more on another if that one is cut.
func (v *visit) ask(ctx context.Context, u *url.URL, l *line) answer {
	a := v.get(ctx, u, l)
	if !a.cut(ctx) {
		return a
	}
	l, failed := v.connect(ctx, u)
	if l == nil {
		return failed
	}
	return v.get(ctx, u, l)
}

// cut reports whether it is worth asking again at once. A server that dies
// closes its listener and its connections one after the other, so a connection
// that it accepted in its last instant is cut off; that says little, where
// another try finds the port closed, which is proof.
func (a answer) cut(ctx context.Context) bool {
	return a.outcome == counter.Unreachable && ctx.Err() == nil
}

func (v *visit) get(ctx context.Context, u *url.URL, l *line) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return v.failure(ctx, u, err)
	}
	req.Header.Set("User-Agent", "vipd")
	if v.material != nil && v.material.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.material.token)
	}
	resp, err := l.http.RoundTrip(req)
	if err != nil {
		return v.failure(ctx, u, l.explain(err))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	_ = resp.Body.Close()
	if err == nil {
		// Some servers end an answer because the client hangs up on it.
		err = ctx.Err()
	}
	if err != nil {
		return v.failure(ctx, u, err)
	}
	a := judge(u, resp.StatusCode, body)
	a.at = time.Now()
	if drained := len(body) <= maxBody; drained && !resp.Close {
		a.line = l
	}
	return a
}

// leave closes all lines but the one that is fit to be the next trip wire, and
// returns that; nil if there is none.
func (v *visit) leave(ready answer) *line {
	var kept *line
	if ready.outcome == counter.OK || ready.outcome == counter.Unauthorised {
		kept = ready.line
	}
	for _, l := range v.lines {
		if l != kept {
			l.close()
		}
	}
	return kept
}
