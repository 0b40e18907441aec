package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/router"
)

// quick makes nodes good as soon as they are healthy.
const quick = "return_delay: 0s"

// ases are the two ways to number nodes.
func ases() map[string]bool {
	return map[string]bool{"with an AS for each node": false, "with one AS for all": true}
}

func TestEveryNodeAnnouncesAndTheRouterSpreads(t *testing.T) {
	for name, one := range ases() {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{OneAS: one, BGP: []string{quick, `communities: ["64512:100", "64512:1:1"]`}, Peering: foreign()})
			s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
			for _, p := range s.paths(VIP4()) {
				if !slices.Equal(p.Communities, []string{"64512:100", "64512:1:1"}) || p.MED != 100 {
					t.Errorf("the path by %v has communities %v and MED %d", p.Peer, p.Communities, p.MED)
				}
			}
			t.Run("and no route of the router's comes in", func(t *testing.T) {
				out, err := s.Lab.Hosts[0].Run(s.ctx(), "ip", "route", "show")
				if err != nil || strings.Contains(out, "203.0.113.0") {
					t.Errorf("%v: the routes of a node:\n%s", err, out)
				}
			})
			t.Run("and nothing listens: the port is another daemon's", func(t *testing.T) {
				out, err := s.Lab.Hosts[0].Run(s.ctx(), "ss", "-Hltn", "sport = :179")
				if err != nil || strings.TrimSpace(out) != "" {
					t.Errorf("%v: there listens:\n%s", err, out)
				}
			})
		})
	}
}

// foreign is a router that has a route of its own to tell.
func foreign() router.Peering {
	return router.Peering{Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
}

// paths are what FRR has of a VIP.
func (s *stage) paths(vip netip.Addr) []router.Path {
	s.t.Helper()
	paths, err := s.Router.(*router.FRR).Paths(s.ctx(), netip.PrefixFrom(vip, vip.BitLen()))
	s.must(err)
	return paths
}

func TestAnUnhealthyNodeGoesOnAnnouncingMadeWorse(t *testing.T) {
	for name, one := range ases() {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{OneAS: one, BGP: []string{quick}})
			hosts := s.Lab.Hosts
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
			s.must(s.APIServer(hosts[0]).SetMode(s.ctx(), apiserver.Unready))
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1:]...))

			var worse router.Path
			for _, p := range s.paths(VIP4()) {
				if p.Peer == hosts[0].Addr4 {
					worse = p
				}
			}
			want := router.Path{Peer: hosts[0].Addr4, NextHop: hosts[0].Addr4, ASPath: "64512 64512 64512 64512", MED: 1000, Communities: []string{"gracefulShutdown"}}
			if one {
				want.ASPath = "Local"
			}
			if diff := cmp.Diff(want, worse, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("the path by an unhealthy node: -want +got\n%s", diff)
			}

			t.Run("and no request gets there while another is healthy", func(t *testing.T) {
				s := stage{s.Fabric, t}
				from := s.served(settled)
				report, err := s.Client.Report(s.ctx(), from, s.served(10*settled))
				s.must(err)
				if report.Nodes[hosts[0].Name] > 0 || report.Failed > 0 {
					t.Errorf("%d requests failed %v; answers by node: %v", report.Failed, report.Errors, report.Nodes)
				}
			})
			t.Run("and with all unhealthy the VIP stays", func(t *testing.T) {
				s := stage{s.Fabric, t}
				for _, h := range hosts[1:] {
					s.must(s.APIServer(h).SetMode(s.ctx(), apiserver.Unready))
				}
				s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
				s.served(settled)
			})
			t.Run("and it is good again when it is healthy", func(t *testing.T) {
				s := stage{s.Fabric, t}
				s.must(s.APIServer(hosts[0]).SetMode(s.ctx(), apiserver.Ready))
				s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[0]))
			})
		})
	}
}

// served waits until n requests that start now or later were answered in a row,
// and returns when the first of them started.
func (s *stage) served(n int) time.Time {
	s.t.Helper()
	at, err := s.Client.AwaitServed(s.ctx(), time.Now(), n, func(string) bool { return true })
	s.must(err)
	return at
}

