package health

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

var good = outcomes{counter.OK, counter.OK}

func TestCARotationChangesNothing(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newAPIServer(t, protocol, fine).start()
			oldCA, newCA := s.ca, newAuthority(t, "kubernetes")
			check := s.check()
			p, err := newProber(check, Endpoint{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			group := counter.NewGroup(time.Now(), 0, []counter.Rule{{Name: check.Name, Rise: check.Rise, Fall: 1}})

			var since time.Time
			for _, step := range []struct {
				name string
				do   func()
			}{
				{"old CA, old certificate", func() {}},
				{"bundle of both CAs", func() { write(t, check.CAFile, oldCA.pem(), newCA.pem()) }},
				{"certificate of the new CA", func() { s.show(newCA.issue(tomorrow(), "127.0.0.1")) }},
				{"the new CA alone", func() { write(t, check.CAFile, newCA.pem()) }},
			} {
				step.do()
				res := p.probe(t.Context())
				verdict := group.Step(time.Now(), check.Name, res.Result)
				if !verdict.Healthy || verdict.Reason != "" || res.Warning != "" {
					t.Errorf("%s: %+v, warning %q", step.name, verdict, res.Warning)
				}
				if since.IsZero() {
					since = verdict.Since
				}
				if !verdict.Since.Equal(since) {
					t.Errorf("%s: the state changed", step.name)
				}
			}

			s.show(oldCA.issue(tomorrow(), "127.0.0.1"))
			expect(t, p.probe(t.Context()), outcomes{counter.Untrusted, counter.Untrusted}, "is not signed by a CA in "+check.CAFile)
		})
	}
}

