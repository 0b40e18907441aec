package moves

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/vipd/vipd/internal/lab"
)

// metrics are the lines of the host's /metrics; none if its daemon does not run.
func (s *stage) metrics(h *lab.Host) []string {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			err = h.Do(func() error {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
				return err
			})
			return conn, err
		},
	}}
	req, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, "http://127.0.0.1:9650/metrics", nil)
	s.must(err)
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.must(err)
	return strings.Split(string(text), "\n")
}

// metric reads a sample; zero if there is none.
func (s *stage) metric(h *lab.Host, series string) float64 {
	s.t.Helper()
	for _, line := range s.metrics(h) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			s.must(err)
			return n
		}
	}
	return 0
}
