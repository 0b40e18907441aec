package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/vipd/vipd/internal/lab"
)

// exits runs a command of vipd against the daemon on a host, wants an exit code
// and returns all that was printed.
func (s *stage) exits(want int, h *lab.Host, argv ...string) string {
	s.t.Helper()
	code, text := s.command(h, argv...)
	if code != want {
		s.t.Fatalf("vipd %s on %s: exit code %d, want %d:\n%s", strings.Join(argv, " "), h, code, want, text)
	}
	return text
}

// command runs a command of vipd with the host's configuration.
func (s *stage) command(h *lab.Host, argv ...string) (code int, text string) {
	argv = append(append([]string{s.vipd.Binary}, argv...), "--config", s.vipd.ConfigFile(h), "--socket", s.vipd.Socket(h))
	out, err := h.Run(s.ctx(), argv...)
	if err == nil {
		return 0, out
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		s.t.Errorf("%v", err)
		return -1, out
	}
	return exit.ExitCode(), out + err.Error()
}

// says makes sure that a text has all these words.
func (s *stage) says(text string, words ...string) {
	s.t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			s.t.Errorf("%q is not in:\n%s", word, text)
		}
	}
}

// run runs a program on a host.
func (s *stage) run(h *lab.Host, argv ...string) string {
	s.t.Helper()
	out, err := h.Run(s.ctx(), argv...)
	s.must(err)
	return out
}

// configure gives a host a new configuration; the daemon there does not know of
// it yet.
func (s *stage) configure(h *lab.Host, c config) {
	s.t.Helper()
	s.vipd.configs[h.Name] = c
	s.must(s.vipd.configure(h, s.service))
}

// reload gives a host a new configuration and tells the daemon.
func (s *stage) reload(h *lab.Host, c config) {
	s.t.Helper()
	s.configure(h, c)
	s.exits(0, h, "reload")
}

// lineOf is where a key stands first in a host's configuration, as errors tell it:
// file and line.
func (s *stage) lineOf(h *lab.Host, key string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.vipd.ConfigFile(h))
	s.must(err)
	before, _, found := strings.Cut(string(text), key)
	if !found {
		s.t.Fatalf("no %s in:\n%s", key, text)
	}
	return fmt.Sprintf("%s:%d", s.vipd.ConfigFile(h), 1+strings.Count(before, "\n"))
}

// dialFrom returns a dialler in the host's network.
func dialFrom(h *lab.Host) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = h.Do(func() error {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
}

// get fetches a URL from a host.
func (s *stage) get(h *lab.Host, url string) ([]string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialFrom(h)}}
	req, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	var lines []string
	for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	return lines, nil
}

// metric reads a sample from the host's /metrics; zero if there is none.
func (s *stage) metric(h *lab.Host, series string) float64 {
	s.t.Helper()
	lines, err := s.get(h, "http://127.0.0.1:9650/metrics")
	s.must(err)
	for _, line := range lines {
		value, ok := strings.CutPrefix(line, series+" ")
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		s.must(err)
		return n
	}
	return 0
}
