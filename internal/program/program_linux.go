// Package program runs programs of the operator's: no shell, no capabilities
// (WithoutPrivileges), an environment of PATH and what is added to it, a process
// group of their own. The group is killed when the program has ended and when it
// may run no longer; a process that leaves the group (setsid) is not reached.
package program

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultPath is the child's PATH when the daemon has none.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// outputTime is how long output is read after the program has ended, from
	// what it left behind in other process groups.
	outputTime = 100 * time.Millisecond
	// maxOutput is how much output is kept, in bytes.
	maxOutput = 4 << 10
	// ReapTime is how long a killed program is worth waiting for. Only one that
	// hangs in the kernel (state D, a dead NFS server) takes longer.
	ReapTime = time.Second
)

// Run is one execution of a program.
type Run struct {
	cmd    *exec.Cmd
	output output
	// reaped is closed when the process is gone; killed and err are set then.
	reaped chan struct{}
	killed bool
	err    error
}

// Start runs command, a program with its arguments, until it ends or ctx does.
// The variables, each NAME=value, are added to its environment.
func Start(ctx context.Context, command []string, variables ...string) (*Run, error) {
	//nolint:gosec // the command is the configuration's
	r := &Run{cmd: exec.Command(command[0], command[1:]...), reaped: make(chan struct{})}
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	r.cmd.Env = append([]string{"PATH=" + path}, variables...)
	r.cmd.Dir = "/"
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.WaitDelay = outputTime
	if err := WithoutPrivileges(r.cmd.Start); err != nil {
		return nil, err
	}
	go r.reap(ctx)
	return r, nil
}

// reap kills the process group when the program has ended or ctx has, and then
// reaps the process. In that order the group's number cannot have been given
// to somebody else: the program, even if it has ended, still holds it.
func (r *Run) reap(ctx context.Context) {
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

// Gone waits for the process to be reaped; false if ctx ends before.
func (r *Run) Gone(ctx context.Context) bool {
	select {
	case <-r.reaped:
		return true
	case <-ctx.Done():
		return false
	}
}

// PID is the process's number.
func (r *Run) PID() int { return r.cmd.Process.Pid }

// Result is how a reaped run ended: killed because its context had ended; else
// err is nil for exit status 0 and an *exec.ExitError, "exit status 1" or
// "signal: terminated", for all else that a program can do.
func (r *Run) Result() (killed bool, err error) {
	if errors.Is(r.err, exec.ErrWaitDelay) {
		// Exit status 0, but something it left behind holds the output open.
		return r.killed, nil
	}
	return r.killed, r.err
}

// Said is the first line of what the program wrote, led by a colon and a space;
// empty if it wrote nothing.
func (r *Run) Said() string {
	r.output.mu.Lock()
	defer r.output.mu.Unlock()
	first, _, _ := bytes.Cut(bytes.TrimSpace(r.output.text), []byte("\n"))
	if len(first) == 0 {
		return ""
	}
	return ": " + string(first)
}

// output keeps the beginning of what a program writes and drops the rest, so
// that the program never waits for a reader.
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
