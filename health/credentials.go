package health

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/vipd/vipd/config"
)

// material is what a TLS session with the server needs, as read from files.
type material struct {
	// roots verify the server's chain; nil: the system's roots.
	roots *x509.CertPool
	// authority names where the roots come from, for messages.
	authority string
	// insecure: nothing is verified.
	insecure bool
	// name must be in the server's certificate; empty: names are not judged.
	name string
	// client is shown to a server that asks; it may have no certificate.
	client tls.Certificate
	// token is a bearer token; empty: none.
	token string
	// warning is one line about the material; empty if there is none.
	warning string
}

// session is the TLS configuration of one connection; seen gets the server's
// certificates before they are judged.
//
// There is no session cache: a resumed session would show the certificate of
// the session before, and hide a renewed one.
//
// loopback: the session leaves this host by no wire. Nobody can record it there
// and read it when computers exist that break today's key exchanges, so the one
// that guards against them, and costs as much as all the rest of a probe's
// cryptography, is left out.
func (m *material) session(loopback bool, seen func(tls.ConnectionState)) *tls.Config {
	var exchanges []tls.CurveID // nil: as crypto/tls has it
	if loopback {
		exchanges = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	}
	return &tls.Config{
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: exchanges,
		// A connection for one question: HTTP/2 would exchange its settings first.
		NextProtos: []string{"http/1.1"},
		ServerName: m.name,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &m.client, nil
		},
		// Verification is done in VerifyConnection: crypto/tls cannot verify
		// the chain without the name.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(c tls.ConnectionState) error {
			seen(c)
			return m.verify(c)
		},
	}
}

func (m *material) verify(c tls.ConnectionState) error {
	if m.insecure {
		return nil
	}
	opts := x509.VerifyOptions{Roots: m.roots, DNSName: m.name, Intermediates: x509.NewCertPool()}
	for _, cert := range c.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := c.PeerCertificates[0].Verify(opts); err != nil {
		// What crypto/tls would return, had it verified.
		return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
	}
	return nil
}

// credentials follows the files that an https check names. Contents are
// compared, not modification times: they are a few KiB, and a rewrite within
// one tick of the file system's clock must not be missed.
type credentials struct {
	check      config.Check
	kubeconfig followed
	last       inputs
	good       *material // made from last; nil before the first success
}

// followed is a parsed kubeconfig and the bytes it was parsed from.
type followed struct {
	raw    []byte
	parsed kubeconfig
}

// inputs are the texts that material is made of; a source that is not
// configured is empty.
type inputs struct {
	ca, cert, key, token input
}

type input struct {
	source
	text []byte
}

func (a inputs) equal(b inputs) bool {
	return a.ca.equal(b.ca) && a.cert.equal(b.cert) && a.key.equal(b.key) && a.token.equal(b.token)
}

func (a input) equal(b input) bool { return a.name == b.name && bytes.Equal(a.text, b.text) }

// source is where an input comes from: the file at path, or text that stands
// in a kubeconfig. Both empty: not configured.
type source struct {
	name string // for messages
	path string
	text []byte
}

func fileSource(path string) source { return source{name: path, path: path} }

func (s source) configured() bool { return s.path != "" || len(s.text) > 0 }

func newCredentials(check config.Check) *credentials { return &credentials{check: check} }

// load reads what has changed. When something cannot be used, such as a file
// that is just being written, the last good material stays in use, with a
// warning; the error is for the time before there was any.
func (c *credentials) load() (*material, error) {
	in, err := c.read()
	if err == nil && c.good != nil && in.equal(c.last) {
		return c.good, nil
	}
	var fresh *material
	if err == nil {
		fresh, err = c.make(in)
	}
	if err == nil {
		c.last, c.good = in, fresh
		return fresh, nil
	}
	if c.good == nil {
		return nil, err
	}
	kept := *c.good
	kept.warning = oneLine("still in use as read before: " + err.Error())
	return &kept, nil
}

func (c *credentials) read() (inputs, error) {
	sources, err := c.sources()
	if err != nil {
		return inputs{}, err
	}
	for _, in := range []*input{&sources.ca, &sources.cert, &sources.key, &sources.token} {
		if in.text, err = in.read(); err != nil {
			return inputs{}, err
		}
	}
	return sources, nil
}

// sources finds where each input is. A kubeconfig gives what it has; ca_file,
// cert_file and key_file give the rest.
func (c *credentials) sources() (inputs, error) {
	var in inputs
	if c.check.Kubeconfig != "" {
		var err error
		if in, err = c.kubeconfig.inputs(c.check.Kubeconfig); err != nil {
			return inputs{}, err
		}
	}
	if !in.ca.configured() {
		in.ca.source = fileSource(c.check.CAFile)
	}
	if c.check.Insecure {
		in.ca = input{}
	}
	if c.check.CertFile != "" {
		in.cert.source, in.key.source = fileSource(c.check.CertFile), fileSource(c.check.KeyFile)
	}
	return in, nil
}

func (f *followed) inputs(path string) (inputs, error) {
	raw, err := fileSource(path).read()
	if err != nil {
		return inputs{}, err
	}
	if f.raw == nil || !bytes.Equal(raw, f.raw) {
		parsed, err := parseKubeconfig(path, raw)
		if err != nil {
			return inputs{}, err
		}
		f.raw, f.parsed = raw, parsed
	}
	return f.parsed.inputs(), nil
}

func (s source) read() ([]byte, error) {
	if s.path == "" {
		return s.text, nil
	}
	text, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist yet (before kubeadm init); the check waits for it", s.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w; make it readable, or give vipd CAP_DAC_READ_SEARCH by the drop-in vipd-keys.conf", err)
	case err != nil:
		return nil, err
	}
	return text, nil
}

func (c *credentials) make(in inputs) (*material, error) {
	m := &material{
		authority: in.ca.name,
		insecure:  c.check.Insecure,
		name:      c.check.ServerName,
		token:     strings.TrimSpace(string(in.token.text)),
	}
	var err error
	switch {
	case m.insecure:
		m.warning = "insecure: true, the server's certificate is not verified"
	case !in.ca.configured():
		m.authority = "the system's CA certificates"
	default:
		if m.roots, err = parseBundle(in.ca); err != nil {
			return nil, err
		}
	}
	if in.cert.configured() {
		if m.client, err = tls.X509KeyPair(in.cert.text, in.key.text); err != nil {
			return nil, fmt.Errorf("client certificate %s with key %s: %w", in.cert.name, in.key.name, err)
		}
	}
	return m, nil
}

// parseBundle takes a PEM bundle only when all of it is good: half a bundle is
// one that is just being written, and would miss a CA.
func parseBundle(in input) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	rest := in.text
	found := false
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates from %s: %w", in.name, err)
		}
		pool.AddCert(cert)
		found = true
	}
	if bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("read CA certificates from %s: the last one is cut off", in.name)
	}
	if !found {
		return nil, fmt.Errorf("read CA certificates from %s: there is none in it; set ca_file to a PEM file", in.name)
	}
	return pool, nil
}
