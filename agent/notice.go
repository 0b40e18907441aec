package agent

import (
	"context"
	"errors"
	"time"

	"github.com/vipd/vipd/election"
)

const (
	// noticeQueue is how many changes of a group may wait for its program.
	noticeQueue = 16
	// noticeTimeout is how long the program may take for one of them.
	noticeTimeout = 10 * time.Second
	// lastNotices is how long a stopping daemon waits for programs that were to
	// be run, within drain.shutdown_timeout. The watchdog is not fed meanwhile.
	lastNotices = 2 * time.Second
)

var errNoticeSlow = errors.New("it took longer than " + noticeTimeout.String())

// Programs runs programs of the operator's.
type Programs interface {
	// Finish runs a program with its arguments to its end, with variables, each
	// NAME=value, added to its environment. It is killed when ctx ends. The error
	// tells why it did not end well.
	Finish(ctx context.Context, command []string, variables ...string) error
}

// notice is a change of state that a program is to be told.
type notice struct {
	command []string
	to      State
	reason  election.Reason
	// owner is the owner's address, empty if none is known.
	owner string
	vip   string
}

// variables are the environment that the program gets.
func (n notice) variables() []string {
	return []string{
		"VIPD_VIP=" + n.vip, "VIPD_STATE=" + string(n.to),
		"VIPD_REASON=" + string(n.reason), "VIPD_OWNER=" + n.owner,
	}
}

// notices are the changes of one VIP that its program is to be told, one after
// the other. Nobody waits for it: of too many the oldest is left out, so that
// the last one that is told is how things are.
type notices struct {
	queue chan notice
	// ended is closed when all was told that will be.
	ended chan struct{}
	// behind: that changes are left out was logged.
	behind bool
}

// noticesOf starts what tells the VIP's program. It goes on to the end of the
// daemon, across reloads, so that a later change is never told first.
func (a *Agent) noticesOf(vip string) *notices {
	s := a.notices[vip]
	if s != nil {
		return s
	}
	s = &notices{queue: make(chan notice, noticeQueue), ended: make(chan struct{})}
	a.notices[vip] = s
	a.spawn(func(ctx context.Context) {
		defer close(s.ended)
		for n := range s.queue {
			if err := a.tellProgram(ctx, n); err != nil {
				a.log.Warn("a notify command did not do its work", "vip", vip, "state", string(n.to), "error", err)
			}
		}
	})
	return s
}

// tellProgram runs a program once. After the daemon's end it runs none.
func (a *Agent) tellProgram(ctx context.Context, n notice) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, noticeTimeout, errNoticeSlow)
	defer cancel()
	return a.edges.Programs.Finish(ctx, n.command, n.variables()...)
}

// notify has the group's program told of a change.
func (g *group) notify(e Entry) {
	if len(g.cfg.Notify) == 0 || e.From == e.To || g.agent.edges.Programs == nil {
		return
	}
	s := g.agent.noticesOf(e.VIP)
	n := notice{command: g.cfg.Notify, vip: e.VIP, to: e.To, reason: e.Reason, owner: e.Owner}
	for {
		select {
		case s.queue <- n:
			s.behind = s.behind && len(s.queue) > 1
			return
		default:
		}
		if !s.behind {
			s.behind = true
			g.log.Warn("the notify command does not keep up; the oldest changes are left out", "command", n.command[0])
		}
		select {
		case <-s.queue:
		default:
		}
	}
}

// closeNotices waits a moment for the programs of a daemon that stops in order.
func (a *Agent) closeNotices(now time.Time) {
	patience := time.Duration(0)
	if a.shutdown != nil {
		patience = max(0, min(lastNotices, a.shutdown.endsAt.Sub(now)))
	}
	for _, s := range a.notices {
		close(s.queue)
	}
	timeout := time.After(patience)
	for vip, s := range a.notices {
		select {
		case <-s.ended:
		case <-timeout:
			a.log.Warn("vipd stops before its notify commands have ended", "vip", vip)
			return
		}
	}
}
