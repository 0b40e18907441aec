package moves

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/measure"
	"github.com/vipd/vipd/internal/lab/scene"
)

const (
	// patience is for anything that takes a few seconds on an idle machine.
	patience = 40 * time.Second
	// requestTimeout is below the kernel's first retransmission of a SYN, 1 s: a
	// lost SYN is a failure.
	requestTimeout = 900 * time.Millisecond
	// tick is the time between two lines of a stream.
	tick = 50 * time.Millisecond
)

// setup is how a stage differs from three hosts with vipd, IPv4, and a
// configuration as small as the lab allows.
type setup struct {
	hosts int
	// vips of the main group; those of the pairs' are the next ones.
	vips []netip.Addr
	// streams and requests a second are divided among the VIPs.
	streams  int
	requests int
	// routed puts the measuring clients behind a router.
	routed bool
	// config is a host's configuration, before runs on it ahead of its daemon.
	config func(h *lab.Host) config
	before func(h *lab.Host) error
	// guests are the hosts, by name, that run another daemon; there are no pairs
	// then.
	guests map[string]daemon.Daemon
}

// stage is a scene with verbs that end the test when something is not so.
type stage struct {
	*scene.Scene
	t     *testing.T
	vipd  *vipd
	setup setup
	// clients measure one VIP each; the scene's is the first.
	clients []*measure.Client
	servers map[*lab.Host]*pairServer
}

// open sets a stage up: one owner, the others ready, the clients served. It skips
// the test where there can be none.
func open(t *testing.T, with setup) *stage {
	t.Helper()
	labtest.Require(t)
	if with.vips == nil {
		with.vips = []netip.Addr{lab.VIP4()}
	}
	if with.requests == 0 {
		with.requests = 200
	}
	v := &vipd{
		Vipd: daemon.Vipd{Binary: labtest.Vipd()}, config: with.config, changed: map[*lab.Host]config{},
		before: with.before, prepared: map[*lab.Host]bool{},
		guests: with.guests, pairless: with.guests != nil,
	}
	sc, err := scene.Open(labtest.Context(t, patience), scene.Options{
		Daemon: v, Viplab: labtest.Self(t), Hosts: with.hosts, VIPs: with.vips, Routed: with.routed,
		Every: with.every(), Timeout: requestTimeout, Streams: with.streams / len(with.vips), Tick: tick,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			labtest.ShowLogs(t, sc.Lab)
		}
		if err := sc.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{Scene: sc, t: t, vipd: v, setup: with, clients: []*measure.Client{sc.Client}}
	for _, vip := range with.vips[1:] {
		s.clients = append(s.clients, s.measure(vip))
	}
	s.servers = s.servePairs()
	return s
}

// every is the time between two requests to one VIP.
func (w setup) every() time.Duration {
	return time.Duration(len(w.vips)) * time.Second / time.Duration(w.requests)
}

// measure starts a client of a VIP and returns when its streams flow.
func (s *stage) measure(vip netip.Addr) *measure.Client {
	s.t.Helper()
	opts := measure.Defaults(netip.AddrPortFrom(vip, s.VIP().Port()))
	opts.Every, opts.Timeout, opts.Streams = s.setup.every(), requestTimeout, s.streams()
	opts.CAFile = s.vipd.service.CAFile(s.Lab.Hosts[0])
	for _, h := range s.Lab.Hosts {
		opts.Controls = append(opts.Controls, netip.AddrPortFrom(own(h, vip), s.VIP().Port()))
	}
	from := s.Lab.Client
	if s.setup.routed {
		from = s.Lab.Remote
	}
	c, err := measure.Start(s.ctx(), from, labtest.Self(s.t), opts)
	s.must(err)
	s.must(c.AwaitStreams(s.ctx(), time.Now()))
	return c
}

// streams is how many each client keeps open.
func (s *stage) streams() int { return s.setup.streams / len(s.setup.vips) }

// anew replaces the clients by new ones, whose streams all are the owner's.
func (s *stage) anew() (owner *lab.Host) {
	s.t.Helper()
	s.settle()
	for i, vip := range s.setup.vips {
		s.must(s.clients[i].Stop(s.ctx()))
		s.clients[i] = s.measure(vip)
	}
	s.Client = s.clients[0]
	return s.settle()
}

// own is a host's own address of the VIP's family.
func own(h *lab.Host, vip netip.Addr) netip.Addr {
	if vip.Is4() {
		return h.Addr4
	}
	return h.Addr6
}

// part tells one part of a story on the same stage. The parts that follow build
// on it, so they are left out when it fails.
func (s *stage) part(name string, story func(s *stage)) {
	s.t.Helper()
	ok := s.t.Run(name, func(t *testing.T) {
		same := *s
		same.t = t
		story(&same)
	})
	if !ok {
		s.t.FailNow()
	}
}

func (s *stage) ctx() context.Context { return labtest.Context(s.t, patience) }

// must ends the test on an error.
func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// await waits for a condition.
func (s *stage) await(what string, cond func() error) {
	s.t.Helper()
	const every = 20 * time.Millisecond
	s.must(lab.AwaitEvery(s.ctx(), every, what, cond))
}

// settle waits until daemons and kernels agree on one owner who serves the
// clients, and returns it. Groups that went to two nodes are brought together.
func (s *stage) settle() *lab.Host {
	s.t.Helper()
	s.gather()
	owner, err := s.Settle(s.ctx())
	s.must(err)
	return owner
}

// agree is settle whatever the clients see.
func (s *stage) agree() *lab.Host {
	s.t.Helper()
	s.gather()
	owner, err := s.Agree(s.ctx())
	s.must(err)
	return owner
}

// others are the hosts that are none of these.
func (s *stage) others(but ...*lab.Host) []*lab.Host {
	return slices.DeleteFunc(slices.Clone(s.Lab.Hosts), func(h *lab.Host) bool { return slices.Contains(but, h) })
}

// command runs a command of vipd against the daemon on a host.
func (s *stage) command(h *lab.Host, argv ...string) (code int, stdout, stderr string) {
	argv = append(append([]string{s.vipd.Binary}, argv...), "--config", s.vipd.ConfigFile(h), "--socket", s.vipd.Socket(h))
	out, err := h.Run(s.ctx(), argv...)
	if err == nil {
		return 0, out, ""
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		s.t.Errorf("%v", err)
		return -1, out, ""
	}
	return exit.ExitCode(), out, err.Error()
}

// exits is command with a wanted exit code; it returns all that was printed.
func (s *stage) exits(want int, h *lab.Host, argv ...string) string {
	s.t.Helper()
	code, out, notes := s.command(h, argv...)
	if code != want {
		s.t.Fatalf("vipd %s on %s: exit code %d, want %d:\n%s%s", strings.Join(argv, " "), h, code, want, out, notes)
	}
	return out + notes
}

// run runs a program on a host.
func (s *stage) run(h *lab.Host, argv ...string) string {
	s.t.Helper()
	out, err := h.Run(s.ctx(), argv...)
	s.must(err)
	return out
}

// reload gives a host's daemon another configuration.
func (s *stage) reload(h *lab.Host, c config) {
	s.t.Helper()
	s.vipd.changed[h] = c
	s.must(s.vipd.configure(h))
	s.exits(0, h, "reload")
}

// stop ends the daemon on a host by a signal and waits for its end.
func (s *stage) stop(h *lab.Host, sig syscall.Signal) {
	s.t.Helper()
	s.must(s.Process(h).Signal(sig))
	_, err := s.Process(h).Wait(s.ctx())
	s.must(err)
}

// awaitGroup waits for something to be true of the main group on a host; want is
// how a failure words it.
func (s *stage) awaitGroup(h *lab.Host, want string, holds func(v agent.VIPStatus) bool) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s to be %s", h, want), func() error {
		v, err := s.group(h, mainVIP)
		if err == nil && !holds(v) {
			err = fmt.Errorf("it is %s (%s: %s), owner %q, healthy %t, handover %+v", v.State, v.Reason, v.Detail, v.Owner, v.Healthy, v.Handover)
		}
		return err
	})
}

