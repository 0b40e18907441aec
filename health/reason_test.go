package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/health/counter"
)

func TestBlame(t *testing.T) {
	elsewhere := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 6443}
	here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6443}
	source := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
	type blame struct {
		Outcome counter.Outcome
		Reason  string
	}
	for _, row := range []struct {
		name string
		err  error
		want blame
	}{
		{"a local port refused", &net.OpError{Op: "dial", Net: "tcp", Addr: here, Err: syscall.ECONNREFUSED},
			blame{counter.Refused, "refused: nothing listens on 127.0.0.1:6443; is the server running?"}},
		{"another host refused: it may be a firewall", &net.OpError{Op: "dial", Net: "tcp", Addr: elsewhere, Err: syscall.ECONNREFUSED},
			blame{counter.Unreachable, "no connection: dial tcp 203.0.113.1:6443: connection refused"}},
		{"no such name", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "api.example", IsNotFound: true}},
			blame{counter.Unreachable, "the name api.example is not known; an address needs no name server"}},
		{"no name server", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "api.example", IsTimeout: true}},
			blame{counter.Unreachable, "no name server tells the address of api.example; an address needs none"}},
		{"a reset: the reason does not hold this connection's port", fmt.Errorf("read: %w", &net.OpError{Op: "read", Net: "tcp", Source: source, Addr: here, Err: syscall.ECONNRESET}),
			blame{counter.Unreachable, "no proper answer: read: read: connection reset by peer"}},
		{"the kernel gave up connecting", &net.OpError{Op: "dial", Net: "tcp", Addr: elsewhere, Err: syscall.ETIMEDOUT},
			blame{counter.Timeout, "no answer within 1s (dial tcp 203.0.113.1:6443: connection timed out)"}},
		{"an alert of the server", &net.OpError{Op: remoteError, Err: errors.New("tls: certificate required")},
			blame{counter.Untrusted, "the server ended the TLS handshake (tls: certificate required); does it want cert_file and key_file?"}},
		{"an end", io.ErrUnexpectedEOF, blame{counter.Unreachable, "no proper answer: unexpected EOF"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := visit{probe: &httpProbe{timeout: time.Second}}
			o, reason := v.blame(context.Background(), row.err)
			if diff := cmp.Diff(row.want, blame{o, reason}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"line ends and runs of blanks become one blank", "a\r\n  b\tc ", "a b c"},
		{"escapes are taken out", "\x1b]0;title\x07x", "]0;title x"},
		{"bytes that are no UTF-8 are replaced", "a\xffb", "a?b"},
		{"long text is cut", strings.Repeat("ä", maxReason+1), strings.Repeat("ä", maxReason) + "..."},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, oneLine(row.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
