package health

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

func command(argv ...string) config.Check {
	return config.Check{Type: config.CheckExec, Name: "c", Command: argv, Interval: time.Hour, Timeout: 10 * time.Second, Rise: 1, Fall: 1}
}

func shell(script string) config.Check { return command("/bin/sh", "-c", script) }

func TestExec(t *testing.T) {
	impatient := shell("echo waiting; exec sleep 60")
	impatient.Timeout = impatience
	for _, row := range []struct {
		name  string
		check config.Check
		want  counter.Result
	}{
		{"exit status 0: healthy", shell("echo fine"), counter.Result{Ready: counter.OK}},
		{"another status: its first line", shell("echo 'no quorum' >&2; echo more; exit 3"),
			counter.Result{Ready: counter.NotReady, Reason: "/bin/sh: exit status 3: no quorum"}},
		{"another status without output", command("/bin/false"),
			counter.Result{Ready: counter.NotReady, Reason: "/bin/false: exit status 1"}},
		{"ended by a signal", shell("kill -SEGV $$"),
			counter.Result{Ready: counter.NotReady, Reason: "/bin/sh: signal: segmentation fault"}},
		{"no such program", command("/nonexistent/check"),
			counter.Result{Ready: counter.Unconfigured, Reason: "/nonexistent/check: fork/exec /nonexistent/check: no such file or directory; correct command"}},
		{"too slow: killed", impatient,
			counter.Result{Ready: counter.Timeout, Reason: "/bin/sh: did not end within 2s and was killed: waiting"}},
		{"more output than is kept", shell("yes | head -n 200000; exit 1"),
			counter.Result{Ready: counter.NotReady, Reason: "/bin/sh: exit status 1: y"}},
		{"no shell: arguments are passed as they are", command("/usr/bin/test", "$HOME;exit 1", "=", "$HOME;exit 1"), counter.Result{Ready: counter.OK}},
		{"the environment is PATH only", shell(`test "$(env | grep -v -e ^PATH= -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD=)" = ""`), counter.Result{Ready: counter.OK}},
		{"no terminal, no input, root as directory", shell("test ! -t 0 && test \"$(cat)\" = '' && test \"$PWD\" = /"), counter.Result{Ready: counter.OK}},
		{"a group of its own", shell(`test "$(ps -o pgid= -p $$ | tr -d ' ')" = $$`), counter.Result{Ready: counter.OK}},
		{"what left the group and holds the output does not delay", shell("setsid sleep 2 & exit 0"), counter.Result{Ready: counter.OK}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("SECRET", "of the daemon")
			got := once(t, row.check, Endpoint{})
			if diff := cmp.Diff(Result{Result: row.want}, got, cmpopts.IgnoreFields(Result{}, "Latency")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// started waits for the process number that a script wrote.
func started(t *testing.T, path string) int {
	t.Helper()
	for {
		if text, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(text), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitDeath returns when there is no such process, or only its remains.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestExecKillsTheWholeGroup(t *testing.T) {
	pidFile := func(t *testing.T) string { return filepath.Join(t.TempDir(), "pid") }
	t.Run("at the timeout", func(t *testing.T) {
		t.Parallel()
		path := pidFile(t)
		check := shell("sleep 1000 & echo $! >" + path + "; wait")
		check.Timeout = impatience
		expect(t, once(t, check, Endpoint{}), outcomes{counter.Timeout, counter.Unasked}, "was killed")
		awaitDeath(t, started(t, path))
	})
	t.Run("when the command has ended", func(t *testing.T) {
		path := pidFile(t)
		expect(t, once(t, shell("sleep 1000 >/dev/null 2>&1 & echo $! >"+path), Endpoint{}), outcomes{counter.OK, counter.Unasked}, "")
		awaitDeath(t, started(t, path))
	})
	t.Run("when the daemon stops", func(t *testing.T) {
		path := pidFile(t)
		r, err := New(shell("sleep 1000 & echo $! >"+path+"; wait"), Endpoint{}, func(res Result) { t.Errorf("reported %+v", res) })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		pid := started(t, path)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		awaitDeath(t, pid)
	})
}

// privileges are the lines of /proc/self/status that a command must not have.
const privileges = "grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):' /proc/self/status | tr -d '\\t' | tr '\\n' ' '; exit 1"

const none = "/bin/sh: exit status 1: CapInh:0000000000000000 CapPrm:0000000000000000 CapEff:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1"

func TestExecHasNoCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has capabilities to lose")
	}
	before := threadStatus(t)
	t.Run("daemon is root", func(t *testing.T) {
		for range 20 {
			if got := once(t, shell(privileges), Endpoint{}).Reason; got != none {
				t.Fatalf("got %s, want %s", got, none)
			}
		}
	})
	t.Run("daemon is a user with ambient capabilities", func(t *testing.T) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), execEnv+"=1")
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
		}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var got execReport
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		want := execReport{Daemon: "CapAmb:0000000000003000", Command: none}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	// Threads that were stripped must neither stay nor have children.
	t.Run("the daemon itself keeps what it has", func(t *testing.T) {
		for thread, status := range threadStatus(t) {
			if status != before[strconv.Itoa(os.Getpid())] {
				t.Errorf("thread %s: %s", thread, status)
			}
		}
	})
}

// execEnv makes the test binary a daemon that runs one command and reports.
const execEnv = "HEALTH_TEST_EXEC"

type execReport struct{ Daemon, Command string }

func printExecResult() {
	probe := execProbe{command: shell(privileges).Command, timeout: 10 * time.Second}
	report := execReport{Command: probe.probe(context.Background()).Reason}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		report.Daemon = err.Error()
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapAmb:") {
			report.Daemon = strings.Join(strings.Fields(line), "")
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(report)
}

// threadStatus is the capabilities and no_new_privs of each thread.
func threadStatus(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var kept []string
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
				kept = append(kept, strings.Join(strings.Fields(line), ""))
			}
		}
		all[filepath.Base(filepath.Dir(path))] = strings.Join(kept, " ")
	}
	return all
}
