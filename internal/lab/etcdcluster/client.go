package etcdcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/vipd/vipd/internal/lab"
)

// Client is a client of a host's member, for tests to look into etcd with. It ends
// with the cluster.
func (c *Cluster) Client(h *lab.Host) (*clientv3.Client, error) {
	if known := c.clients[h]; known != nil {
		return known, nil
	}
	session, err := c.session(h)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{c.Endpoint()}, TLS: session, Logger: zap.NewNop(), MaxUnaryRetries: 1,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, address string) (conn net.Conn, err error) {
				err = h.Do(func() error {
					conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
					return err
				})
				return conn, err
			}),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: poll, Multiplier: 1, MaxDelay: poll},
				MinConnectTimeout: time.Second,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make a client of etcd on %s: %w", h, err)
	}
	c.clients[h] = client
	return client, nil
}

// session is what proves a host's client and its member to each other.
func (c *Cluster) session(h *lab.Host) (*tls.Config, error) {
	dir := c.PKI(h)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, ClientCertFile), filepath.Join(dir, ClientKeyFile))
	if err != nil {
		return nil, fmt.Errorf("make a client of etcd on %s: %w", h, err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, CAFile)) //nolint:gosec // in the lab's own directory
	if err != nil {
		return nil, fmt.Errorf("make a client of etcd on %s: %w", h, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("make a client of etcd: its CA is no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}
