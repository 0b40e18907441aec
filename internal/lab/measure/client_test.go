package measure_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/measure"
)

// patience is for things that take a second or two on an idle machine.
const patience = 20 * time.Second

func TestMain(m *testing.M) { labtest.Main(m) }

// stage is a lab of two hosts with servers and a client that measures the first
// one's own address in place of a VIP.
type stage struct {
	lab     *lab.Lab
	servers []*apiserver.Process
	client  *measure.Client
}

func newStage(t *testing.T, adapt func(*measure.Options)) *stage {
	t.Helper()
	s := &stage{lab: labtest.New(t, lab.Options{Hosts: 2})}
	ca, err := apiserver.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	viplab := labtest.Self(t)
	program := apiserver.Program{Viplab: viplab, CA: ca, Port: 6443}
	for _, h := range s.lab.Hosts {
		server, err := program.Start(labtest.Context(t, patience), h)
		if err != nil {
			t.Fatal(err)
		}
		s.servers = append(s.servers, server)
	}
	opts := measure.Defaults(netip.AddrPortFrom(s.lab.Hosts[0].Addr4, 6443))
	opts.Every = 5 * time.Millisecond // the race detector makes the processes slow
	opts.Streams = 2
	opts.Controls = []netip.AddrPort{netip.AddrPortFrom(s.lab.Hosts[1].Addr4, 6443)}
	opts.CAFile = program.CAFile(s.lab.Hosts[0])
	adapt(&opts)
	if s.client, err = measure.Start(labtest.Context(t, patience), s.lab.Client, viplab, opts); err != nil {
		t.Fatal(err)
	}
	s.awaitServed(t, time.Now())
	if err := s.client.AwaitStreams(labtest.Context(t, patience), time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

func anybody(string) bool { return true }

func (s *stage) awaitServed(t *testing.T, since time.Time) {
	t.Helper()
	if _, err := s.client.AwaitServed(labtest.Context(t, patience), since, 20, anybody); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) report(t *testing.T, from time.Time) measure.Report {
	t.Helper()
	r, err := s.client.Report(labtest.Context(t, patience), from, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClientSeesAHealthyService(t *testing.T) {
	for name, adapt := range map[string]func(*measure.Options){
		"plain requests": func(*measure.Options) {},
		"TLS requests":   func(o *measure.Options) { o.TLS, o.Every = true, 50*time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, adapt)
			from := time.Now()
			s.awaitServed(t, from)
			r := s.report(t, from)
			if r.Requests < 20 || r.Failed != 0 || r.Nodes["cp1"] != r.Requests || r.Outage != 0 || r.P50 == 0 {
				t.Errorf("requests: %+v", r)
			}
			if r.Streams != 2 || r.Broken != 0 {
				t.Errorf("streams: %+v", r)
			}
			if err := s.client.Stop(labtest.Context(t, patience)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClientSeesASilentCut(t *testing.T) {
	s := newStage(t, func(o *measure.Options) { o.Timeout = 100 * time.Millisecond })
	from := time.Now()
	mend, err := s.lab.Break(lab.SilentCut(s.lab.Hosts[0]))
	if err != nil {
		t.Fatal(err)
	}
	broken := time.Now()
	s.awaitFailures(t, measure.ErrTimeout, broken, 10)
	mended := time.Now()
	if err := mend(); err != nil {
		t.Fatal(err)
	}
	s.awaitServed(t, mended)
	r := s.report(t, from)
	if least := mended.Sub(broken); r.Outage < least {
		t.Errorf("outage of %v; it lasted %v at least", r.Outage, least)
	}
	if r.Errors[measure.ErrTimeout] != r.Failed {
		t.Errorf("failures: %v; want time-outs only", r.Errors)
	}
}

func TestClientSeesRefusedRequestsAndBrokenStreams(t *testing.T) {
	s := newStage(t, func(*measure.Options) {})
	from := time.Now()
	if err := s.servers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	s.awaitFailures(t, measure.ErrRefused, from, 10)
	if r := s.report(t, from); r.Streams != 2 || r.Broken != 2 {
		t.Errorf("streams: %+v; want both broken", r)
	}
}

func TestClientGivesUpASilentStream(t *testing.T) {
	s := newStage(t, func(o *measure.Options) { o.Patience = 500 * time.Millisecond })
	from := time.Now()
	if err := s.servers[0].Signal(syscall.SIGSTOP); err != nil { // the host's kernel goes on answering
		t.Fatal(err)
	}
	err := lab.Await(labtest.Context(t, patience), "both streams to be given up", func() error {
		r := s.report(t, from)
		if r.Broken < 2 {
			return errTooFew(r.Broken)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	if err := s.servers[0].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := s.client.AwaitStreams(labtest.Context(t, patience), resumed); err != nil {
		t.Errorf("opened anew: %v", err)
	}
}

// awaitFailures waits for failures of one kind.
func (s *stage) awaitFailures(t *testing.T, word string, from time.Time, n int) {
	t.Helper()
	err := lab.Await(labtest.Context(t, patience), "requests to fail", func() error {
		if failed := s.report(t, from).Errors[word]; failed < n {
			return errTooFew(failed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
