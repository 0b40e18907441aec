package etcdcluster

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
)

// Files in a member's certificate directory, named as in /etc/kubernetes/pki/etcd.
const (
	CAFile         = "ca.crt"
	ClientCertFile = "healthcheck-client.crt"
	ClientKeyFile  = "healthcheck-client.key"
)

// issue fills a member's certificate directory.
func issue(ca *apiserver.CA, h *lab.Host, dir string) error {
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	member := func() *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: h.Name}, DNSNames: []string{h.Name, "localhost"},
			IPAddresses: []net.IP{h.Addr4.AsSlice(), h.Addr6.AsSlice(), net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			ExtKeyUsage: both,
		}
	}
	client := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-etcd-healthcheck-client"},
		ExtKeyUsage: both[1:],
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("issue etcd's certificates for %s: %w", h, err)
	}
	files := map[string][]byte{CAFile: ca.PEM()}
	for name, template := range map[string]*x509.Certificate{"server": member(), "peer": member(), "healthcheck-client": client} {
		cert, key, err := ca.Sign(template)
		if err != nil {
			return fmt.Errorf("issue etcd's certificates for %s: %w", h, err)
		}
		files[name+".crt"], files[name+".key"] = cert, key
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("issue etcd's certificates for %s: %w", h, err)
		}
	}
	return nil
}
