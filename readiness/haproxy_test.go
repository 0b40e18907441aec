package readiness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

// settling is how long a test waits for HAProxy.
const settling = time.Minute

// host is a daemon without interfaces, as its part here needs none, beside a
// stand-in for an API server.
type host struct {
	name      string
	apiserver *httptest.Server
	readyz    string
	agent     *agent.Agent
	stop      func()

	probed chan agent.ProbeResult
}

func newHost(t *testing.T, name string) *host {
	t.Helper()
	h := &host{name: name, probed: make(chan agent.ProbeResult)}
	h.apiserver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	t.Cleanup(h.apiserver.Close)
	c, err := config.Parse("vipd.yaml", []byte("node: "+name+"\n"+`
vips: [{name: apiserver, addresses: [192.0.2.10]}]
hello: {enabled: false}
readiness: {listen: "127.0.0.1:1", drain_wait: 3s}
drain: {shutdown_timeout: 0s}`))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", name)
	h.agent = agent.New(agent.Options{
		Config: c, Log: log, LogLevel: new(slog.LevelVar),
		Edges: agent.Edges{Health: h, Mark: h, Flows: noFlows{}},
	})
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.agent.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	listening := make(chan string, 1)
	server := Server{Address: "127.0.0.1:0", Node: h.agent, Log: log, listen: func(ctx context.Context, network, address string) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, network, address)
		if err == nil {
			listening <- l.Addr().String()
		}
		return l, err
	}}
	serving, end := context.WithCancel(context.Background())
	running.Go(func() { server.Serve(serving) })
	t.Cleanup(func() { stop(); end(); running.Wait() })
	h.readyz = <-listening
	h.find(counter.Result{Ready: counter.OK, Live: counter.OK})
	return h
}

// find has the health check find something.
func (h *host) find(r counter.Result) { h.probed <- agent.ProbeResult{Check: "apiserver", Result: r} }

// WatchHealth implements agent.HealthProber.
func (h *host) WatchHealth(ctx context.Context, _ config.VIP, fn func(agent.ProbeResult)) error {
	for {
		select {
		case r := <-h.probed:
			fn(r)
		case <-ctx.Done():
			return nil
		}
	}
}

// Load implements agent.DrainMark.
func (h *host) Load() (agent.Drained, error) { return nil, nil }

// Store implements agent.DrainMark.
func (h *host) Store(agent.Drained) error { return nil }

// noFlows carries no connections.
type noFlows struct{ agent.Flows }

func (noFlows) Abilities() agent.Abilities                                { return agent.Abilities{} }
func (noFlows) Apply(context.Context, []agent.FlowGroup) error            { return nil }
func (noFlows) WatchRules(ctx context.Context, _ func()) error            { <-ctx.Done(); return nil }
func (noFlows) AcceptRule(uint16) string                                  { return "" }
func (noFlows) ReleaseShadow(context.Context, string, []netip.Addr) error { return nil }
func (noFlows) FindShadows(context.Context, []netip.Addr) ([]netip.Addr, error) {
	return nil, nil
}

// balancer is a real HAProxy before two hosts, with the deployed configuration.
type balancer struct {
	address string
	first   *host
	second  *host
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed; scripts/install-deps installs it")
	}
	b := &balancer{first: newHost(t, "cp1"), second: newHost(t, "cp2")}
	data, err := os.ReadFile("../deploy/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = free.Addr().String()
	free.Close()
	server := func(h *host) string {
		_, port, _ := net.SplitHostPort(h.readyz)
		return h.apiserver.Listener.Addr().String() + " port " + port
	}
	file := string(data)
	// Without retries each attempt at a server that is gone is a failed request.
	for old, changed := range map[string]string{
		":6443\n    default_backend": b.address + "\n    default_backend",
		"192.0.2.11:6443":            server(b.first),
		"192.0.2.12:6443":            server(b.second),
		"inter 1s":                   "inter 100ms",
		"retries 3":                  "retries 0",
	} {
		if !strings.Contains(file, old) {
			t.Fatalf("deploy/haproxy/haproxy.cfg has no %q", old)
		}
		file = strings.Replace(file, old, changed, 1)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("HAProxy says:\n%s", &log)
		}
	})
	b.awaitServed(t, "cp1", "cp2")
	return b
}

// ask opens a connection for one request and returns who answered.
func (b *balancer) ask(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.address+"/version", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	name, err := io.ReadAll(answer.Body)
	return string(name), err
}

// awaitServed waits until twenty requests in a row are served by exactly these
// hosts.
func (b *balancer) awaitServed(t *testing.T, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settling)
	defer cancel()
	for {
		served, failed := map[string]bool{}, false
		for range 20 {
			name, err := b.ask(ctx)
			failed = failed || err != nil
			served[name] = true
		}
		right := !failed && len(served) == len(want)
		for _, name := range want {
			right = right && served[name]
		}
		if right {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not served by %v, but by %v", want, served)
		}
	}
}

// load asks without pause, by some clients at once, until it is ended, which
// tells how often each host answered and what failed.
func (b *balancer) load(t *testing.T) (end func() (answers map[string]int, failures []error)) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	answers, failures := map[string]int{}, []error(nil)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				name, err := b.ask(t.Context())
				mu.Lock()
				if err != nil {
					failures = append(failures, err)
				} else {
					answers[name]++
				}
				mu.Unlock()
				time.Sleep(time.Millisecond) // a pace that leaves ports to others
			}
		})
	}
	return func() (map[string]int, []error) {
		cancel()
		clients.Wait()
		return answers, failures
	}
}

func TestHAProxyLosesNoRequestInADrain(t *testing.T) {
	b := newBalancer(t)
	end := b.load(t)
	result, err := b.first.agent.Drain(t.Context(), agent.DrainRequest{Force: true}, func(p agent.DrainProgress) { t.Log(p.Message) })
	if err != nil || result != agent.DrainDone {
		t.Fatalf("drain: %s, %v", result, err)
	}
	// What the drain was for: the API server goes, and nobody notices.
	b.first.apiserver.Close()
	b.awaitServed(t, "cp2")
	answers, failures := end()
	if len(failures) > 0 {
		t.Errorf("%d requests failed, the first one: %v", len(failures), failures[0])
	}
	if answers["cp1"] == 0 || answers["cp2"] == 0 {
		t.Errorf("served by %v; want both, one after the other", answers)
	}
}

func TestHAProxyGoesByHealth(t *testing.T) {
	b := newBalancer(t)
	b.first.find(counter.Result{Ready: counter.Refused, Live: counter.Refused, Reason: "refused"})
	b.awaitServed(t, "cp2")
	b.first.find(counter.Result{Ready: counter.OK, Live: counter.OK})
	b.awaitServed(t, "cp1", "cp2")
}

func TestHAProxyLeavesANodeThatStops(t *testing.T) {
	b := newBalancer(t)
	b.first.stop()
	b.awaitServed(t, "cp2")
}
