package health

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

// differ compares results without their times and certificates; the server's
// address in reasons reads SERVER.
func differ(s *apiserver, want, got Result) string {
	got.Reason = strings.ReplaceAll(got.Reason, s.listener.Addr().String(), "SERVER")
	return cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "At", "Latency", "Certificate"))
}

func TestAnswers(t *testing.T) {
	readyzBody := "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n"
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	unauthorised := ": not authorised; set kubeconfig, or cert_file and key_file, or allow anonymous access to it"
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		want    counter.Result
	}{
		{"200: ready and alive", fine,
			counter.Result{Ready: counter.OK, Live: counter.OK}},
		{"204 is ready too", answerWith(http.StatusNoContent, ""),
			counter.Result{Ready: counter.OK, Live: counter.OK}},
		{"an answer longer than is read is ready", answerWith(http.StatusOK, strings.Repeat("x", 2*maxBody)),
			counter.Result{Ready: counter.OK, Live: counter.OK}},
		{"readyz 500: the failed checks are named", byPath(answerWith(500, readyzBody), fine),
			counter.Result{Ready: counter.ServerError, Live: counter.OK,
				Reason: "https://SERVER/readyz answers 500: etcd failed: reason withheld, informer-sync failed: reason withheld"}},
		{"readyz 503 with other text: its first line", byPath(answerWith(503, "starting\nup\n"), fine),
			counter.Result{Ready: counter.ServerError, Live: counter.OK, Reason: "https://SERVER/readyz answers 503: starting"}},
		{"control characters do not reach the terminal", byPath(answerWith(500, "\x1b[31mred"), fine),
			counter.Result{Ready: counter.ServerError, Live: counter.OK, Reason: "https://SERVER/readyz answers 500: [31mred"}},
		{"readyz 200: livez is not asked, who is ready lives", byPath(fine, answerWith(500, "")),
			counter.Result{Ready: counter.OK, Live: counter.OK}},
		{"401 for both: alive, readiness unknown", answerWith(401, ""),
			counter.Result{Ready: counter.Unauthorised, Live: counter.Unauthorised, Reason: "https://SERVER/readyz answers 401" + unauthorised}},
		{"403 for readyz only: the same", byPath(answerWith(403, ""), fine),
			counter.Result{Ready: counter.Unauthorised, Live: counter.OK, Reason: "https://SERVER/readyz answers 403" + unauthorised}},
		{"401 for readyz, 500 for livez: the reason is livez's", byPath(answerWith(401, ""), answerWith(500, "deadlock")),
			counter.Result{Ready: counter.Unauthorised, Live: counter.ServerError, Reason: "https://SERVER/livez answers 500: deadlock"}},
		{"404: not ready, alive", byPath(answerWith(404, "no such page"), fine),
			counter.Result{Ready: counter.NotReady, Live: counter.OK, Reason: "https://SERVER/readyz answers 404: no such page"}},
		{"a redirect is not followed", byPath(redirect, fine),
			counter.Result{Ready: counter.NotReady, Live: counter.OK,
				Reason: "https://SERVER/readyz answers 302: redirects are not followed; set the URL it leads to"}},
	} {
		for _, protocol := range protocols {
			t.Run(protocol+" "+row.name, func(t *testing.T) {
				s := newAPIServer(t, protocol, row.handler).start()
				if diff := differ(s, Result{Result: row.want}, once(t, s.check(), Endpoint{})); diff != "" {
					t.Error(diff)
				}
				want := []string{"/readyz"}
				if row.want.Ready != counter.OK {
					want = append(want, "/livez")
				}
				if diff := cmp.Diff(want, s.asked()); diff != "" {
					t.Errorf("asked: %s", diff)
				}
			})
		}
	}
}

// outcomes are what matters of a result whose reason holds a foreign error.
type outcomes struct{ Ready, Live counter.Outcome }

