package program

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestFinish(t *testing.T) {
	tests := []struct {
		name      string
		command   []string
		variables []string
		want      string
	}{
		{"exit status 0", shell("echo fine"), nil, ""},
		{"variables are added", shell(`test "$VIPD_VIP $VIPD_OWNER" = "api server "`), []string{"VIPD_VIP=api server", "VIPD_OWNER="}, ""},
		{"the daemon's environment is not passed on", shell(`test -z "$SECRET" && test -n "$PATH"`), nil, ""},
		{"another status, with the first line", shell("echo 'no such user'; echo more; exit 3"), nil, "/bin/sh: exit status 3: no such user"},
		{"control characters do not reach the log", shell(`printf 'a\033[31mb\n'; exit 1`), nil, "/bin/sh: exit status 1: a [31mb"},
		{"no such program", []string{"/nonexistent/hook"}, nil, "fork/exec /nonexistent/hook: no such file or directory; correct the command"},
		{"no capabilities", shell(`! grep -E '^Cap(Inh|Prm|Eff|Amb):' /proc/self/status | grep -v 0000000000000000`), nil, ""},
	}
	t.Setenv("SECRET", "of the daemon")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := Finish(t.Context(), test.command, test.variables...); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestFinishKillsTheWholeGroup waits for a process that its program started and
// left waiting.
func TestFinishKillsTheWholeGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	slow := errors.New("it may run no longer")
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() { ended <- Finish(ctx, shell("sleep 1000 & echo $! >"+path+"; wait")) }()
	pid := ""
	for !strings.HasSuffix(pid, "\n") {
		text, _ := os.ReadFile(path)
		pid = string(text)
		time.Sleep(time.Millisecond)
	}
	stop(slow)
	if err := <-ended; !errors.Is(err, slow) {
		t.Errorf("got %v, want %v", err, slow)
	}
	for {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
