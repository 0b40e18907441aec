package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

const (
	// defaultPath is the child's PATH when the daemon has none.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// reapTime is how long a killed command is waited for. Only one that
	// hangs in the kernel (state D, a dead NFS server) takes longer.
	reapTime = time.Second
	// outputTime is how long output is read after the command has ended, from
	// what it left behind in other process groups.
	outputTime = 100 * time.Millisecond
	// maxOutput is how much output is kept, in bytes.
	maxOutput = 4 << 10
)

// execProbe runs a command: no shell, no capabilities, an environment of PATH
// only, a process group of its own. The group is killed when the command has
// ended, at the timeout and when the daemon stops; a process that leaves the
// group (setsid) is not reached.
type execProbe struct {
	command []string
	timeout time.Duration
	last    *run // nil before the first
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
	if p.last != nil && !p.last.gone(ctx) {
		return counter.Timeout, fmt.Sprintf("process %d of the last run was killed but does not end; does it hang on a file system?", p.last.cmd.Process.Pid)
	}
	r, err := start(ctx, p.command)
	if err != nil {
		return counter.Unconfigured, fmt.Sprintf("%v; correct command", err)
	}
	p.last = r
	if !r.gone(ctx) {
		// ctx has ended and the group is being killed.
		reap, cancel := context.WithTimeout(context.WithoutCancel(ctx), reapTime)
		defer cancel()
		r.gone(reap)
		return counter.Timeout, fmt.Sprintf("did not end within %s and was killed%s", p.timeout, r.output.quoted())
	}
	return r.verdict(p.timeout)
}

func (p *execProbe) stirred() <-chan struct{} { return nil }

func (p *execProbe) close() {}

// run is one execution of the command.
type run struct {
	cmd    *exec.Cmd
	output output
	// reaped is closed when the process is gone; killed and err are set then.
	reaped chan struct{}
	killed bool
	err    error
}

// start runs the command until it ends or ctx does.
func start(ctx context.Context, command []string) (*run, error) {
	//nolint:gosec // the command is the configuration's
	r := &run{cmd: exec.Command(command[0], command[1:]...), reaped: make(chan struct{})}
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	r.cmd.Env = []string{"PATH=" + path}
	r.cmd.Dir = "/"
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.WaitDelay = outputTime
	if err := withoutPrivileges(r.cmd.Start); err != nil {
		return nil, err
	}
	go r.reap(ctx)
	return r, nil
}

// reap kills the process group when the command has ended or ctx has, and then
// reaps the process. In that order the group's number cannot have been given
// to somebody else: the command, even if it has ended, still holds it.
func (r *run) reap(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		awaitEnd(r.cmd.Process.Pid)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		r.killed = true
	}
	// An error means that nobody is left in the group.
	_ = unix.Kill(-r.cmd.Process.Pid, unix.SIGKILL)
	<-ended
	r.err = r.cmd.Wait()
	close(r.reaped)
}

// awaitEnd returns when the process has ended, and leaves it to be reaped.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// gone waits for the process to be reaped; false if ctx ends before.
func (r *run) gone(ctx context.Context) bool {
	select {
	case <-r.reaped:
		return true
	case <-ctx.Done():
		return false
	}
}

// verdict is what a reaped run came to.
func (r *run) verdict(timeout time.Duration) (counter.Outcome, string) {
	var exit *exec.ExitError
	switch {
	case r.killed:
		return counter.Timeout, fmt.Sprintf("did not end within %s and was killed%s", timeout, r.output.quoted())
	case r.err == nil, errors.Is(r.err, exec.ErrWaitDelay):
		// The latter: exit status 0, but something it left behind holds the
		// output open.
		return counter.OK, ""
	case errors.As(r.err, &exit):
		// "exit status 1", "signal: killed"
		return counter.NotReady, fmt.Sprintf("%s%s", exit.ProcessState, r.output.quoted())
	}
	return counter.NotReady, r.err.Error()
}

// output keeps the beginning of what a command writes and drops the rest, so
// that the command never waits for a reader.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b[:min(len(b), maxOutput-len(o.text))]...)
	return len(b), nil
}

// quoted is the first line, led by a colon; empty if there is none.
func (o *output) quoted() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	first, _, _ := bytes.Cut(bytes.TrimSpace(o.text), []byte("\n"))
	if len(first) == 0 {
		return ""
	}
	return ": " + string(first)
}
