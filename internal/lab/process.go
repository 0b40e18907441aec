package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is a process to start on a host.
type Command struct {
	// Name is for logs and people.
	Name string
	// Args is the program, absolute or looked up in PATH, and its arguments.
	Args []string
	// Stdout takes standard output instead of the log when set.
	Stdout io.Writer
	// Stdin is the empty file when nil.
	Stdin io.Reader
}

// Proc is a process on a host, in a process group of its own.
type Proc struct {
	// Name is that of its Command.
	Name string
	// Host is where it runs.
	Host *Host

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // of Wait, valid once done is closed
}

// Start starts a long-running process on the host; it is killed by Lab.Close.
func (h *Host) Start(name string, argv ...string) (*Proc, error) {
	return h.StartCommand(Command{Name: name, Args: argv})
}

// StartCommand is Start with a choice of input and output.
func (h *Host) StartCommand(c Command) (*Proc, error) {
	log, err := h.lab.createFile(h.Name, c.Name, ".log")
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", c.Name, h, err)
	}
	defer func() { _ = log.Close() }()            // the child has its own
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:gosec // running commands is what a lab is for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, log, log
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // a stray grandchild may hold the output open
	p := &Proc{Name: c.Name, Host: h, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	if err := h.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", c.Name, h, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	h.lab.adopt(p)
	return p, nil
}

// Pid returns the process's id, which is its process group's too.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal. KILL, STOP and CONT go to the whole process group, so
// that a daemon with children dies or freezes as one; others go to the process
// alone. A process that has ended is no error.
func (p *Proc) Signal(sig syscall.Signal) error {
	target := p.Pid()
	if sig == syscall.SIGKILL || sig == syscall.SIGSTOP || sig == syscall.SIGCONT {
		target = -target
	}
	if err := syscall.Kill(target, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s on %s: %w", p.Name, p.Host, err)
	}
	return nil
}

// Kill is Signal with SIGKILL; it ends a stopped process too.
func (p *Proc) Kill() error { return p.Signal(syscall.SIGKILL) }

// Done is closed when the process has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process and returns its exit code, or -1 if a
// signal ended it.
func (p *Proc) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the end of %s on %s: %w", p.Name, p.Host, context.Cause(ctx))
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) && !errors.Is(p.err, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("wait for the end of %s on %s: %w", p.Name, p.Host, p.err)
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Log returns what the process printed so far.
func (p *Proc) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(log of %s on %s: %v)", p.Name, p.Host, err)
	}
	return string(text)
}

// AwaitLog waits until the log holds text. It gives up when the process ends
// without it.
func (p *Proc) AwaitLog(ctx context.Context, text string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return Await(ctx, fmt.Sprintf("%q in the log of %s on %s", text, p.Name, p.Host), func() error {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		log := p.Log()
		if strings.Contains(log, text) {
			return nil
		}
		if ended {
			cancel(errors.New("the process has ended"))
		}
		return fmt.Errorf("log so far:\n%s", log)
	})
}
