package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
	"github.com/vipd/vipd/internal/program"
)

// execProbe runs a command as package program does, with nothing added to its
// environment. It is killed at the timeout and when the daemon stops.
type execProbe struct {
	command []string
	timeout time.Duration
	last    *program.Run // nil before the first
}

func newExecProbe(check config.Check) (*execProbe, error) {
	if len(check.Command) == 0 || check.Command[0] == "" {
		return nil, errors.New("command: is empty; give the program and its arguments")
	}
	return &execProbe{command: check.Command, timeout: check.Timeout}, nil
}

func (p *execProbe) probe(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	start := time.Now()
	outcome, reason := p.execute(ctx)
	res := Result{Latency: time.Since(start), Result: counter.Result{Ready: outcome}}
	if reason != "" {
		res.Reason = oneLine(p.command[0] + ": " + reason)
	}
	return res
}

func (p *execProbe) execute(ctx context.Context) (counter.Outcome, string) {
	if p.last != nil && !p.last.Gone(ctx) {
		return counter.Timeout, fmt.Sprintf("process %d of the last run was killed but does not end; does it hang on a file system?", p.last.PID())
	}
	r, err := program.Start(ctx, p.command)
	if err != nil {
		return counter.Unconfigured, fmt.Sprintf("%v; correct command", err)
	}
	p.last = r
	if !r.Gone(ctx) {
		// ctx has ended and the group is being killed.
		reap, cancel := context.WithTimeout(context.WithoutCancel(ctx), program.ReapTime)
		defer cancel()
		r.Gone(reap)
		return counter.Timeout, fmt.Sprintf("did not end within %s and was killed%s", p.timeout, r.Said())
	}
	return verdict(r, p.timeout)
}

func (p *execProbe) stirred() <-chan struct{} { return nil }

func (p *execProbe) close() {}

// verdict is what a reaped run came to.
func verdict(r *program.Run, timeout time.Duration) (counter.Outcome, string) {
	killed, err := r.Result()
	switch {
	case killed:
		return counter.Timeout, fmt.Sprintf("did not end within %s and was killed%s", timeout, r.Said())
	case err != nil:
		return counter.NotReady, fmt.Sprintf("%v%s", err, r.Said())
	}
	return counter.OK, ""
}
