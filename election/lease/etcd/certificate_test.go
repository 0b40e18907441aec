package etcd

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestCertificatesThatAreOfNoUseAreNamed(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	hour, loopback := time.Hour, "127.0.0.1"
	type issued struct {
		by    authority
		from  time.Duration
		until time.Duration
		addr  string
	}
	good := issued{ours, -hour, hour, loopback}
	for _, row := range []struct {
		name           string
		server, client issued
		// nothing: no client certificate is shown.
		nothing bool
		want    string
	}{
		{"the client's has expired", good, issued{ours, -2 * hour, -hour, loopback}, false, "client certificate {cert} expired at ...: renew it (kubeadm certs renew healthcheck-client): "},
		{"the client's is not valid yet", good, issued{ours, hour, 2 * hour, loopback}, false, "client certificate {cert} is not valid before ...: mend this host's clock, or issue it anew: "},
		{"the client's is of another CA", good, issued{theirs, -hour, hour, loopback}, false, "etcd does not accept client certificate {cert}, issued by CN=etcd-ca: it has to be of the CA that etcd trusts (its --trusted-ca-file): "},
		{"there is none", good, good, true, "etcd wants a client certificate: set etcd.cert_file and etcd.key_file: "},
		{"etcd's is of another CA", issued{theirs, -hour, hour, loopback}, good, false, "connect to etcd: ca_file {ca} does not hold the CA that signed the certificate of {at}: set etcd.ca_file to etcd's CA: "},
		{"etcd's has expired", issued{ours, -2 * hour, -hour, loopback}, good, false, "connect to etcd: the certificate of {at} is valid from ... until ...: renew it there"},
		{"etcd's is of another address", issued{ours, -hour, hour, "192.0.2.11"}, good, false, "connect to etcd: the certificate of {at} is of another name or address: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			issue := func(i issued) (cert, key []byte) {
				return i.by.issueFor(t, time.Now().Add(i.from), time.Now().Add(i.until), i.addr)
			}
			cert, key := issue(row.server)
			at, _ := serveWith(t, ours, "", &member{list: []*pb.Member{{ID: 1, Name: "cp1"}}}, cert, key)
			_, c := open(t, at)
			ours.write(t, c)
			shown, key := issue(row.client)
			for path, content := range map[string][]byte{c.CertFile: shown, c.KeyFile: key} {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if row.nothing {
				c.CertFile, c.KeyFile = "", ""
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
			var parts []string
			for part := range strings.SplitSeq(row.want, "...") {
				parts = append(parts, strings.NewReplacer("{cert}", c.CertFile, "{ca}", c.CAFile, "{at}", at).Replace(part))
			}
			await(t, client, row.want, func(_ []Member, err error) bool {
				var about CertificateError
				return errors.As(err, &about) && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(err.Error(), part) })
			})
		})
	}
}
