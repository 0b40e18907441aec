package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease/etcd/etcdtest"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lasting"
)

// member is an etcd that tells its members, which is all that is asked of it.
type member struct{ pb.UnimplementedClusterServer }

func (member) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{}, nil
}

// serveEtcd runs a member of a CA's cluster; an empty address is any. end ends it.
func serveEtcd(t *testing.T, ca *apiserver.CA, address string) (at string, end func()) {
	t.Helper()
	cert, key, err := ca.Sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	secured := grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}))
	return etcdtest.Serve(t, address, func(s *grpc.Server) { pb.RegisterClusterServer(s, member{}) }, secured)
}

func newCA(t *testing.T) *apiserver.CA {
	t.Helper()
	ca, err := apiserver.NamedCA("etcd-ca")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// noting are leases of an etcd whose CA is in a file.
func noting(t *testing.T, at string) (l *leases, caFile string) {
	t.Helper()
	dir := t.TempDir()
	caFile = filepath.Join(dir, "ca.crt")
	l = &leases{notes: lasting.Directory(filepath.Join(dir, "data"))}
	l.Use(config.Etcd{Endpoints: []string{"https://" + at}, CAFile: caFile})
	return l, caFile
}

func put(t *testing.T, path string, ca *apiserver.CA) {
	t.Helper()
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// known is what the next start would find.
func known(t *testing.T, l *leases, want bool) {
	t.Helper()
	next := &leases{notes: l.notes, where: l.where}
	if got, err := next.Known(); got != want || err != nil {
		t.Errorf("known after a restart: %v, %v, want %v", got, err, want)
	}
}

func TestAReplacedCAIsNotedWhenEtcdProvesItselfWithIt(t *testing.T) {
	before, after := newCA(t), newCA(t)
	at, end := serveEtcd(t, before, "")
	l, file := noting(t, at)
	put(t, file, before)
	if err := l.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	known(t, l, true)

	put(t, file, after)
	if err := l.Remember(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("noted a CA that etcd does not prove itself with: %v, want an error that names %s", err, file)
	}
	known(t, l, false)
	put(t, file, before)
	known(t, l, true)

	end()
	serveEtcd(t, after, at)
	put(t, file, after)
	if err := l.Remember(t.Context()); err != nil {
		t.Error(err)
	}
	known(t, l, true)
}

func TestANoteThatCouldNotBeMadeIsTriedAgain(t *testing.T) {
	ca := newCA(t)
	at, _ := serveEtcd(t, ca, "")
	l, file := noting(t, at)
	put(t, file, ca)
	if err := os.WriteFile(string(l.notes), nil, 0o600); err != nil { // a file where the directory is to be
		t.Fatal(err)
	}
	if err := l.Remember(t.Context()); err == nil {
		t.Error("noted in a file")
	}
	if err := os.Remove(string(l.notes)); err != nil {
		t.Fatal(err)
	}
	if err := l.Remember(t.Context()); err != nil {
		t.Error(err)
	}
	known(t, l, true)
}

// Etcd is not asked, and nothing is written, while all is as it is noted.
func TestWhatIsNotedIsNotNotedAgain(t *testing.T) {
	ca := newCA(t)
	at, end := serveEtcd(t, ca, "")
	l, file := noting(t, at)
	put(t, file, ca)
	if err := l.Remember(t.Context()); err != nil {
		t.Fatal(err)
	}
	end()
	for _, next := range []*leases{l, {notes: l.notes, where: l.where}} {
		if got, err := next.Known(); !got || err != nil {
			t.Errorf("known: %v, %v", got, err)
		}
		if err := next.Remember(t.Context()); err != nil {
			t.Errorf("asked again: %v", err)
		}
	}
}