// routes are the changes of the router's routes from now on.
func (s *stage) routes() *routeWatch {
	s.t.Helper()
	w, err := s.watchRoutes()
	s.must(err)
	s.t.Cleanup(w.end)
	return w
}

// unharmed fails the test if a request failed since, other than by a rehash.
func (s *stage) unharmed(since time.Time, w *routeWatch) {
	s.t.Helper()
	failures, err := s.Client.Failures(s.ctx(), since, s.served(settled))
	s.must(err)
	if failures = slices.DeleteFunc(failures, w.rehashed); len(failures) > 0 {
		s.t.Errorf("%d requests failed: %v", len(failures), failures[0])
	}
}

func TestDrainLosesNoRequest(t *testing.T) {
	s := open(t, Options{BGP: []string{quick, "leaving: {wait: 500ms}"}})
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	routes, since := s.routes(), s.served(1)
	out, err := s.Vipd.Command(s.ctx(), hosts[0], "drain")
	s.must(err)
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1:]...))
	s.unharmed(since, routes)
	if held, err := hosts[0].Addresses("lo"); err != nil || slices.Contains(held, VIP4()) {
		t.Errorf("after %q the node holds %v (%v)", out, held, err)
	}
	t.Run("and undrain brings it back", func(t *testing.T) {
		s := stage{s.Fabric, t}
		_, err := s.Vipd.Command(s.ctx(), hosts[0], "undrain")
		s.must(err)
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	})
	t.Run("and a stop loses none either", func(t *testing.T) {
		s := stage{s.Fabric, t}
		since := s.served(1)
		s.must(s.Daemon(hosts[0]).Signal(syscall.SIGTERM))
		code, err := s.Daemon(hosts[0]).Wait(s.ctx())
		s.must(err)
		if code != 0 {
			t.Errorf("vipd ended with %d", code)
		}
		s.must(s.AwaitSessions(s.ctx(), hosts[1:]...))
		s.unharmed(since, routes)
	})
}

func TestDrainWithoutAnotherPathChangesNothing(t *testing.T) {
	s := open(t, Options{BGP: []string{quick, "leaving: {wait: 200ms}"}})
	hosts := s.Lab.Hosts
	for _, h := range hosts[1:] {
		s.must(s.APIServer(h).SetMode(s.ctx(), apiserver.Unready))
	}
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[0]))
	_, err := s.Vipd.Command(s.ctx(), hosts[0], "drain", "--timeout", "3s")
	if exitOf(err) != 3 {
		t.Fatalf("a drain without another path ended with %v", err)
	}
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[0]))
	s.served(settled)
}

func exitOf(err error) int {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func TestADaemonThatIsKilledLeavesNoPath(t *testing.T) {
	s := open(t, Options{BGP: []string{quick}})
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	for name, harm := range map[string]syscall.Signal{"by SIGSTOP": syscall.SIGSTOP, "by SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			s := stage{s.Fabric, t}
			// The process alone: its speaker has to notice.
			s.must(syscall.Kill(s.Daemon(hosts[0]).Pid(), harm))
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1:]...))
			s.await("the address to go", func() error {
				held, err := hosts[0].Addresses("lo")
				if err == nil && slices.Contains(held, VIP4()) {
					err = fmt.Errorf("lo has %v", held)
				}
				return err
			})
			if harm == syscall.SIGSTOP {
				s.must(syscall.Kill(s.Daemon(hosts[0]).Pid(), syscall.SIGCONT))
			} else {
				s.must(s.StartDaemon(hosts[0]))
			}
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
		})
	}
}

func TestARouterThatRestartsLearnsThePathsAgain(t *testing.T) {
	s := open(t, Options{BGP: []string{quick}})
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
	s.must(s.Router.Kill())
	s.must(s.StartRouter(s.ctx()))
	s.must(s.AwaitPaths(s.ctx(), VIP4(), s.Lab.Hosts...))
	s.served(settled)
}
