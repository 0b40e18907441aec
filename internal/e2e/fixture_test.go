package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/scene"
)

// patience is for anything that takes a few seconds on an idle machine.
const patience = 30 * time.Second

// setup is how a stage differs from three hosts with vipd, one IPv4 VIP and a
// configuration as small as the lab allows.
type setup struct {
	hosts int
	vips  []netip.Addr
	// config is a host's configuration.
	config func(h *lab.Host) config
	// before runs on a host ahead of the first start of its daemon.
	before func(h *lab.Host) error
	// guests are the hosts, by name, that run keepalived.
	guests map[string]keepalived
	// programs are needed besides those of each lab.
	programs []string
}

// stage is a scene with verbs that end the test when something is not so.
type stage struct {
	*scene.Scene
	t       *testing.T
	vipd    *vipd
	viplab  string
	service daemon.Service
}

// open sets a stage up: one owner, the others ready, the client served. It skips
// the test where there can be none.
func open(t *testing.T, with setup) *stage {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests take seconds each; run without -short")
	}
	if with.guests != nil {
		with.programs = append(with.programs, "keepalived")
	}
	labtest.Require(t, with.programs...)
	viplab, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if with.vips == nil {
		with.vips = []netip.Addr{lab.VIP4()}
	}
	v := &vipd{Vipd: daemon.Vipd{Binary: labtest.Vipd()}, config: with.config, configs: map[string]config{}}
	c := &cast{vipd: v, guests: with.guests, before: with.before, prepared: map[*lab.Host]bool{}}
	s, err := scene.Open(labtest.Context(t, patience), scene.Options{
		Daemon: c, Viplab: viplab, Hosts: with.hosts, VIPs: with.vips,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, s.Lab)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stage{Scene: s, t: t, vipd: v, viplab: viplab, service: c.service}
}

// showLogs prints the end of what each process wrote.
func showLogs(t *testing.T, l *lab.Lab) {
	const shown = 6000
	for _, p := range l.Processes() {
		if log := p.Log(); log != "" {
			t.Logf("%s on %s:\n%s", p.Name, p.Host, log[max(0, len(log)-shown):])
		}
	}
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

// awaitHolder waits until one of the hosts has lab.VIP4 in its kernel: for use
// before there is a stage.
func awaitHolder(t *testing.T, hosts []*lab.Host) error {
	return lab.Await(labtest.Context(t, patience), "an owner", func() error {
		for _, h := range hosts {
			held, err := h.Addresses(h.Interface)
			if err != nil {
				return err
			}
			if slices.Contains(held, lab.VIP4()) {
				return nil
			}
		}
		return fmt.Errorf("none of %v holds the VIP", hosts)
	})
}
