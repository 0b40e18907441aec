package metrics

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// pulse is a loop that answers err.
type pulse struct{ err error }

func (p pulse) Alive(context.Context) error { return p.err }

// stuck is a loop that never answers.
type stuck struct{}

func (stuck) Alive(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func server(t *testing.T) *Server {
	t.Helper()
	return &Server{Address: "127.0.0.1:0", Gatherer: NewRegistry(busyNode()), Pulse: pulse{}, Log: slog.New(slog.DiscardHandler)}
}

func TestPaths(t *testing.T) {
	tests := []struct {
		name   string
		pulse  Pulse
		path   string
		status int
		text   string
	}{
		{"metrics", pulse{}, "/metrics", 200, `vipd_vip_owner{vip="apiserver"} 1`},
		{"metrics while the loop is dead", pulse{errors.New("gone")}, "/metrics", 200, "vipd_build_info"},
		{"healthz while the loop runs", pulse{}, "/healthz", 200, "ok"},
		{"healthz after the loop ended", pulse{errors.New("gone")}, "/healthz", 503, "gone"},
		{"another path", pulse{}, "/", 404, "not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := server(t)
			s.Pulse = test.pulse
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.path, nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("%d %.200s; want %d with %q", w.Code, w.Body, test.status, test.text)
			}
		})
	}
}

func TestHealthzOfAStuckLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t)
		s.Pulse = stuck{}
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s; want 503", w.Code, w.Body)
		}
	})
}

// TestWebConfig serves over TLS with a user, by a real listener.
func TestWebConfig(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web.yaml")
	write(t, file, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {prometheus: "+string(hash)+"}\n")

	s := server(t)
	s.WebConfig = file
	address := make(chan string, 1)
	s.listen = func(ctx context.Context, network, a string) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, network, a)
		if err == nil {
			address <- l.Addr().String()
		}
		return l, err
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()
	at := <-address
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	get := func(url, password string) (status int, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("prometheus", password)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		data, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(data)
	}
	if status, _ := get("https://"+at+"/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("without a password: %d, want 401", status)
	}
	if status, body := get("https://"+at+"/metrics", "secret"); status != http.StatusOK || !strings.Contains(body, "vipd_vip_owner") {
		t.Errorf("with the password: %d, want the metrics", status)
	}
	if status, _ := get("http://"+at+"/metrics", "secret"); status != http.StatusBadRequest {
		t.Errorf("without TLS: %d, want 400", status)
	}
	// The file is read anew: the password is changed while the server runs.
	if hash, err = bcrypt.GenerateFromPassword([]byte("changed"), bcrypt.MinCost); err != nil {
		t.Fatal(err)
	}
	write(t, file, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {prometheus: "+string(hash)+"}\n")
	if status, _ := get("https://"+at+"/metrics", "secret"); status != http.StatusUnauthorized {
		t.Errorf("with the old password: %d, want 401", status)
	}
	if status, _ := get("https://"+at+"/metrics", "changed"); status != http.StatusOK {
		t.Errorf("with the new password: %d, want 200", status)
	}
}

func TestABadWebConfigKeepsTheListenerShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := server(t)
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		s.WebConfig = filepath.Join(t.TempDir(), "missing.yaml")
		s.listen = func(context.Context, string, string) (net.Listener, error) {
			t.Error("listened without the protection that was asked for")
			return nil, net.ErrClosed
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		s.Serve(ctx)
		if !strings.Contains(log.String(), "metrics.web_config") || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("want one error that names metrics.web_config:\n%s", &log)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate writes cert.pem and key.pem for 127.0.0.1 and returns what
// verifies them.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(cert))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
