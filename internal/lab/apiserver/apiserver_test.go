package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// patience is for things that take well under a second on an idle machine.
const patience = 20 * time.Second

func TestMain(m *testing.M) { labtest.Main(m) }

// stage is a lab of one host with a server.
type stage struct {
	lab     *lab.Lab
	program apiserver.Program
	server  *apiserver.Process
}

func newStage(t *testing.T) *stage {
	t.Helper()
	l := labtest.New(t, lab.Options{Hosts: 1})
	ca, err := apiserver.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	viplab := labtest.Self(t)
	s := &stage{lab: l, program: apiserver.Program{Viplab: viplab, CA: ca, Port: 6443, VIPs: []netip.Addr{lab.VIP4(), lab.VIP6()}}}
	if s.server, err = s.program.Start(labtest.Context(t, patience), l.Hosts[0]); err != nil {
		t.Fatal(err)
	}
	return s
}

// client returns an HTTP client on the lab's client host that keeps its
// connections. A server is known under name whatever address it is dialled by.
func (s *stage) client(t *testing.T, name string, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.program.CA.PEM())
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name},
		Protocols:       protocols,
		DialContext: func(_ context.Context, network, addr string) (conn net.Conn, err error) {
			return conn, s.lab.Client.Do(func() error {
				conn, err = net.Dial(network, addr)
				return err
			})
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns "status body".
func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

func (s *stage) url(path string) string {
	return fmt.Sprintf("https://%s%s", netip.AddrPortFrom(s.lab.Hosts[0].Addr4, 6443), path)
}

func TestCertificateCoversWhatKubeadmWouldWrite(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"cp1", "kubernetes.default.svc.cluster.local", "10.96.0.1", "10.77.0.11", "fd77::11", "10.77.0.100", "fd77::100"} {
		if got := get(t, s.client(t, name, false), s.url("/whoami")); got != "200 cp1" {
			t.Errorf("as %s: %s", name, got)
		}
	}
	// kubeadm does not add 127.0.0.1.
	if resp, err := s.client(t, "127.0.0.1", false).Get(s.url("/whoami")); err == nil {
		resp.Body.Close()
		t.Error("the certificate is valid for 127.0.0.1")
	}
}

func TestPlainHTTPOnTheSamePort(t *testing.T) {
	s := newStage(t)
	if got := get(t, s.client(t, "", false), "http://10.77.0.11:6443/whoami"); got != "200 cp1" {
		t.Error(got)
	}
}

// unauthorised is an answer to a probe.
const unauthorised = "401 Unauthorized\n" //nolint:misspell // as HTTP spells it

func TestModes(t *testing.T) {
	s := newStage(t)
	c := s.client(t, "cp1", true)
	tests := []struct {
		mode apiserver.Mode
		want map[string]string
	}{
		{apiserver.Unready, map[string]string{"/readyz": "500 check failed\n", "/livez": "200 ok", "/whoami": "200 cp1"}},
		{apiserver.Unwell, map[string]string{"/readyz": "500 check failed\n", "/livez": "500 check failed\n", "/whoami": "200 cp1"}},
		{apiserver.Unauthorised, map[string]string{"/readyz": unauthorised, "/livez": unauthorised, "/whoami": "200 cp1"}},
		{apiserver.Ready, map[string]string{"/readyz": "200 ok", "/livez": "200 ok", "/whoami": "200 cp1"}},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			if err := s.server.SetMode(labtest.Context(t, patience), tt.mode); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for path := range tt.want {
				got[path] = get(t, c, s.url(path))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := s.server.SetMode(labtest.Context(t, patience), "asleep"); err == nil {
		t.Error("an unknown mode is accepted")
	}
}

func TestHungServerAnswersOnceItIsWellAgain(t *testing.T) {
	s := newStage(t)
	if err := s.server.SetMode(labtest.Context(t, patience), apiserver.Hung); err != nil {
		t.Fatal(err)
	}
	c := s.client(t, "cp1", true)
	impatient := labtest.Context(t, 50*time.Millisecond)
	req, err := http.NewRequestWithContext(impatient, http.MethodGet, s.url("/whoami"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("a hung server answers")
	}
	if err := s.server.SetMode(labtest.Context(t, patience), apiserver.Ready); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, s.url("/whoami")); got != "200 cp1" {
		t.Error(got)
	}
}

func TestGracefulStopServesOpenConnectionsOn(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %t", http2), func(t *testing.T) {
			s := newStage(t)
			watcher, prober := s.client(t, "cp1", http2), s.client(t, "cp1", http2)
			resp, err := watcher.Get(s.url("/stream"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			if got := get(t, prober, s.url("/readyz")); got != "200 ok" {
				t.Fatal(got)
			}

			if err := s.server.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			err = lab.Await(labtest.Context(t, patience), "new connections to be refused", func() error {
				return s.lab.Client.Do(func() error {
					conn, err := net.Dial("tcp", "10.77.0.11:6443")
					if err == nil {
						conn.Close()
						return errors.New("accepted")
					}
					return nil
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, prober, s.url("/readyz")); got != "500 check failed\n" {
				t.Errorf("readyz on the open connection: %s", got)
			}
			if got := get(t, prober, s.url("/livez")); got != "200 ok" {
				t.Errorf("livez on the open connection: %s", got)
			}
			for range 5 {
				if !lines.Scan() {
					t.Fatalf("the stream broke: %v", lines.Err())
				}
			}
			resp.Body.Close()
			watcher.CloseIdleConnections()
			prober.CloseIdleConnections()
			if code, err := s.server.Wait(labtest.Context(t, patience)); code != 0 || err != nil {
				t.Errorf("without open connections: exit code %d, %v", code, err)
			}
		})
	}
}

func TestKilledServerIsGoneAtOnceAndComesBack(t *testing.T) {
	s := newStage(t)
	resp, err := s.client(t, "cp1", false).Get(s.url("/stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := s.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the stream ended well")
	}
	if s.server, err = s.program.Start(labtest.Context(t, patience), s.lab.Hosts[0]); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s.client(t, "cp1", false), s.url("/whoami")); got != "200 cp1" {
		t.Error(got)
	}
}

func TestSinkTakesAnUpload(t *testing.T) {
	s := newStage(t)
	const size = 3 << 20
	resp, err := s.client(t, "cp1", true).Post(s.url("/sink"), "application/octet-stream", bytes.NewReader(make([]byte, size)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != strconv.Itoa(size) {
		t.Errorf("answer %q, %v", body, err)
	}
}