func TestCAFile(t *testing.T) {
	s := newAPIServer(t, both, fine).start()
	other := newAuthority(t, "other")
	check := s.check()
	if err := os.Remove(check.CAFile); err != nil {
		t.Fatal(err)
	}
	p, err := newProber(check, Endpoint{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	unconfigured := outcomes{counter.Unconfigured, counter.Unasked}
	for _, step := range []struct {
		name    string
		do      func()
		want    outcomes
		reason  string
		warning string
	}{
		{"missing before kubeadm init: unhealthy, with that reason", func() {},
			unconfigured, check.CAFile + " does not exist yet (before kubeadm init)", ""},
		{"created, still empty", func() { write(t, check.CAFile) },
			unconfigured, "there is none in it", ""},
		{"half written, never good before", func() { write(t, check.CAFile, s.ca.pem()[:200]) },
			unconfigured, "the last one is cut off", ""},
		{"complete: picked up", func() { write(t, check.CAFile, s.ca.pem()) },
			good, "", ""},
		{"a rewrite is half done: the last good one is kept", func() { write(t, check.CAFile, other.pem(), s.ca.pem()[:200]) },
			good, "", "the last one is cut off"},
		{"emptied: the last good one is kept", func() { write(t, check.CAFile) },
			good, "", "there is none in it"},
		{"no certificate in the block: the last good one is kept", func() {
			write(t, check.CAFile, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, good, "", "read CA certificates from"},
		{"deleted: the last good one is kept", func() { _ = os.Remove(check.CAFile) },
			good, "", "does not exist yet"},
		{"back with another CA in front: no warning any more", func() { write(t, check.CAFile, other.pem(), s.ca.pem()) },
			good, "", ""},
		{"replaced by a file that is good and wrong: untrusted", func() {
			write(t, check.CAFile+".new", other.pem())
			if err := os.Rename(check.CAFile+".new", check.CAFile); err != nil {
				t.Fatal(err)
			}
		}, outcomes{counter.Untrusted, counter.Untrusted}, "is not signed by a CA in", ""},
	} {
		step.do()
		res := p.probe(t.Context())
		if diff := cmp.Diff(step.want, outcomes{res.Ready, res.Live}); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		if !strings.Contains(res.Reason, step.reason) || (step.reason == "") != (res.Reason == "") {
			t.Errorf("%s: reason %q, want %q", step.name, res.Reason, step.reason)
		}
		if !strings.Contains(res.Warning, step.warning) || (step.warning == "") != (res.Warning == "") {
			t.Errorf("%s: warning %q, want %q", step.name, res.Warning, step.warning)
		}
	}
}

func TestServerCertificate(t *testing.T) {
	for _, row := range []struct {
		name   string
		names  []string
		expiry time.Time
		change func(*config.Check)
		want   outcomes
		reason string
	}{
		{"names are not judged by default", []string{"elsewhere.example"}, tomorrow(), func(*config.Check) {}, good, ""},
		{"server_name set and present", []string{"api.example"}, tomorrow(), func(c *config.Check) { c.ServerName = "api.example" }, good, ""},
		{"server_name may be an address", []string{"192.0.2.10"}, tomorrow(), func(c *config.Check) { c.ServerName = "192.0.2.10" }, good, ""},
		{"server_name set and absent", []string{"elsewhere.example"}, tomorrow(), func(c *config.Check) { c.ServerName = "api.example" },
			outcomes{counter.Untrusted, counter.Untrusted}, "does not have server_name"},
		{"expired", []string{"127.0.0.1"}, time.Now().Add(-time.Minute), func(*config.Check) {},
			outcomes{counter.Untrusted, counter.Untrusted}, "the certificate of CN=kube-apiserver is valid from "},
		{"no ca_file: the system's CAs, which did not sign it", []string{"127.0.0.1"}, tomorrow(), func(c *config.Check) { c.CAFile = "" },
			outcomes{counter.Untrusted, counter.Untrusted}, "is not signed by a CA in the system's CA certificates"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newAPIServer(t, both, fine)
			s.show(s.ca.issue(row.expiry, row.names...))
			s.start()
			check := s.check()
			row.change(&check)
			res := once(t, check, Endpoint{})
			expect(t, res, row.want, row.reason)
			if res.Certificate == nil || !res.Certificate.NotAfter.Equal(row.expiry.UTC().Truncate(time.Second)) {
				t.Errorf("certificate %+v, want expiry %s", res.Certificate, row.expiry)
			}
		})
	}
	t.Run("insecure: nothing is verified, and that is said", func(t *testing.T) {
		s := newAPIServer(t, both, fine)
		s.show(newAuthority(t, "other").issue(time.Now().Add(-time.Minute)))
		s.start()
		check := s.check()
		check.Insecure, check.CAFile = true, "/nonexistent"
		res := once(t, check, Endpoint{})
		expect(t, res, good, "")
		if res.Warning != "insecure: true, the server's certificate is not verified" {
			t.Errorf("warning %q", res.Warning)
		}
	})
	t.Run("a renewed certificate is seen by the next probe", func(t *testing.T) {
		s := newAPIServer(t, both, fine).start()
		p, err := newProber(s.check(), Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		p.probe(t.Context())
		renewed := s.ca.issue(tomorrow().Add(-time.Hour), "127.0.0.1")
		s.show(renewed)
		if res := p.probe(t.Context()); !res.Certificate.NotAfter.Equal(renewed.notAfter) {
			t.Errorf("expiry %s, want %s", res.Certificate.NotAfter, renewed.notAfter)
		}
	})
}

func TestKeyExchange(t *testing.T) {
	for _, row := range []struct {
		name     string
		loopback bool
		want     tls.CurveID
	}{
		{"to the loopback interface: a cheap one, since nobody can record it", true, tls.X25519},
		{"elsewhere: as crypto/tls has it", false, tls.X25519MLKEM768},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newAPIServer(t, http1, fine).start()
			var got tls.CurveID
			m := &material{insecure: true}
			conn, err := tls.Dial("tcp", s.listener.Addr().String(), m.session(row.loopback, func(c tls.ConnectionState) { got = c.CurveID }))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestOnLoopback(t *testing.T) {
	for text, want := range map[string]bool{
		"https://127.0.0.1:6443/readyz":          true,
		"https://[::1]:6443/readyz":              true,
		"https://[::ffff:127.0.0.1]:6443/readyz": true,
		"https://192.0.2.11:6443/readyz":         false,
		"https://localhost:6443/readyz":          false, // it may lead anywhere
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := onLoopback(u); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestCoverage(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	for _, row := range []struct {
		name           string
		names          []string
		ep             Endpoint
		endpoint, vips bool
	}{
		{"the VIP is in it and is the endpoint", []string{"192.0.2.10"}, Endpoint{[]netip.Addr{v4}, "192.0.2.10:6443"}, true, true},
		{"a DNS endpoint, no VIP", []string{"api.example"}, Endpoint{[]netip.Addr{v4}, "api.example:6443"}, true, false},
		{"one address of two", []string{"192.0.2.10"}, Endpoint{[]netip.Addr{v4, v6}, "192.0.2.10:6443"}, true, false},
		{"both addresses, not the endpoint's name", []string{"192.0.2.10", "2001:db8::10"}, Endpoint{[]netip.Addr{v4, v6}, "api.example:6443"}, false, true},
		{"an IPv6 endpoint", []string{"2001:db8::10"}, Endpoint{[]netip.Addr{v6}, "[2001:db8::10]:6443"}, true, true},
		{"neither", []string{"127.0.0.1"}, Endpoint{[]netip.Addr{v4}, "api.example:6443"}, false, false},
		{"nothing to cover", []string{"127.0.0.1"}, Endpoint{}, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newAPIServer(t, both, fine)
			p := s.ca.issue(tomorrow(), row.names...)
			s.show(p)
			s.start()
			want := &Certificate{NotAfter: p.notAfter, Names: row.names, CoversEndpoint: row.endpoint, CoversVIPs: row.vips}
			got := once(t, s.check(), row.ep).Certificate
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got.Covers() != (row.endpoint || row.vips) {
				t.Errorf("Covers() = %v", got.Covers())
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	clients := newAuthority(t, "clients")
	first, second := clients.issue(tomorrow()), clients.issue(tomorrow())
	var shown atomic.Value // the certificate that readyz was asked with
	s := newAPIServer(t, both, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			shown.Store(string(r.TLS.PeerCertificates[0].Raw))
		}
	})
	s.demandClientCertificate(clients)
	s.start()
	check := s.check()
	expect(t, once(t, check, Endpoint{}), outcomes{counter.Untrusted, counter.Untrusted}, "does it want cert_file and key_file?")

	dir := t.TempDir()
	check.CertFile, check.KeyFile = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	p, err := newProber(check, Endpoint{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	expect(t, p.probe(t.Context()), outcomes{counter.Unconfigured, counter.Unasked}, "client.crt does not exist yet")

	write(t, check.CertFile, first.cert)
	write(t, check.KeyFile, first.key)
	expect(t, p.probe(t.Context()), good, "")
	before := shown.Load()

	write(t, check.CertFile, second.cert)
	res := p.probe(t.Context())
	expect(t, res, good, "")
	if !strings.Contains(res.Warning, "still in use as read before: client certificate") || shown.Load() != before {
		t.Errorf("certificate new, key old: warning %q, same certificate %v", res.Warning, shown.Load() == before)
	}

	write(t, check.KeyFile, second.key)
	res = p.probe(t.Context())
	expect(t, res, good, "")
	if res.Warning != "" || shown.Load() == before {
		t.Errorf("certificate and key new: warning %q, same certificate %v", res.Warning, shown.Load() == before)
	}
}

func TestKubeconfig(t *testing.T) {
	clients := newAuthority(t, "clients")
	client := clients.issue(tomorrow())
	s := newAPIServer(t, both, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer secret" {
			return
		}
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	s.demandClientCertificate(clients)
	s.server.TLSConfig.ClientAuth = tls.VerifyClientCertIfGiven
	s.start()

	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), s.ca.pem())
	write(t, filepath.Join(dir, "client.pem"), client.cert, client.key)
	write(t, filepath.Join(dir, "token"), []byte("secret\n"))
	data := base64.StdEncoding.EncodeToString
	inlineCA := "certificate-authority-data: " + data(s.ca.pem())
	unconfigured := outcomes{counter.Unconfigured, counter.Unasked}
	for _, row := range []struct {
		name          string
		cluster, user string
		want          outcomes
		reason        string
	}{
		{"data", inlineCA, "client-certificate-data: " + data(client.cert) + ", client-key-data: " + data(client.key), good, ""},
		{"files, relative to the kubeconfig", "certificate-authority: ca.crt", "client-certificate: client.pem, client-key: client.pem", good, ""},
		{"files, absolute", "certificate-authority: " + dir + "/ca.crt", "client-certificate: " + dir + "/client.pem, client-key: " + dir + "/client.pem", good, ""},
		{"a token", inlineCA, "token: secret", good, ""},
		{"a token file goes before a token", inlineCA, "token: old, tokenFile: token", good, ""},
		{"a wrong token", inlineCA, "token: wrong", outcomes{counter.Unauthorised, counter.Unauthorised}, "not authorised"},
		{"no CA in it: ca_file", "", "token: secret", good, ""},
		{"a missing file", "certificate-authority: gone.crt", "token: secret", unconfigured, dir + "/gone.crt does not exist yet"},
		{"data that is no base64", "certificate-authority-data: '%'", "token: secret", unconfigured, "certificate-authority-data: illegal base64"},
		{"a plugin", inlineCA, "exec: {command: aws}", unconfigured, "use a client certificate or a token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			check := s.check()
			check.Kubeconfig = write(t, filepath.Join(dir, "admin.conf"), []byte(kubeconfigText(row.cluster, row.user)))
			expect(t, once(t, check, Endpoint{}), row.want, row.reason)
		})
	}

	t.Run("rewritten with a new CA: followed", func(t *testing.T) {
		check := s.check()
		other := newAuthority(t, "other")
		check.Kubeconfig = write(t, filepath.Join(dir, "admin.conf"), []byte(kubeconfigText("certificate-authority-data: "+data(other.pem()), "token: secret")))
		p, err := newProber(check, Endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		expect(t, p.probe(t.Context()), outcomes{counter.Untrusted, counter.Untrusted}, "admin.conf: certificate-authority-data")
		write(t, check.Kubeconfig, []byte(kubeconfigText(inlineCA, "token: secret")))
		expect(t, p.probe(t.Context()), good, "")
		write(t, check.Kubeconfig, []byte("clusters: ["))
		res := p.probe(t.Context())
		expect(t, res, good, "")
		if !strings.Contains(res.Warning, "still in use as read before: kubeconfig "+check.Kubeconfig) {
			t.Errorf("warning %q", res.Warning)
		}
	})
}

func kubeconfigText(cluster, user string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: admin@kubernetes
contexts:
- {name: other, context: {cluster: other, user: other}}
- {name: admin@kubernetes, context: {cluster: kubernetes, user: admin}}
clusters:
- {name: other, cluster: {certificate-authority: /nonexistent}}
- {name: kubernetes, cluster: {server: "https://api.example:6443", %s}}
users:
- {name: other, user: {token: other}}
- {name: admin, user: {%s}}
`, cluster, user)
}

func TestKubeconfigThatDoesNotResolve(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"no YAML", "a: [", "kubeconfig f: yaml: line 1: did not find expected node content"},
		{"no such context", "current-context: x", `kubeconfig f: current-context "x" is not among its contexts`},
		{"no such cluster", "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
			`kubeconfig f: cluster "c" of the current context is not among its clusters`},
		{"no such user", "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c}]}",
			`kubeconfig f: user "u" of the current context is not among its users`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := parseKubeconfig("f", []byte(row.text))
			if err == nil || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}
