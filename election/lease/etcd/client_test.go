package etcd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/vipd/vipd/election/lease/etcd/etcdtest"
)

// authority signs for a cluster.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd-ca"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	a := authority{key: newKey(t)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate for 127.0.0.1 and its key, in PEM.
func (a authority) issue(t *testing.T) (cert, key []byte) {
	t.Helper()
	return a.issueFor(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
}

// issueFor is issue for another time, or another address.
func (a authority) issueFor(t *testing.T, from, until time.Time, addr string) (cert, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "etcd"},
		NotBefore: from, NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(addr)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", raw)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// write puts what a client of the authority's cluster needs into a directory.
func (a authority) write(t *testing.T, c Config) {
	t.Helper()
	cert, key := a.issue(t)
	for path, content := range map[string][]byte{c.CAFile: pemOf("CERTIFICATE", a.cert.Raw), c.CertFile: cert, c.KeyFile: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// member serves a list of members to those that the authority signed for.
type member struct {
	pb.UnimplementedClusterServer
	mu   sync.Mutex
	list []*pb.Member
	// asked gets the question, when it is not nil, and no answer is given.
	asked chan *pb.MemberListRequest
}

func (m *member) MemberList(ctx context.Context, question *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if m.asked != nil {
		m.asked <- question
		<-ctx.Done()
		return nil, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &pb.MemberListResponse{Members: m.list}, nil
}

// serve runs a member; an empty address is any. end ends it, and its
// connections.
func serve(t *testing.T, a authority, address string, m *member) (at string, end func()) {
	t.Helper()
	cert, key := a.issue(t)
	return serveWith(t, a, address, m, cert, key)
}

// serveWith is serve with another certificate.
func serveWith(t *testing.T, a authority, address string, m *member, cert, key []byte) (at string, end func()) {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	secured := grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	return etcdtest.Serve(t, address, func(s *grpc.Server) { pb.RegisterClusterServer(s, m) }, secured)
}

// open opens a client of endpoints whose files are in a directory of the test's.
func open(t *testing.T, endpoints ...string) (*Client, Config) {
	t.Helper()
	dir := t.TempDir()
	c := Config{
		CAFile:   filepath.Join(dir, "ca.crt"),
		CertFile: filepath.Join(dir, "healthcheck-client.crt"),
		KeyFile:  filepath.Join(dir, "healthcheck-client.key"),
	}
	for _, e := range endpoints {
		c.Endpoints = append(c.Endpoints, "https://"+e)
	}
	client, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client, c
}

// await asks until the answer is as wanted.
func await(t *testing.T, client *Client, what string, wanted func([]Member, error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		members, err := client.Members(ctx)
		if wanted(members, err) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: in vain; last: %v, %v", what, members, err)
		case <-tick.C:
		}
	}
}

func answered(members []Member, err error) bool { return err == nil && len(members) > 0 }

func TestMembers(t *testing.T) {
	a := newAuthority(t)
	at, _ := serve(t, a, "", &member{list: []*pb.Member{
		{ID: 0xb, Name: "cp2", PeerURLs: []string{"https://192.0.2.12:2380"}, ClientURLs: []string{"https://192.0.2.12:2379"}},
		{ID: 0xa, Name: "cp1", PeerURLs: []string{"https://192.0.2.11:2380"}, ClientURLs: []string{"https://192.0.2.11:2379"}},
		{ID: 0xc, PeerURLs: []string{"https://192.0.2.13:2380"}, IsLearner: true},
	}})
	client, c := open(t, at)
	a.write(t, c)
	got, err := client.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Member{
		{ID: 0xc, PeerURLs: []string{"https://192.0.2.13:2380"}, Learner: true},
		{ID: 0xa, Name: "cp1", PeerURLs: []string{"https://192.0.2.11:2380"}, ClientURLs: []string{"https://192.0.2.11:2379"}},
		{ID: 0xb, Name: "cp2", PeerURLs: []string{"https://192.0.2.12:2380"}, ClientURLs: []string{"https://192.0.2.12:2379"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Before kubeadm init there is neither etcd nor a file of it.
func TestFilesComeLater(t *testing.T) {
	a := newAuthority(t)
	at, _ := serve(t, a, "", &member{list: []*pb.Member{{ID: 1, Name: "cp1"}}})
	client, c := open(t, at)
	_, err := client.Members(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.CAFile) {
		t.Errorf("without files: got %v, want one that names %s", err, c.CAFile)
	}
	a.write(t, c)
	await(t, client, "an answer once the files are there", answered)
}

func TestRenewedFiles(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	m := &member{list: []*pb.Member{{ID: 1, Name: "cp1"}}}
	at, end := serve(t, before, "", m)
	client, c := open(t, at)
	before.write(t, c)
	await(t, client, "an answer", answered)
	end()
	_, endAfter := serve(t, after, at, m)
	await(t, client, "a refusal: the CA is another one", func(_ []Member, err error) bool {
		return err != nil && strings.Contains(err.Error(), "certificate signed by unknown authority")
	})
	after.write(t, c)
	await(t, client, "an answer with the new files", answered)
	if err := os.WriteFile(c.CAFile, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Members(t.Context()); err != nil {
		t.Errorf("a file that is just being written ends no connection: %v", err)
	}
	endAfter()
	serve(t, after, at, m)
	await(t, client, "an error that names the file", func(_ []Member, err error) bool {
		return err != nil && strings.Contains(err.Error(), c.CAFile)
	})
}

// A member that is frozen takes questions and answers none.
func TestTheNextQuestionGoesToTheNextEndpoint(t *testing.T) {
	a := newAuthority(t)
	frozen := &member{asked: make(chan *pb.MemberListRequest, 100)}
	one, _ := serve(t, a, "", frozen)
	other, _ := serve(t, a, "", &member{list: []*pb.Member{{ID: 1, Name: "cp1"}}})
	client, c := open(t, one, other)
	a.write(t, c)
	await(t, client, "the frozen member's deadline", func(_ []Member, err error) bool {
		return errors.Is(err, context.DeadlineExceeded)
	})
	if question := <-frozen.asked; question.GetLinearizable() {
		t.Error("the question needs a quorum")
	}
	await(t, client, "the other one's answer", answered)
}

func TestNobodyThere(t *testing.T) {
	at, end := serve(t, newAuthority(t), "", &member{})
	end()
	client, _ := open(t, at)
	_, err := client.Members(t.Context())
	want := "list etcd's members: ask etcd at https://" + at + ": dial tcp " + at + ": connect: connection refused"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%v has lost its code", err)
	}
}
