package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// patience is how long a test waits for Prometheus.
const patience = time.Minute

// tool is a program of Debian's package prometheus, for tests that take seconds.
func tool(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed; scripts/install-deps installs it", name)
	}
	return path
}

func TestPromtoolAcceptsWhatIsDeployed(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "--lint-fatal", "vipd.rules.yml"},
		{"test", "rules", "vipd.rules.test.yml"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), promtool, args...)
			cmd.Dir = "../deploy/prometheus"
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestPromtoolFindsNoFaultInTheMetrics(t *testing.T) {
	promtool := tool(t, "promtool")
	s := server(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(busyNode()))
	s.Gatherer = registry
	body := get(t, "http://"+serveNow(t, s)+"/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPrometheusScrapes has a real Prometheus scrape a node by the scrape
// configuration that is deployed, and evaluate the alerts.
func TestPrometheusScrapes(t *testing.T) {
	program := tool(t, "prometheus")
	target := serveNow(t, server(t))
	api := prometheusAt(t, program, target)

	var owner struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	await(t, api+"/api/v1/query?query=vipd_vip_owner", &owner, func() bool { return len(owner.Data.Result) > 0 })
	want := map[string]string{"__name__": "vipd_vip_owner", "vip": "apiserver", "job": "vipd", "cluster": "kubernetes", "instance": target}
	for label, value := range want {
		if got := owner.Data.Result[0].Metric[label]; got != value {
			t.Errorf("the scraped series has %s=%q, want %q", label, got, value)
		}
	}

	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	evaluated := func() bool {
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return len(rules.Data.Groups) > 0
	}
	await(t, api+"/api/v1/rules", &rules, evaluated)
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
}

// serveNow serves on a free port of the loopback interface until the test ends,
// and returns its address.
func serveNow(t *testing.T, s *Server) string {
	t.Helper()
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
	t.Cleanup(func() { stop(); <-ended })
	return <-address
}

// prometheusAt runs Prometheus with the deployed configuration, which scrapes
// target only and without delay, and returns the address of its API.
func prometheusAt(t *testing.T, program, target string) string {
	t.Helper()
	dir := t.TempDir()
	for name, change := range map[string]*strings.Replacer{
		"prometheus.yml": strings.NewReplacer("[cp1:9650, cp2:9650, cp3:9650]", `["`+target+`"]`, "scrape_interval: 15s", "scrape_interval: 200ms"),
		"vipd.rules.yml": strings.NewReplacer("interval: 15s", "interval: 200ms"),
	} {
		data, err := os.ReadFile(filepath.Join("../deploy/prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := change.Replace(string(data))
		if changed == string(data) {
			t.Fatalf("%s has nothing of what this test replaces", name)
		}
		write(t, filepath.Join(dir, name), changed)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", &log)
		}
	})
	return "http://" + listen
}

// await asks url until the answer, put into v, is the one waited for.
func await(t *testing.T, url string, v any, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		body, err := fetch(ctx, url)
		if err == nil {
			err = json.Unmarshal(body, v)
		}
		if err == nil && done() {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s did not answer as expected in %v: %v\n%s", url, patience, err, body)
		}
	}
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	body, err := fetch(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