// group asks the daemon on a host about a group.
func (s *stage) group(h *lab.Host, name string) (agent.VIPStatus, error) {
	status, err := s.vipd.status(s.ctx(), h)
	if err != nil {
		return agent.VIPStatus{}, err
	}
	for _, v := range status.VIPs {
		if v.Name == name {
			return v, nil
		}
	}
	return agent.VIPStatus{}, fmt.Errorf("%s has no VIP %s", h, name)
}

// moveTo moves the VIP to a host by drains, and leaves every host free to own.
func (s *stage) moveTo(want *lab.Host) {
	s.t.Helper()
	owner := s.agree()
	if owner == want {
		return
	}
	s.exits(0, want, "undrain")
	for _, h := range append(s.others(want, owner), owner) {
		s.exits(0, h, "drain")
	}
	for _, h := range s.others(want) {
		s.exits(0, h, "undrain")
	}
}

// now is a time before everything that the clients will see from here on.
func (s *stage) now() time.Time { return time.Now() }

// servedBesides waits until another host than this one serves the first client.
func (s *stage) servedBesides(h *lab.Host) {
	s.t.Helper()
	const answers = 50
	_, err := s.Client.AwaitServed(s.ctx(), time.Now(), answers, func(node string) bool { return node != h.Name })
	s.must(err)
}

// holderCount tells whether so many hosts have the VIP on their interface.
func (s *stage) holderCount(want int) error {
	holders, err := s.Holders()
	if err == nil && len(holders) != want {
		err = fmt.Errorf("held by %v", holders)
	}
	return err
}
