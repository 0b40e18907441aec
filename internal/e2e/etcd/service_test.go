package etcd

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/measure"
)

const (
	// port is the API servers'.
	port = 6443
	// streams are kept open by the measuring client, which makes a request each
	// requestEvery.
	streams      = 30
	requestEvery = 5 * time.Millisecond
	// requestTimeout is below the kernel's first retransmission of a SYN, 1 s: a
	// lost SYN is a failure.
	requestTimeout = 900 * time.Millisecond
	// streamTick is the time between two lines of a stream.
	streamTick = 50 * time.Millisecond
)

// service is what stands behind the VIP, and its client.
type service struct {
	program apiserver.Program
	servers map[*lab.Host]*apiserver.Process
	client  *measure.Client
}

// serve has vipd judge its host by an API server, of which none runs yet.
func (s *stage) serve() {
	s.t.Helper()
	ca, err := apiserver.NewCA()
	s.must(err)
	s.service = &service{
		program: apiserver.Program{Viplab: labtest.Self(s.t), CA: ca, Port: port, VIPs: []netip.Addr{theVIP}, Tick: streamTick},
		servers: map[*lab.Host]*apiserver.Process{},
	}
	s.health = fmt.Sprintf("{type: https, name: apiserver, url: \"https://127.0.0.1:%[1]d/readyz\", liveness_url: \"https://127.0.0.1:%[1]d/livez\", ca_file: %%s}", port)
}

// apiserver starts the API servers of hosts.
func (s *stage) apiserver(hosts ...*lab.Host) {
	s.t.Helper()
	for _, h := range hosts {
		p, err := s.service.program.Start(s.ctx, h)
		s.must(err)
		s.service.servers[h] = p
	}
}

// measure has a client ask for the VIP all the time, with streams that are all the
// present owner's. One that did so before ends.
func (s *stage) measure() {
	s.t.Helper()
	if s.service.client != nil {
		s.must(s.service.client.Stop(s.ctx))
	}
	opts := measure.Defaults(netip.AddrPortFrom(theVIP, port))
	opts.Every, opts.Timeout, opts.Streams = requestEvery, requestTimeout, streams
	for h := range s.service.servers {
		opts.CAFile = s.service.program.CAFile(h)
		opts.Controls = append(opts.Controls, netip.AddrPortFrom(h.Addr4, port))
	}
	var err error
	s.service.client, err = measure.Start(s.ctx, s.Client, labtest.Self(s.t), opts)
	s.must(err)
	s.must(s.service.client.AwaitStreams(s.ctx, time.Now()))
}

// losses are what a client has lost.
type losses struct {
	// Failed requests, Streams that were there, and Broken ones of them: ended, or
	// silent although others flow.
	Failed, Streams, Broken int
}

// lossless lets something happen, and holds vipd to both promises: the client lost
// nothing from before it until all has settled, and two never answered.
func (s *stage) lossless(what func()) {
	s.t.Helper()
	w, from := s.watch(), time.Now()
	what()
	s.unharmed(from)
	s.judge(w)
}

// unharmed makes sure that the client lost nothing since a time.
func (s *stage) unharmed(from time.Time) {
	s.t.Helper()
	c := s.service.client
	s.must(c.AwaitStreams(s.ctx, time.Now()))
	to := time.Now()
	seen, err := c.Report(s.ctx, from, to)
	s.must(err)
	got := losses{Failed: seen.Failed, Streams: seen.Streams, Broken: seen.Broken}
	if diff := cmp.Diff(losses{Streams: streams}, got); diff != "" {
		failed, err := c.Failures(s.ctx, from, to)
		s.must(err)
		s.t.Errorf("of %d requests (-want +got):\n%s\nfailed: %+v", seen.Requests, diff, failed)
	}
	if seen.Requests == 0 {
		s.t.Error("the client made no request")
	}
}

// command runs a command of vipd against the daemon on a host.
func (s *stage) command(h *lab.Host, argv ...string) {
	s.t.Helper()
	_, err := h.Run(s.ctx, append(append([]string{s.binary}, argv...), "--socket", socket(h))...)
	s.must(err)
}

// part tells one part of a story on the same stage, with a patience of its own. The
// parts that follow build on it, so they are left out when it fails.
func (s *stage) part(name string, story func(s *stage)) {
	s.t.Helper()
	ok := s.t.Run(name, func(t *testing.T) { story(s.in(t)) })
	if !ok {
		s.t.FailNow()
	}
}

// in is the stage for a subtest, with the patience of one.
func (s *stage) in(t *testing.T) *stage {
	own := *s
	own.t, own.ctx = t, labtest.Context(t, time.Minute)
	return &own
}

// settle waits until one of the hosts whose daemon runs owns the VIP, by the lease
// and in its kernel, and the others would take it. It returns the owner.
func (s *stage) settle() *lab.Host {
	s.t.Helper()
	return s.settled(s.groups[0])
}

// settled is settle for a group.
func (s *stage) settled(g group) *lab.Host {
	s.t.Helper()
	var owner *lab.Host
	s.must(lab.AwaitEvery(s.ctx, 20*time.Millisecond, "one owner that answers, and backups", func() (err error) {
		owner, err = s.agreed(g)
		return err
	}))
	return owner
}

// agreed is a group's owner by its own word and its kernel's, when all daemons that
// run reach etcd and are fit.
func (s *stage) agreed(g group) (*lab.Host, error) {
	var owners []*lab.Host
	for h, p := range s.running {
		select {
		case <-p.Done():
			continue
		default:
		}
		v, err := s.statusOf(h, g)
		switch l := v.Election.Lease; {
		case err != nil:
			return nil, err
		case l == nil || l.Error != "":
			return nil, fmt.Errorf("%s does not reach etcd: %+v", h, l)
		case !v.Healthy:
			return nil, fmt.Errorf("%s is not healthy", h)
		case v.State == agent.StateOwner && l.Held && l.Holder == h.Name:
			owners = append(owners, h)
		case v.State != agent.StateBackup && v.State != agent.StateHandover && v.State != agent.StateDrained:
			return nil, fmt.Errorf("%s is %s for %s (%s)", h, v.State, v.Reason, v.Detail)
		}
	}
	if len(owners) != 1 {
		return nil, fmt.Errorf("owners: %v", owners)
	}
	held, err := owners[0].Addresses(owners[0].Interface)
	for _, address := range g.addresses {
		if err == nil && !slices.Contains(held, address) {
			err = fmt.Errorf("%v owns %v and has it not on its interface", owners[0], address)
		}
	}
	return owners[0], err
}

// others are the hosts beside some.
func (s *stage) others(but ...*lab.Host) []*lab.Host {
	return slices.DeleteFunc(slices.Clone(s.Hosts), func(o *lab.Host) bool { return slices.Contains(but, o) })
}
