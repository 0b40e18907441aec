package scene

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/measure"
)

// Trial is something that happens to the owner of the VIP and makes another
// host take over.
type Trial struct {
	// Name is a noun: "cable cut".
	Name string
	// Harm does it. mend brings the host back to what it was, apart from owning.
	Harm func(ctx context.Context, s *Scene, owner *lab.Host) (mend func(ctx context.Context) error, err error)
}

// CableCut pulls the owner's cable: its kernel notices.
func CableCut() Trial {
	return Trial{"cable cut", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		return s.breakSegment(lab.CableCut(owner))
	}}
}

// SilentCut loses the owner's frames at the switch: nobody tells its kernel.
func SilentCut() Trial {
	return Trial{"silent cut", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		return s.breakSegment(lab.SilentCut(owner))
	}}
}

func (s *Scene) breakSegment(f lab.Fault) (func(context.Context) error, error) {
	mend, err := s.Lab.Break(f)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return mend() }, nil
}

// PlannedStop ends the owner's daemon by SIGTERM, as systemd does; its API
// server stays.
func PlannedStop() Trial {
	return Trial{"planned stop", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		stopping := s.Process(owner)
		if err := stopping.Signal(syscall.SIGTERM); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			if _, err := stopping.Wait(ctx); err != nil {
				return err
			}
			return s.StartDaemon(owner)
		}, nil
	}}
}

// Drain asks the owner's daemon to give the VIP up, as the hook before `kubectl
// drain` does. A daemon that knows no drain is stopped instead.
func Drain() Trial {
	return Trial{"drain", func(ctx context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		drainer, ok := s.Daemon.(daemon.Drainer)
		if !ok {
			return PlannedStop().Harm(ctx, s, owner)
		}
		if err := drainer.Drain(ctx, owner); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return drainer.Undrain(ctx, owner) }, nil
	}}
}

// Crash kills the owner's daemon and API server and pulls its cable, all at
// once: the host has lost power.
func Crash() Trial {
	return Trial{"crash", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		// The cable first: a dead host's kernel resets nothing.
		plug, err := s.Lab.Break(lab.CableCut(owner))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(s.Process(owner).Kill(), s.APIServer(owner).Kill()); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			if err := s.reboot(ctx, owner); err != nil {
				return err
			}
			if err := plug(); err != nil {
				return err
			}
			return errors.Join(s.StartAPIServer(ctx, owner), s.StartDaemon(owner))
		}, nil
	}}
}

// reboot does for a crashed host what a reboot would: addresses that a dead daemon left
// are gone.
func (s *Scene) reboot(ctx context.Context, h *lab.Host) error {
	for _, p := range []*lab.Proc{s.Process(h), s.APIServer(h).Proc} {
		if _, err := p.Wait(ctx); err != nil {
			return err
		}
	}
	for _, vip := range s.service.VIPs {
		held, err := h.Addresses(h.Interface)
		if err != nil {
			return err
		}
		for _, addr := range held {
			if addr != vip {
				continue
			}
			if _, err := h.Run(ctx, "ip", "address", "delete", fmt.Sprintf("%s/%d", vip, vip.BitLen()), "dev", h.Interface); err != nil {
				return err
			}
		}
	}
	return nil
}

// Freeze stops the owner's daemon with SIGSTOP: its host goes on, nobody
// refreshes what it holds.
func Freeze() Trial {
	return Trial{"frozen daemon", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		frozen := s.Process(owner)
		if err := frozen.Signal(syscall.SIGSTOP); err != nil {
			return nil, err
		}
		return func(context.Context) error { return frozen.Signal(syscall.SIGCONT) }, nil
	}}
}

// APIServerKilled kills the owner's API server.
func APIServerKilled() Trial {
	return Trial{"API server killed", func(_ context.Context, s *Scene, owner *lab.Host) (func(context.Context) error, error) {
		killed := s.APIServer(owner)
		if err := killed.Kill(); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			if _, err := killed.Wait(ctx); err != nil {
				return err
			}
			return s.StartAPIServer(ctx, owner)
		}, nil
	}}
}

// Outcome is what a trial led to.
type Outcome struct {
	// Owner was harmed at At; Successor serves the client since Served.
	Owner, Successor *lab.Host
	At, Served       time.Time
	// Seen is the client's report from At on, until the successor had answered
	// without interruption and each silent stream had been silent for long enough
	// to count as broken.
	Seen measure.Report
	// Announced is the successor's first announcement; zero if none was heard.
	Announced time.Time
	// FailedAfterAnnounced counts failed requests that started later than that.
	FailedAfterAnnounced int
	// Mend undoes the harm. The daemons may need a while then: Scene.Settle.
	Mend func(ctx context.Context) error
}

// Try waits until the scene has settled, does the trial and waits until the
// client is served by another host.
func (s *Scene) Try(ctx context.Context, t Trial) (Outcome, error) {
	owner, err := s.Settle(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("before %s: %w", t.Name, err)
	}
	o := Outcome{Owner: owner, At: time.Now()}
	if o.Mend, err = t.Harm(ctx, s, owner); err != nil {
		return o, fmt.Errorf("%s of %s: %w", t.Name, owner, err)
	}
	if err := s.observe(ctx, &o); err != nil {
		return o, fmt.Errorf("after %s of %s: %w", t.Name, owner, err)
	}
	return o, nil
}

// observe waits for the successor and fills the outcome in.
func (s *Scene) observe(ctx context.Context, o *Outcome) error {
	const answers = 100
	var server string
	served, err := s.Client.AwaitServed(ctx, o.At, answers, func(node string) bool {
		if node == o.Owner.Name {
			return false
		}
		server = node
		return true
	})
	if err != nil {
		return err
	}
	o.Served, o.Successor = served, s.host(server)
	end, err := s.Client.AwaitServed(ctx, served.Add(measure.Silence), 1, func(string) bool { return true })
	if err != nil {
		return err
	}
	if o.Seen, err = s.Client.Report(ctx, o.At, end); err != nil {
		return err
	}
	claims, err := s.Claims.Since(o.At)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if c.Host == o.Successor && c.VIP == s.service.VIPs[0] {
			o.Announced = c.At
			break
		}
	}
	if o.Announced.IsZero() {
		return nil
	}
	failed, err := s.Client.Failures(ctx, o.Announced, end)
	o.FailedAfterAnnounced = len(failed)
	return err
}

// host finds a host by its name; nil if there is none.
func (s *Scene) host(name string) *lab.Host {
	for _, h := range s.Lab.Hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}
