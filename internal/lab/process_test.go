package lab_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestProcesses(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 1})
	h := l.Hosts[0]
	tests := []struct {
		name   string
		script string
		signal syscall.Signal
		want   int
	}{
		{"an exit code is told", "echo ready; exit 7", 0, 7},
		{"TERM reaches the process", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", syscall.SIGTERM, 3},
		{"KILL reaches children too", "sleep 600 & echo ready; wait", syscall.SIGKILL, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := h.Start("sh", "sh", "-c", tt.script)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.AwaitLog(labtest.Context(t, patience), "ready"); err != nil {
				t.Fatal(err)
			}
			if tt.signal != 0 {
				if err := p.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			if code, err := p.Wait(labtest.Context(t, patience)); code != tt.want || err != nil {
				t.Errorf("exit code %d, %v; want %d", code, err, tt.want)
			}
		})
	}
	if out, err := h.Run(labtest.Context(t, patience), "sh", "-c", "echo no >&2; exit 1"); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("a failing command: output %q, error %v; want its standard error in the error", out, err)
	}
	busy, err := h.Start("sh", "sh", "-c", "(while :; do :; done) & wait")
	if err != nil {
		t.Fatal(err)
	}
	err = lab.Await(labtest.Context(t, patience), "CPU time of a child to be counted", func() error {
		u, err := busy.Usage()
		if err == nil && (u.CPU < 20*time.Millisecond || u.RSS == 0) {
			err = fmt.Errorf("only %+v", u)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := busy.Kill(); err != nil {
		t.Error(err)
	}
}

func TestAwaitLogEndsWithTheProcess(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 1})
	p, err := l.Hosts[0].Start("echo", "echo", "something else")
	if err != nil {
		t.Fatal(err)
	}
	err = p.AwaitLog(labtest.Context(t, patience), "ready")
	if err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("got %v; want an error with the log", err)
	}
}
