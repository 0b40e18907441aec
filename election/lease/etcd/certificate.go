package etcd

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// CertificateError is about a certificate: the client's, etcd's, or the CA's.
type CertificateError struct{ error }

// Unwrap returns the cause.
func (e CertificateError) Unwrap() error { return e.error }

func certificateError(format string, args ...any) error {
	return CertificateError{fmt.Errorf(format, args...)}
}

// distrust says why this node does not accept etcd's certificate; nil: it is not that.
func (f *fileCredentials) distrust(authority string, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown) && f.ca == "":
		return certificateError("connect to etcd: none of this host's CA certificates signed that of %s: set etcd.ca_file to etcd's CA: %w", authority, err)
	case errors.As(err, &unknown):
		return certificateError("connect to etcd: ca_file %s does not hold the CA that signed the certificate of %s: set etcd.ca_file to etcd's CA: %w", f.ca, authority, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return certificateError("connect to etcd: the certificate of %s is valid from %v until %v: renew it there (kubeadm certs renew etcd-server), or mend this host's clock: %w",
			authority, invalid.Cert.NotBefore, invalid.Cert.NotAfter, err)
	case errors.As(err, &name):
		return certificateError("connect to etcd: the certificate of %s is of another name or address: write into etcd.endpoints one that it has: %w", authority, err)
	}
	return nil
}

// refused says why etcd does not accept this node's certificate; nil: it is not that. In
// TLS 1.3 it says so after the handshake (RFC 8446 4.4.2.4), or ends the connection
// before its reason was read.
func (f *fileCredentials) refused(err error) error {
	alert := strings.Contains(err.Error(), "remote error: tls:")
	if !alert && !strings.Contains(err.Error(), "error reading server preface") {
		return nil
	}
	shown := f.shown.Load()
	switch now := time.Now(); {
	case shown == nil && alert:
		return certificateError("etcd wants a client certificate: set etcd.cert_file and etcd.key_file: %w", err)
	case shown == nil:
	case now.After(shown.NotAfter):
		return certificateError("client certificate %s expired at %v: renew it (kubeadm certs renew healthcheck-client): %w", f.cert, shown.NotAfter, err)
	case now.Before(shown.NotBefore):
		return certificateError("client certificate %s is not valid before %v: mend this host's clock, or issue it anew: %w", f.cert, shown.NotBefore, err)
	case alert:
		return certificateError("etcd does not accept client certificate %s, issued by %s: it has to be of the CA that etcd trusts (its --trusted-ca-file): %w", f.cert, shown.Issuer, err)
	}
	return nil
}