// expect compares outcomes and looks for a phrase in the reason, which must be
// one line.
func expect(t *testing.T, got Result, want outcomes, phrase string) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes{got.Ready, got.Live}); diff != "" {
		t.Errorf("reason %q: %s", got.Reason, diff)
	}
	if !strings.Contains(got.Reason, phrase) || strings.Contains(got.Reason, "\n") || (phrase == "") != (got.Reason == "") {
		t.Errorf("reason %q, want one line with %q", got.Reason, phrase)
	}
}

// impatience is the timeout where one question hangs and the other must be
// answered within it, on a busy machine too.
const impatience = 2 * time.Second

func TestNoAnswer(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			t.Run("readyz hangs, livez answers: not ready, alive", func(t *testing.T) {
				s := newAPIServer(t, protocol, byPath(hang, fine)).start()
				t.Parallel()
				check := s.check()
				check.Timeout = impatience
				expect(t, once(t, check, Endpoint{}), outcomes{counter.Timeout, counter.OK}, "/readyz: no answer within 2s")
			})
			t.Run("readyz answers late, livez hangs: ready, and alive for it", func(t *testing.T) {
				asked := make(chan struct{})
				s := newAPIServer(t, protocol, byPath(
					func(http.ResponseWriter, *http.Request) { <-asked },
					func(w http.ResponseWriter, r *http.Request) { close(asked); hang(w, r) },
				)).start()
				t.Parallel()
				check := s.check()
				check.Timeout = impatience
				expect(t, once(t, check, Endpoint{}), good, "")
			})
			t.Run("the body never ends", func(t *testing.T) {
				s := newAPIServer(t, protocol, byPath(func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(http.StatusOK)
					_ = http.NewResponseController(w).Flush()
					hang(w, r)
				}, fine)).start()
				t.Parallel()
				check := s.check()
				check.Timeout = impatience
				expect(t, once(t, check, Endpoint{}), outcomes{counter.Timeout, counter.OK}, "/readyz: no answer within 2s")
			})
			t.Run("every connection is cut before the answer", func(t *testing.T) {
				s := newAPIServer(t, protocol, cutOff).start()
				expect(t, once(t, s.check(), Endpoint{}), outcomes{counter.Unreachable, counter.Unreachable}, "/readyz: no proper answer")
			})
			t.Run("one connection is cut before the answer: asked again", func(t *testing.T) {
				cuts := make(chan struct{}, 1)
				cuts <- struct{}{}
				s := newAPIServer(t, protocol, byPath(func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-cuts:
						cutOff(w, r)
					default:
						fine(w, r)
					}
				}, fine)).start()
				expect(t, once(t, s.check(), Endpoint{}), outcomes{counter.OK, counter.OK}, "")
			})
		})
	}
	t.Run("accepted, but nobody speaks TLS", func(t *testing.T) {
		s := newAPIServer(t, http1, fine) // listens, never serves
		check := s.check()
		check.Timeout = 100 * time.Millisecond
		expect(t, once(t, check, Endpoint{}), outcomes{counter.Timeout, counter.Timeout}, "no answer within 100ms (TLS handshake")
	})
	t.Run("the server speaks plain HTTP", func(t *testing.T) {
		s := newAPIServer(t, http1, fine).startPlain()
		expect(t, once(t, s.check(), Endpoint{}), outcomes{counter.Untrusted, counter.Untrusted}, "is type: http meant?")
	})
	t.Run("a local port refuses: proof", func(t *testing.T) {
		s := newAPIServer(t, http1, fine)
		s.die()
		expect(t, once(t, s.check(), Endpoint{}), outcomes{counter.Refused, counter.Refused}, "refused: nothing listens on 127.0.0.1:")
	})
	t.Run("refused, and no liveness question: dead all the same", func(t *testing.T) {
		s := newAPIServer(t, http1, fine)
		s.die()
		check := s.check()
		check.LivenessURL = ""
		expect(t, once(t, check, Endpoint{}), outcomes{counter.Refused, counter.Refused}, "refused")
	})
	t.Run("livez is on another port, which refuses", func(t *testing.T) {
		s := newAPIServer(t, both, answerWith(401, "")).start()
		other := newAPIServer(t, http1, fine)
		other.die()
		check := s.check()
		check.LivenessURL = other.url("https", "/livez")
		expect(t, once(t, check, Endpoint{}), outcomes{counter.Unauthorised, counter.Refused}, "/livez: refused")
	})
}

