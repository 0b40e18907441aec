package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/measure"
)

// A real HAProxy on a host of its own, with the configuration that comes with vipd,
// in front of the API servers of three hosts: it goes by what vipd's readiness
// listener says, and its clients lose nothing.
func TestExternalBalancer(t *testing.T) {
	s := open(t, setup{programs: []string{"haproxy"}, config: func(h *lab.Host) config {
		return config{sections: []string{fmt.Sprintf("readiness: {listen: \"%s:9652\", drain_wait: 4s}", h.Addr4)}}
	}})
	balanced := s.startBalancer()
	s.awaitBalanced(balanced, s.Lab.Hosts...)
	since := time.Now()

	s.part("a drain ends when the balancer has left the node: its API server may go", func(s *stage) {
		owner := s.settle()
		s.exits(0, owner, "drain")
		s.must(s.APIServer(owner).Kill())
		s.awaitBalanced(balanced, s.others(owner)...)
		s.must(s.StartAPIServer(s.ctx(), owner))
		s.awaitGroup(owner, "healthy", healthy)
		s.exits(0, owner, "undrain")
		s.awaitBalanced(balanced, s.Lab.Hosts...)
	})
	s.part("an API server that is not ready gets nothing", func(s *stage) {
		h := s.others(s.settle())[0]
		s.must(s.APIServer(h).SetMode(s.ctx(), apiserver.Unready))
		s.awaitBalanced(balanced, s.others(h)...)
		s.must(s.APIServer(h).SetMode(s.ctx(), apiserver.Ready))
		s.awaitBalanced(balanced, s.Lab.Hosts...)
	})
	failed, err := balanced.Failures(s.ctx(), since, time.Now())
	s.must(err)
	if len(failed) > 0 {
		t.Errorf("%d requests by way of the balancer failed; the first: %+v", len(failed), failed[0])
	}
}

// startBalancer starts HAProxy on the client's host, and a client of it.
func (s *stage) startBalancer() *measure.Client {
	s.t.Helper()
	text, err := os.ReadFile("../../deploy/haproxy/haproxy.cfg")
	s.must(err)
	file := string(text)
	// Without retries each attempt at a server that is gone is a failed request.
	for old, changed := range map[string]string{
		"192.0.2.11:6443":                s.Lab.Hosts[0].Addr4.String() + ":6443",
		"    server cp2 192.0.2.12:6443": fmt.Sprintf("    server cp2 %s:6443\n    server cp3 %s:6443", s.Lab.Hosts[1].Addr4, s.Lab.Hosts[2].Addr4),
		"retries 3":                      "retries 0",
	} {
		if !strings.Contains(file, old) {
			s.t.Fatalf("deploy/haproxy/haproxy.cfg has no %q", old)
		}
		file = strings.Replace(file, old, changed, 1)
	}
	on := s.Lab.Client
	path := filepath.Join(on.Dir(), "haproxy.cfg")
	s.must(os.MkdirAll(on.Dir(), 0o755))
	s.must(os.WriteFile(path, []byte(file), 0o644))
	_, err = on.Start("haproxy", "haproxy", "-db", "-f", path)
	s.must(err)

	measuring := measure.Defaults(netip.AddrPortFrom(on.Addr4, 6443))
	measuring.CAFile = s.service.CAFile(s.Lab.Hosts[0])
	// A balancer's queue is no SYN that was lost.
	measuring.Every, measuring.Timeout = 5*time.Millisecond, 5*time.Second
	client, err := measure.Start(s.ctx(), on, s.viplab, measuring)
	s.must(err)
	return client
}

// awaitBalanced waits until the balancer's clients are served by these hosts, each
// of them, and by no other.
func (s *stage) awaitBalanced(client *measure.Client, want ...*lab.Host) {
	s.t.Helper()
	const row = 60
	names := map[string]bool{}
	for _, h := range want {
		names[h.Name] = true
	}
	s.await(fmt.Sprintf("the balancer to use %v", want), func() error {
		from, err := client.AwaitServed(s.ctx(), time.Now(), row, func(node string) bool { return names[node] })
		if err != nil {
			return err
		}
		seen, err := client.Report(s.ctx(), from, time.Now())
		if err == nil && len(seen.Nodes) != len(want) {
			err = fmt.Errorf("served by %v", seen.Nodes)
		}
		return err
	})
}
