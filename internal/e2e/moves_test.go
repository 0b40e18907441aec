package e2e

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

// try lets a trial happen and waits until another host serves the client. It holds
// vipd to its word: no request fails that started after the successor had
// announced the VIP.
func (s *stage) try(trial scene.Trial) scene.Outcome {
	s.t.Helper()
	o, err := s.Try(s.ctx(), trial)
	s.must(err)
	if o.Announced.IsZero() {
		s.t.Errorf("%s serves since %s, but was not heard to announce the VIP", o.Successor, trial.Name)
	}
	if o.FailedAfterAnnounced != 0 {
		failed, err := s.Client.Failures(s.ctx(), o.Announced, o.Seen.To)
		s.must(err)
		s.t.Errorf("%s: %d requests failed that started after %s had announced the VIP at %v; the first: %+v",
			trial.Name, len(failed), o.Successor, o.Announced, failed[0])
	}
	return o
}

// mend undoes a trial and waits until the host and the client can talk again. A
// kernel that asked in vain for a neighbour goes on to think it unreachable for up
// to three seconds (arp(7), mcast_solicit), whatever vipd does.
func (s *stage) mend(o scene.Outcome) {
	s.t.Helper()
	s.must(o.Mend(s.ctx()))
	own := o.Owner.Addr4
	if s.VIP().Addr().Is6() {
		own = o.Owner.Addr6
	}
	s.awaitAnswer(own, o.Owner)
}

// settle waits until the daemons and the kernels agree on one owner who serves the
// client, and makes sure that this is the end of it. It returns the owner.
func (s *stage) settle() *lab.Host {
	s.t.Helper()
	owner, err := s.Settle(s.ctx())
	s.must(err)
	s.calm(owner)
	return owner
}

// settleOn is settle with a certain owner.
func (s *stage) settleOn(want *lab.Host) {
	s.t.Helper()
	if owner := s.settle(); owner != want {
		s.t.Fatalf("%s owns the VIP, want %s", owner, want)
	}
}

// calm makes sure that nothing moves while the owner answers a hundred requests in
// a row: no daemon changes its state, no other kernel holds the VIP.
func (s *stage) calm(owner *lab.Host) {
	s.t.Helper()
	before := s.histories()
	s.servedBy(owner, 100)
	if diff := cmp.Diff(before, s.histories()); diff != "" {
		s.t.Fatalf("after all had agreed on %s (-before +after):\n%s", owner, diff)
	}
	s.held(s.VIP().Addr(), owner)
}

// servedBy waits until the host has answered the client's newest n requests, all
// begun from now on.
func (s *stage) servedBy(h *lab.Host, n int) {
	s.t.Helper()
	_, err := s.Client.AwaitServed(s.ctx(), time.Now(), n, func(node string) bool { return node == h.Name })
	s.must(err)
}

// unbroken makes sure that no request failed since a time.
func (s *stage) unbroken(since time.Time) {
	s.t.Helper()
	failed, err := s.Client.Failures(s.ctx(), since, time.Now())
	s.must(err)
	if len(failed) > 0 {
		s.t.Errorf("%d requests failed; the first: %+v", len(failed), failed[0])
	}
}

// makeOwner moves the VIP by drains and leaves every host free to own.
func (s *stage) makeOwner(want *lab.Host) {
	s.t.Helper()
	owner := s.settle()
	for _, h := range s.others(want, owner) {
		s.exits(0, h, "drain")
	}
	if owner != want {
		s.exits(0, owner, "drain")
	}
	for _, h := range s.others(want) {
		s.exits(0, h, "undrain")
	}
	s.settleOn(want)
}

// others are the hosts that are none of these.
func (s *stage) others(but ...*lab.Host) []*lab.Host {
	return slices.DeleteFunc(slices.Clone(s.Lab.Hosts), func(h *lab.Host) bool { return slices.Contains(but, h) })
}

// stop ends the daemon on a host by a signal and waits for its end.
func (s *stage) stop(h *lab.Host, sig syscall.Signal) (code int) {
	s.t.Helper()
	s.must(s.Process(h).Signal(sig))
	code, err := s.Process(h).Wait(s.ctx())
	s.must(err)
	return code
}

// killed is the trial of a daemon that is killed while its host lives.
func killed() scene.Trial {
	return scene.Trial{Name: "kill -9 of the daemon", Harm: func(_ context.Context, s *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		dead := s.Process(owner)
		return func(ctx context.Context) error {
			if _, err := dead.Wait(ctx); err != nil {
				return err
			}
			return s.StartDaemon(owner)
		}, dead.Kill()
	}}
}

// drain is the trial of an operator who drains the owner.
func (s *stage) drain() scene.Trial {
	return scene.Trial{Name: "drain", Harm: func(ctx context.Context, _ *scene.Scene, owner *lab.Host) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return s.vipd.Undrain(ctx, owner) }, s.vipd.Drain(ctx, owner)
	}}
}