func TestWithoutALivenessQuestion(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		want    outcomes
		reason  string
	}{
		{"an answer shows life", fine, outcomes{counter.OK, counter.OK}, ""},
		{"5xx shows nothing: a server is called hung by livez only", answerWith(500, ""), outcomes{counter.ServerError, counter.Unasked}, "answers 500"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newAPIServer(t, both, row.handler).start()
			check := s.check()
			check.LivenessURL = ""
			expect(t, once(t, check, Endpoint{}), row.want, row.reason)
		})
	}
}

func TestPlainHTTP(t *testing.T) {
	s := newAPIServer(t, http1, fine).startPlain()
	check := s.check()
	check.Type, check.CAFile = config.CheckHTTP, ""
	check.URL, check.LivenessURL = s.url("http", "/readyz"), s.url("http", "/livez")
	if diff := differ(s, Result{Result: counter.Result{Ready: counter.OK, Live: counter.OK}}, once(t, check, Endpoint{})); diff != "" {
		t.Error(diff)
	}
}

// The environment's proxy does not count for loopback addresses, so the server
// has to listen on another one.
func TestNoProxy(t *testing.T) {
	address := ownAddress(t)
	for _, key := range []string{"HTTP_PROXY", "http_proxy"} {
		t.Setenv(key, "http://127.0.0.1:1")
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("listen on %s: %v", address, err)
	}
	s := newAPIServer(t, http1, fine)
	_ = s.listener.Close()
	s.listener = listener
	s.startPlain()
	check := s.check()
	check.Type, check.URL, check.LivenessURL = config.CheckHTTP, s.url("http", "/readyz"), ""
	expect(t, once(t, check, Endpoint{}), outcomes{counter.OK, counter.OK}, "")
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if p, ok := a.(*net.IPNet); ok && p.IP.IsGlobalUnicast() {
			return p.IP.String()
		}
	}
	t.Skip("this host has only loopback addresses")
	return ""
}

func TestWrongChecks(t *testing.T) {
	for _, row := range []struct {
		name  string
		check config.Check
		want  string
	}{
		{"no such type", config.Check{Type: "icmp"}, `type: "icmp" is none of https, http, tcp, exec`},
		{"https with an http URL", config.Check{Type: config.CheckHTTPS, URL: "http://127.0.0.1/"}, `url: "http://127.0.0.1/" is not of the form https://host:port/path, which type https needs`},
		{"liveness_url without a host", config.Check{Type: config.CheckHTTP, URL: "http://127.0.0.1/", LivenessURL: "http:///livez"}, `liveness_url: "http:///livez" is not of the form http://host:port/path, which type http needs`},
		{"tcp without a port", config.Check{Type: config.CheckTCP, Address: "127.0.0.1"}, "address: address 127.0.0.1: missing port in address"},
		{"tcp without a host", config.Check{Type: config.CheckTCP, Address: ":80"}, `address: ":80" is not of the form host:port`},
		{"exec without a command", config.Check{Type: config.CheckExec}, "command: is empty; give the program and its arguments"},
		{"no interval", config.Check{Type: config.CheckExec, Command: []string{"true"}, Interval: -1}, "interval -1ns, timeout 1s: both must be more than 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.check.Name = "c"
			if row.check.Interval == 0 {
				row.check.Interval = time.Second
			}
			row.check.Timeout = time.Second
			_, err := New(row.check, Endpoint{}, func(Result) {})
			if err == nil || err.Error() != "check c: "+row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, protocol := range protocols {
		b.Run(protocol, func(b *testing.B) {
			s := newAPIServer(b, protocol, fine).start()
			p, err := newProber(s.check(), Endpoint{})
			if err != nil {
				b.Fatal(err)
			}
			defer p.close()
			b.ReportAllocs()
			for b.Loop() {
				if res := p.probe(b.Context()); res.Ready != counter.OK {
					b.Fatal(res.Reason)
				}
			}
		})
	}
}
