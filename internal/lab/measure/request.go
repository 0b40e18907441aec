package measure

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// requester starts requests in an open loop.
type requester struct {
	target  netip.AddrPort
	every   time.Duration
	timeout time.Duration
	tls     *tls.Config // nil for plain HTTP
	rec     *recorder
}

func newRequester(opts Options, roots *x509.CertPool, rec *recorder) *requester {
	r := &requester{target: opts.Target, every: opts.Every, timeout: opts.Timeout, rec: rec}
	if opts.TLS {
		r.tls = clientTLS(roots, opts.Target)
	}
	return r
}

// run starts request n at n times the interval after the first, late ones at
// once, until ctx ends; it returns when all have ended.
func (r *requester) run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(n) * r.every)
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		at := r.rec.begin(n)
		under.Go(func() {
			node, err := r.ask(at.Add(r.timeout))
			q := Request{At: at, Took: time.Since(at), Late: max(0, at.Sub(due)), Node: node, Error: word(err)}
			r.rec.finish(n, q)
		})
	}
}

// ask makes one request on a fresh connection and returns the node's name.
func (r *requester) ask(deadline time.Time) (string, error) {
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", r.target.String())
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // all was read, or the error told
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if r.tls != nil {
		conn = tls.Client(conn, r.tls)
	}
	if _, err := fmt.Fprintf(conn, "GET /whoami HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", r.target); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return "", statusError(resp.StatusCode)
	}
	var node strings.Builder
	_, err = io.Copy(&node, resp.Body)
	return node.String(), err
}

// statusError is an answer other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// word puts an error into one of the Err words; empty for none.
func word(err error) string {
	var status statusError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errSilent):
		return ErrSilent
	case errors.As(err, &status):
		return ErrStatus
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrReset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return ErrTimeout
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return ErrUnreachable
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ErrClosed
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrTimeout
	}
	return ErrOther
}
