package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// fileCredentials makes TLS sessions of what its files hold at the time.
type fileCredentials struct {
	ca, cert, key string
	// problem is what kept the last handshake from success, where it is a matter of
	// certificates; nil: nothing.
	problem *atomic.Pointer[error]
	// shown is the certificate that was shown at the last handshake; nil: none.
	shown *atomic.Pointer[x509.Certificate]
}

func newFileCredentials(c Config) *fileCredentials {
	return &fileCredentials{ca: c.CAFile, cert: c.CertFile, key: c.KeyFile, problem: new(atomic.Pointer[error]), shown: new(atomic.Pointer[x509.Certificate])}
}

// ClientHandshake implements credentials.TransportCredentials.
func (f *fileCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	session, err := f.load()
	if err != nil {
		f.problem.Store(&err)
		return nil, nil, err
	}
	f.shown.Store(nil)
	if len(session.Certificates) > 0 {
		f.shown.Store(session.Certificates[0].Leaf)
	}
	f.problem.Store(nil)
	secured, info, err := credentials.NewTLS(session).ClientHandshake(ctx, authority, conn)
	if problem := f.distrust(authority, err); problem != nil {
		f.problem.Store(&problem)
		return nil, nil, problem
	}
	return secured, info, err
}

func (f *fileCredentials) load() (*tls.Config, error) {
	session := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := read(f.ca)
		if err != nil {
			return nil, err
		}
		session.RootCAs = x509.NewCertPool()
		if !session.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read etcd's CA certificates from %s: there is none in it; set etcd.ca_file to a PEM file", f.ca)
		}
	}
	if f.cert == "" {
		return session, nil
	}
	cert, err := read(f.cert)
	if err != nil {
		return nil, err
	}
	key, err := read(f.key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("use client certificate %s with key %s for etcd: %w", f.cert, f.key, err)
	}
	session.Certificates = []tls.Certificate{pair}
	return session, nil
}

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("connect to etcd: %w; it is waited for (before kubeadm init or join), else set etcd.ca_file, etcd.cert_file and etcd.key_file", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("connect to etcd: %w; make it readable for vipd, or enable the drop-in vipd-keys.conf", err)
	case err != nil:
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return text, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (f *fileCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("credentials of a client")
}

// Info implements credentials.TransportCredentials.
func (f *fileCredentials) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(nil).Info()
}

// Clone implements credentials.TransportCredentials.
func (f *fileCredentials) Clone() credentials.TransportCredentials { return f }

// OverrideServerName implements credentials.TransportCredentials: names are
// those of the endpoints.
func (f *fileCredentials) OverrideServerName(string) error { return nil }
