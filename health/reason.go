package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/vipd/vipd/health/counter"
)

// maxReason is the most of a foreign text that goes into a reason, in runes.
const maxReason = 300

// oneLine makes foreign text fit for a log line and a terminal: one line, of
// bounded length, without control characters.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason]) + "..."
	}
	return text
}

// judge turns an HTTP answer into an outcome. Redirects are not followed:
// where they lead is not what was asked about.
func judge(u *url.URL, status int, body []byte) answer {
	said := fmt.Sprintf("%s answers %d", u, status)
	switch {
	case status >= 200 && status <= 299:
		return answer{outcome: counter.OK}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return answer{outcome: counter.Unauthorised,
			reason: said + ": not authorised; set kubeconfig, or cert_file and key_file, or allow anonymous access to it"}
	case status >= 500:
		return answer{outcome: counter.ServerError, reason: oneLine(said + ": " + complaint(body))}
	case status >= 300 && status <= 399:
		return answer{outcome: counter.NotReady, reason: said + ": redirects are not followed; set the URL it leads to"}
	}
	return answer{outcome: counter.NotReady, reason: oneLine(said + ": " + complaint(body))}
}

// complaint is the part of a body that says what is wrong: the failed checks
// that kube-apiserver marks with [-], else the first line.
func complaint(body []byte) string {
	var failed []string
	for line := range bytes.Lines(body) {
		if text, ok := bytes.CutPrefix(line, []byte("[-]")); ok {
			failed = append(failed, string(bytes.TrimSpace(text)))
		}
	}
	if len(failed) > 0 {
		return strings.Join(failed, ", ")
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(first) == 0 {
		return "(no text)"
	}
	return string(first)
}

// failure turns the error of a question without an answer into an outcome.
func (v *visit) failure(ctx context.Context, u *url.URL, err error) answer {
	a := answer{at: time.Now()}
	a.outcome, a.reason = v.blame(ctx, err)
	a.reason = oneLine(fmt.Sprintf("%s: %s", u, a.reason))
	return a
}

func (v *visit) blame(ctx context.Context, err error) (counter.Outcome, string) {
	if o, reason, ok := blameConnection(ctx, v.probe.timeout, err); ok {
		return o, reason
	}
	if reason, ok := v.blameTLS(err); ok {
		return counter.Untrusted, reason
	}
	return counter.Unreachable, "no proper answer: " + steady(err)
}

// steady is the error's text without this connection's own port, which would
// make each probe's reason a new one.
func steady(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Source == nil {
		return err.Error()
	}
	return strings.Replace(err.Error(), op.Error(), op.Op+": "+op.Err.Error(), 1)
}

// blameConnection covers what a connection of any kind may fail with; false if
// it is something else.
func blameConnection(ctx context.Context, timeout time.Duration, err error) (counter.Outcome, string, bool) {
	var (
		lookup  *net.DNSError
		network net.Error
		op      *net.OpError
	)
	isOp := errors.As(err, &op)
	switch {
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return counter.Unreachable, fmt.Sprintf("the name %s is not known; an address needs no name server", lookup.Name), true
	case errors.As(err, &lookup):
		return counter.Unreachable, fmt.Sprintf("no name server tells the address of %s; an address needs none", lookup.Name), true
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return counter.Timeout, fmt.Sprintf("no answer within %s (%s)", timeout, steady(err)), true
	case errors.Is(err, syscall.ECONNREFUSED) && isOp && local(op.Addr):
		return counter.Refused, fmt.Sprintf("refused: nothing listens on %s; is the server running?", op.Addr), true
	case isOp && op.Op == "dial":
		return counter.Unreachable, fmt.Sprintf("no connection: %v", op), true
	}
	return counter.Unasked, "", false
}

func (v *visit) blameTLS(err error) (string, bool) {
	var (
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		other     *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return fmt.Sprintf("the server's certificate is not signed by a CA in %s (%v); set ca_file to the CA that signed it", v.material.authority, authority), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s is valid from %s to %s, not now; renew it, or set this host's clock", invalid.Cert.Subject,
			invalid.Cert.NotBefore.Format(time.DateTime), invalid.Cert.NotAfter.Format(time.DateTime)), true
	case errors.As(err, &name):
		return fmt.Sprintf("the server's certificate does not have server_name (%v); correct server_name or leave it empty", name), true
	case errors.As(err, &other):
		return fmt.Sprintf("the server's certificate is not good: %v", other.Err), true
	case errors.As(err, &record):
		return fmt.Sprintf("the server does not speak TLS (%v); is type: http meant?", record), true
	case errors.As(err, &op) && op.Op == remoteError:
		return fmt.Sprintf("the server ended the TLS handshake (%v); does it want cert_file and key_file?", op.Err), true
	}
	return "", false
}
