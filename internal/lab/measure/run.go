package measure

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options of a client process.
type Options struct {
	// Target is the VIP and port.
	Target netip.AddrPort
	// Every is the time between the starts of two requests. Zero sends none.
	Every time.Duration
	// Timeout is how long a request may take. It is below the kernel's first
	// retransmission of a SYN (1 s), so that a lost SYN is a failure.
	Timeout time.Duration
	// TLS makes requests by HTTPS; otherwise they are plain, which costs a tenth of the
	// processor time. Streams always use TLS.
	TLS bool
	// Streams is how many long streams to keep open, by HTTP/1.1 and HTTP/2 in turn.
	Streams int
	// Controls are servers by the nodes' own addresses; each gets a control stream.
	Controls []netip.AddrPort
	// Patience is how long a stream may be silent, while a control stream flows,
	// before it is declared broken and opened anew.
	Patience time.Duration
	// CAFile verifies the servers.
	CAFile string
}

// Defaults returns the options of an ordinary measurement of target.
func Defaults(target netip.AddrPort) Options {
	return Options{Target: target, Every: 2 * time.Millisecond, Timeout: 500 * time.Millisecond, Patience: 3 * time.Second}
}

// Run measures until ctx ends and writes a Record a line to out. It returns when
// every request has ended.
func Run(ctx context.Context, opts Options, out io.Writer) error {
	roots, err := readRoots(opts.CAFile)
	if err != nil {
		return err
	}
	rec := newRecorder(out)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return rec.run(ctx) })
	if opts.Every > 0 {
		g.Go(func() error {
			newRequester(opts, roots, rec).run(ctx)
			return nil
		})
	}
	var pulse lastSeen
	for i, addr := range opts.Controls {
		s := stream{id: i, control: true, target: addr, patience: opts.Patience, roots: roots, rec: rec, pulse: &pulse}
		g.Go(func() error {
			s.run(ctx)
			return nil
		})
	}
	for i := range opts.Streams {
		s := stream{id: i, http2: i%2 == 1, target: opts.Target, patience: opts.Patience, roots: roots, rec: rec, pulse: &pulse}
		g.Go(func() error {
			s.run(ctx)
			return nil
		})
	}
	err = g.Wait()
	return errors.Join(err, rec.flush())
}

// readRoots returns nil for no file.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the caller names the file
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read CA: no certificate in %s", file)
	}
	return roots, nil
}

// clientTLS verifies a server under the address it was dialled by.
func clientTLS(roots *x509.CertPool, target netip.AddrPort) *tls.Config {
	return &tls.Config{RootCAs: roots, ServerName: target.Addr().String(), MinVersion: tls.VersionTLS12}
}

// recorder writes records and knows which requests are under way.
type recorder struct {
	mu      sync.Mutex
	buf     *bufio.Writer
	enc     *json.Encoder
	pending map[int]time.Time // starts by number
	err     error             // the first failure to write
}

func newRecorder(out io.Writer) *recorder {
	buf := bufio.NewWriter(out)
	return &recorder{buf: buf, enc: json.NewEncoder(buf), pending: make(map[int]time.Time)}
}

// begin notes the start of request number n and returns its time.
func (r *recorder) begin(n int) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.pending[n] = now
	return now
}

// finish records the end of request number n.
func (r *recorder) finish(n int, q Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, n)
	r.write(Record{Request: &q})
}

func (r *recorder) stream(s Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(Record{Stream: &s})
}

// write keeps the first error for flush. The caller holds mu.
func (r *recorder) write(record Record) {
	if err := r.enc.Encode(record); err != nil && r.err == nil {
		r.err = fmt.Errorf("write records: %w", err)
	}
}

// flush says up to when all requests are recorded and sends off what is buffered.
func (r *recorder) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	settled := time.Now()
	for _, start := range r.pending {
		if start.Before(settled) {
			settled = start
		}
	}
	r.write(Record{Settled: settled})
	if err := r.buf.Flush(); err != nil && r.err == nil {
		r.err = fmt.Errorf("write records: %w", err)
	}
	return r.err
}

// run flushes now and then until ctx ends or the reader of the records is gone.
func (r *recorder) run(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
}
