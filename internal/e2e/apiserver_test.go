package e2e

import (
	"context"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/scene"
)

func TestAPIServerFails(t *testing.T) {
	s := open(t, setup{})
	for _, trial := range []scene.Trial{
		scene.APIServerKilled(),
		signalled("stopped gracefully", syscall.SIGTERM),
		signalled("frozen", syscall.SIGSTOP),
		shows("hung", apiserver.Hung),
		shows("not ready", apiserver.Unready),
		shows("neither ready nor alive", apiserver.Unwell),
	} {
		s.part(trial.Name+": the VIP goes to a healthy host and stays there", func(s *stage) {
			o := s.try(trial)
			s.moved(o, agent.StateBackup, election.Unwell, election.OwnerUnhealthy)
			s.mend(o)
			s.settleOn(o.Successor)
		})
	}
	s.part("all fail: the owner keeps the VIP, also when it recovers first", func(s *stage) {
		owner := s.settle()
		s.failAll(owner)
		before := s.histories()
		s.held(s.VIP().Addr(), owner)
		for _, h := range append([]*lab.Host{owner}, s.others(owner)...) {
			s.must(s.StartAPIServer(s.ctx(), h))
			s.awaitGroup(h, "healthy", func(v agent.VIPStatus) bool { return v.Healthy })
		}
		s.settleOn(owner)
		if diff := cmp.Diff(before, s.histories()); diff != "" {
			s.t.Errorf("states changed (-before +after):\n%s", diff)
		}
	})
	s.part("all fail: the first backup to recover takes the VIP over and keeps it", func(s *stage) {
		owner := s.settle()
		s.failAll(owner)
		first := s.others(owner)[0]
		s.must(s.StartAPIServer(s.ctx(), first))
		s.awaitState(first, agent.StateOwner, election.OwnerUnhealthy)
		for _, h := range s.others(first) {
			s.must(s.StartAPIServer(s.ctx(), h))
		}
		s.settleOn(first)
	})
}

// failAll kills all API servers, the owner's last, and waits until vipd knows.
func (s *stage) failAll(owner *lab.Host) {
	s.t.Helper()
	for _, h := range append(s.others(owner), owner) {
		s.must(s.APIServer(h).Kill())
		s.awaitGroup(h, "unhealthy", func(v agent.VIPStatus) bool { return !v.Healthy })
	}
	for _, h := range s.Lab.Hosts {
		_, err := s.APIServer(h).Wait(s.ctx())
		s.must(err)
	}
}

// signalled is the trial of an API server that is sent a signal; what is left of
// it is replaced afterwards.
func signalled(name string, sig syscall.Signal) scene.Trial {
	return scene.Trial{Name: name, Harm: func(_ context.Context, s *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		server := s.APIServer(owner)
		return func(ctx context.Context) error {
			if err := server.Kill(); err != nil {
				return err
			}
			if _, err := server.Wait(ctx); err != nil {
				return err
			}
			return s.StartAPIServer(ctx, owner)
		}, server.Signal(sig)
	}}
}

// shows is the trial of an API server that lives but is not well.
func shows(name string, mode apiserver.Mode) scene.Trial {
	return scene.Trial{Name: name, Harm: func(ctx context.Context, s *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		server := s.APIServer(owner)
		return func(ctx context.Context) error { return server.SetMode(ctx, apiserver.Ready) }, server.SetMode(ctx, mode)
	}}
}
