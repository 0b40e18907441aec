package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/systemd"
)

const (
	// stopMargin is what a stop takes beyond its hand-over.
	stopMargin = 5 * time.Second
	// startPatience is how long the start of a backup that hears no owner is
	// called incomplete: it may listen for long (startup_delay), and whoever
	// waits for the start, a booting host among them, is not to wait for that.
	startPatience = 5 * time.Second
)

// supervise keeps the service manager informed.
func (d daemon) supervise(ctx context.Context, a *agent.Agent) {
	if !systemd.Supervised() {
		return
	}
	watchdog, err := systemd.WatchdogInterval()
	if err != nil {
		d.log.Warn("the watchdog is not fed", "error", err)
	}
	s := systemd.Supervisor{Service: &service{agent: a, started: time.Now()}, Watchdog: watchdog}
	if err := s.Run(ctx); err != nil {
		d.log.Warn("the service manager could not be told everything", "error", err)
	}
}

// service is the agent as the service manager sees it.
type service struct {
	agent   *agent.Agent
	started time.Time
}

// Alive implements systemd.Service.
func (s *service) Alive(ctx context.Context) error { return s.agent.Alive(ctx) }

// State implements systemd.Service.
func (s *service) State() (line string, ready bool) {
	status := s.agent.Brief()
	return statusLine(status, s.agent.Loop().ReloadOK.Load()), electionKnown(status, time.Since(s.started))
}

// electionKnown tells whether a daemon that started so long ago knows what it
// is: owner, backup of an owner that it hears, or unable.
func electionKnown(s agent.Status, age time.Duration) bool {
	for _, v := range s.VIPs {
		switch {
		case v.State == agent.StateInit:
			return false
		case v.State != agent.StateBackup, v.Owner != "", v.Reason == election.VIPAnswered:
		case age < startPatience:
			return false
		}
	}
	return true
}

// statusLine is the status in one line.
func statusLine(s agent.Status, reloaded bool) string {
	words := make([]string, 0, len(s.VIPs)+1)
	for _, v := range s.VIPs {
		words = append(words, v.Name+": "+vipWords(v))
	}
	if !reloaded {
		words = append(words, "the last reload failed, see vipd check")
	}
	return strings.Join(words, "; ")
}

func vipWords(v agent.VIPStatus) string {
	text := string(v.State)
	switch {
	case v.State == agent.StateFault:
		return fmt.Sprintf("%s (%s), see vipd status", text, v.Reason)
	case v.State == agent.StateOwner:
	case v.Owner != "":
		text += ", owner " + v.Owner
	default:
		text += ", no owner heard"
	}
	if v.DuplicateOwner {
		text += ", another station claims it too"
	}
	if !v.Healthy {
		text += ", unhealthy"
	}
	return text
}

// sayStopping announces the stop, and how long it may take.
func (d daemon) sayStopping() {
	budget := d.budget() + stopMargin
	d.notify(func(n systemd.Notifier) error { return n.Stopping(budget) })
}

// budget is the time for a hand-over at the end, as the file says now.
func (d daemon) budget() time.Duration {
	if c, err := d.load(); err == nil {
		return c.Drain.ShutdownTimeout
	}
	return d.config.Drain.ShutdownTimeout
}

func (d daemon) notify(tell func(systemd.Notifier) error) {
	if err := tell(systemd.Notifier{}); err != nil {
		d.log.Warn("the service manager was not told", "error", err)
	}
}

// delayShutdown lets a shutdown of the host wait for the hand-over, where logind
// allows it. It is not needed where vipd-shutdown.service runs.
func (d daemon) delayShutdown(ctx context.Context, a *agent.Agent) {
	if !systemd.Supervised() {
		return
	}
	err := systemd.DelayShutdown(ctx, "hands its virtual addresses over", &leaving{daemon: d, agent: a})
	if errors.Is(err, systemd.ErrNotDelayed) {
		d.log.Info("a shutdown of the host is delayed by vipd-shutdown.service only", "reason", err)
	}
}

// leaving hands over before the host goes down.
type leaving struct {
	daemon
	agent *agent.Agent
	// left: the drain is this one's, not the operator's.
	left bool
}

// Leave implements systemd.Leaving.
func (l *leaving) Leave(ctx context.Context) {
	if l.agent.Brief().Drained {
		return
	}
	l.log.Info("the host goes down; handing over")
	l.left = true
	result, err := l.agent.Drain(ctx, agent.DrainRequest{Timeout: l.budget()}, func(agent.DrainProgress) {})
	if err != nil {
		l.log.Warn("the hand-over before the host goes down failed", "error", err)
		return
	}
	l.log.Info("handed over before the host goes down", "result", string(result))
}

// Stay implements systemd.Leaving.
func (l *leaving) Stay(ctx context.Context) {
	if !l.left {
		return
	}
	l.left = false
	l.log.Info("the host does not go down after all")
	if err := l.agent.Undrain(ctx, ""); err != nil {
		l.log.Warn("this node stays drained; vipd undrain mends it", "error", err)
	}
}
