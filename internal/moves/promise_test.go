package moves

import (
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
)

// losses are what a client has lost.
type losses struct {
	// Failed requests, Streams that were there, and Broken ones of them: ended, or
	// silent although others flow.
	Failed, Streams, Broken int
}

// lossless lets something happen and returns when all has settled. It holds vipd
// to its promise: no request failed meanwhile, no stream broke, none hangs.
func (s *stage) lossless(what func()) (owner *lab.Host) {
	s.t.Helper()
	from := time.Now()
	what()
	owner = s.settle()
	s.unharmed(from)
	return owner
}

// unharmed makes sure that no client lost anything since a time.
func (s *stage) unharmed(from time.Time) {
	s.t.Helper()
	for i, c := range s.clients {
		s.must(c.AwaitStreams(s.ctx(), time.Now()))
		to := time.Now()
		seen, err := c.Report(s.ctx(), from, to)
		s.must(err)
		got := losses{Failed: seen.Failed, Streams: seen.Streams, Broken: seen.Broken}
		if diff := cmp.Diff(losses{Streams: s.streams()}, got); diff != "" {
			failed, err := c.Failures(s.ctx(), from, to)
			s.must(err)
			s.t.Errorf("client %d, of %d requests (-want +got):\n%s\nfailed: %+v\n%s", i, seen.Requests, diff, failed, s.lags())
		}
		if seen.Requests == 0 {
			s.t.Errorf("client %d made no request", i)
		}
	}
}

// lags tells how late the daemons were served by the machine: a daemon that was
// starved explains a loss.
func (s *stage) lags() string {
	var b strings.Builder
	for _, h := range s.Lab.Hosts {
		for _, line := range s.metrics(h) {
			if strings.HasPrefix(line, "vipd_loop_la") {
				b.WriteString(h.Name + " " + line + "\n")
			}
		}
	}
	return b.String()
}
