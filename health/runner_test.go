package health

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/health/counter"
)

// fakeProbe takes a second for each probe; its connection ends at once, or
// never.
type fakeProbe struct {
	restless bool
	closed   bool
	starts   []time.Duration
	start    time.Time
}

func (p *fakeProbe) probe(ctx context.Context) Result {
	p.starts = append(p.starts, time.Since(p.start))
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return Result{Result: counter.Result{Ready: counter.OK}}
}

func (p *fakeProbe) stirred() <-chan struct{} {
	if !p.restless {
		return nil
	}
	c := make(chan struct{})
	close(c)
	return c
}

func (p *fakeProbe) close() { p.closed = true }

func TestRunInFakeTime(t *testing.T) {
	const s = time.Second
	for _, row := range []struct {
		name     string
		interval time.Duration
		restless bool
		want     []time.Duration // starts within 31 s
	}{
		{"one at once, then each interval", 10 * s, false, []time.Duration{0, 10 * s, 20 * s, 30 * s}},
		{"slower than the interval: one after the other", s / 2, false, every(s, 31)},
		{"connections that end at once make no storm", 16 * s, true, []time.Duration{0, 1 * s, 2 * s, 3 * s, 4 * s, 5 * s, 6*s + 600*time.Millisecond, 9*s + 800*time.Millisecond, 16*s + 200*time.Millisecond, 29 * s}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				fake := &fakeProbe{restless: row.restless, start: start}
				var reported []time.Duration
				r := &Runner{name: "c", interval: row.interval, prober: fake, report: func(res Result) {
					if res.Check != "c" || res.Ready != counter.OK {
						t.Errorf("reported %+v", res)
					}
					reported = append(reported, res.At.Sub(start))
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 31*s-time.Millisecond)
				defer cancel()
				if err := r.Run(ctx); err != nil {
					t.Errorf("Run: %v", err)
				}
				if diff := cmp.Diff(row.want, fake.starts); diff != "" {
					t.Errorf("starts: %s", diff)
				}
				// The last one may have been cut off by the end.
				if diff := cmp.Diff(row.want[:len(reported)], reported); diff != "" || len(reported) < len(row.want)-1 {
					t.Errorf("reported: %s", diff)
				}
				if !fake.closed {
					t.Error("the probe was not closed")
				}
			})
		})
	}
}

func every(d time.Duration, n int) []time.Duration {
	var all []time.Duration
	for i := range n {
		all = append(all, time.Duration(i)*d)
	}
	return all
}

// In the tests below the interval is an hour: a second result is there only
// because the connection told.

func TestDeathIsToldByTheWarmConnection(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol+" reset", func(t *testing.T) {
			s := newAPIServer(t, protocol, fine).start()
			results := watch(t, s.check())
			expect(t, <-results, good, "")
			s.die()
			expect(t, <-results, outcomes{counter.Refused, counter.Refused}, "refused")
		})
		t.Run(protocol+" graceful: idle connections are ended", func(t *testing.T) {
			s := newAPIServer(t, protocol, fine).start()
			results := watch(t, s.check())
			expect(t, <-results, good, "")
			go func() { _ = s.server.Shutdown(context.Background()) }()
			expect(t, <-results, outcomes{counter.Refused, counter.Refused}, "refused")
		})
		t.Run(protocol+" not authorised is watched too", func(t *testing.T) {
			s := newAPIServer(t, protocol, answerWith(401, "")).start()
			results := watch(t, s.check())
			expect(t, <-results, outcomes{counter.Unauthorised, counter.Unauthorised}, "not authorised")
			s.die()
			expect(t, <-results, outcomes{counter.Refused, counter.Refused}, "refused")
		})
		t.Run(protocol+" a healthy server closes an idle connection: probed, still healthy", func(t *testing.T) {
			s := newAPIServer(t, protocol, fine)
			s.server.IdleTimeout = 50 * time.Millisecond
			s.start()
			results := watch(t, s.check())
			for range 3 {
				expect(t, <-results, good, "")
			}
		})
	}
}

// A server process that is killed: the kernel alone ends its connections.
func TestDeathOfAProcess(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newAPIServer(t, protocol, fine)
			process, address := startServerProcess(t, s, protocol)
			check := s.check()
			check.URL, check.LivenessURL = "https://"+address+"/readyz", "https://"+address+"/livez"
			results := watch(t, check)
			expect(t, <-results, good, "")
			if err := process.Kill(); err != nil {
				t.Fatal(err)
			}
			expect(t, <-results, outcomes{counter.Refused, counter.Refused}, "refused")
		})
	}
}

// serverEnv makes the test binary a server of this protocol.
const serverEnv = "HEALTH_TEST_SERVER_PROTOCOL"

func startServerProcess(t *testing.T, s *apiserver, protocol string) (*os.Process, string) {
	t.Helper()
	dir := t.TempDir()
	p := s.ca.issue(tomorrow(), "127.0.0.1")
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), serverEnv+"="+protocol)
	write(t, dir+"/tls.crt", p.cert)
	write(t, dir+"/tls.key", p.key)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("address of the server process: %v", err)
	}
	return cmd.Process, line[:len(line)-1]
}

// serveProcess is the main of a server process.
func serveProcess(protocol string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: fine, Protocols: offered(protocol)}
	return server.ServeTLS(listener, "tls.crt", "tls.key")
}

func TestMain(m *testing.M) {
	if protocol := os.Getenv(serverEnv); protocol != "" {
		fmt.Fprintln(os.Stderr, serveProcess(protocol))
		os.Exit(1)
	}
	if os.Getenv(execEnv) != "" {
		printExecResult()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The listener closes at once, open connections are served on: by an old
// connection all would look well.
func TestGracefulStop(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newAPIServer(t, protocol, fine).start()
			check := s.check()
			check.Interval = 10 * time.Millisecond
			results := watch(t, check)
			expect(t, <-results, good, "")
			if err := s.listener.Close(); err != nil {
				t.Fatal(err)
			}
			rule := counter.NewCheck(counter.Rule{Rise: 1, Fall: 1})
			for res := range results {
				v := rule.Step(res.At, res.Result)
				if v.Liveness == counter.Hung {
					t.Fatalf("hung: %+v", res)
				}
				if !v.Healthy {
					expect(t, res, outcomes{counter.Refused, counter.Refused}, "refused")
					return
				}
			}
		})
	}
}

func TestEndOfRun(t *testing.T) {
	arrived := make(chan struct{}, 2)
	s := newAPIServer(t, both, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		hang(w, r)
	}).start()
	check := s.check()
	check.Timeout = time.Hour
	r, err := New(check, Endpoint{}, func(res Result) { t.Errorf("reported %+v", res) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	<-arrived
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Each probe opens connections and each connection has goroutines; a daemon
// probes for years.
func TestProbesLeaveNothingBehind(t *testing.T) {
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"answered well", fine},
		{"answered badly", answerWith(500, "")},
		{"cut off", cutOff},
		{"longer than is read", answerWith(http.StatusOK, strings.Repeat("x", 2*maxBody))},
	} {
		for _, protocol := range protocols {
			t.Run(protocol+" "+row.name, func(t *testing.T) {
				s := newAPIServer(t, protocol, row.handler).start()
				p, err := newProber(s.check(), Endpoint{})
				if err != nil {
					t.Fatal(err)
				}
				for range 5 {
					p.probe(t.Context())
				}
				p.close()
				for s.open() > 0 {
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
}
