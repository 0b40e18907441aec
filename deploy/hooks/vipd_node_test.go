// Package hooks holds the tests of the files in this directory.
package hooks

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// standIn notes how it was called, and ends as the file $FAIL says: with the exit
// code in front of the first line that the call begins with, else with 0.
const standIn = `#!/bin/sh
call="${0##*/} $*"
echo "$call" >>"$RECORD"
while read -r code begin; do
	case $call in "$begin"*) exit "$code" ;; esac
done <"$FAIL"
`

// node is a host on which every command that could change something is a
// stand-in.
type node struct {
	t   *testing.T
	dir string
}

func newNode(t *testing.T) node {
	t.Helper()
	n := node{t: t, dir: t.TempDir()}
	for _, command := range []string{"vipd", "kubectl", "kubeadm", "systemctl"} {
		n.write("bin/"+command, standIn)
	}
	n.write("bin/id", "#!/bin/sh\necho 0\n")
	n.write("bin/uname", "#!/bin/sh\necho CP1\n")
	n.write("kubernetes/kubelet.conf", "")
	n.write("record", "")
	n.fail()
	return n
}

func (n node) write(name, text string) {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		n.t.Fatal(err)
	}
}

// fail makes calls that begin like this fail: "3 vipd drain".
func (n node) fail(calls ...string) {
	var lines strings.Builder
	for _, call := range calls {
		lines.WriteString(call + "\n")
	}
	n.write("fail", lines.String())
}

// wasReset does what kubeadm reset does to the node at its end.
func (n node) wasReset() {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.dir, "kubernetes/kubelet.conf")); err != nil {
		n.t.Fatal(err)
	}
}

// command is a shell command on the node.
func (n node) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = []string{
		"PATH=" + filepath.Join(n.dir, "bin") + ":" + os.Getenv("PATH"),
		"RECORD=" + filepath.Join(n.dir, "record"), "FAIL=" + filepath.Join(n.dir, "fail"),
		"KUBERNETES_DIR=" + filepath.Join(n.dir, "kubernetes"),
	}
	return cmd
}

// outcome is what a run of a script came to.
type outcome struct {
	Calls []string
	Code  int
}

// run runs a command and returns what it called, and what it said.
func (n node) run(cmd *exec.Cmd) (got outcome, stdout, stderr string) {
	n.t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	n.write("record", "")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got.Code = exit.ExitCode()
	} else if err != nil {
		n.t.Fatal(err)
	}
	got.Calls = n.calls()
	return got, out.String(), said.String()
}

// calls are the calls of stand-ins until now.
func (n node) calls() []string {
	n.t.Helper()
	record, err := os.ReadFile(filepath.Join(n.dir, "record"))
	if err != nil {
		n.t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(record)) {
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls
}

const (
	drainVIP  = "vipd drain"
	drainPods = "kubectl drain cp1 --ignore-daemonsets"
	uncordon  = "kubectl uncordon cp1"
	undrain   = "vipd undrain"
	disable   = "systemctl disable --now vipd"
)

func TestOrder(t *testing.T) {
	rows := []struct {
		name string
		args string
		want []string
	}{
		{"drain: the VIP first, then the pods", "drain", []string{drainVIP, drainPods}},
		{"resume: the pods may come, then the VIP", "resume", []string{uncordon, undrain}},
		{"upgrade: ends as a node that serves", "upgrade",
			[]string{drainVIP, drainPods, "kubeadm upgrade node", uncordon, undrain}},
		{"upgrade of the first node, and of its kubelet while it is empty", "upgrade --apply v1.35.1 --then systemctl\trestart\tkubelet -- --yes",
			[]string{drainVIP, drainPods, "kubeadm upgrade apply v1.35.1 --yes", "systemctl restart kubelet", uncordon, undrain}},
		{"reset: vipd leaves last", "reset -- --force",
			[]string{drainVIP, drainPods, "kubeadm reset --force", disable}},
		{"a name and a timeout of one's own", "--node a.example --timeout 5s drain",
			[]string{"vipd drain --timeout 5s", "kubectl drain a.example --ignore-daemonsets"}},
		{"--force is for the VIP only", "--force drain", []string{"vipd drain --force", drainPods}},
	}
	for _, row := range rows {
		n := newNode(t)
		// A tab in a row is a blank within an argument.
		args := strings.Fields(strings.ReplaceAll(row.args, "\t", "\x00"))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\x00", " ")
		}
		got, _, said := n.run(n.command("./vipd-node", args...))
		if diff := cmp.Diff(outcome{Calls: row.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", row.name, diff, said)
		}
		if strings.Contains(said, "failed") {
			t.Errorf("%s: %s", row.name, said)
		}
	}
}

// A failure ends the work at once; what is said then is true, and what to do next
// is named.
func TestFailures(t *testing.T) {
	rows := []struct {
		name   string
		action string
		fail   []string
		want   outcome
		says   []string
	}{
		{"vipd drain 3: no healthy successor", "upgrade", []string{"3 vipd drain"},
			outcome{[]string{drainVIP}, 3}, []string{"no healthy node takes the VIP", "nothing was changed", "--force"}},
		{"vipd drain 2: configuration", "upgrade", []string{"2 vipd drain"},
			outcome{[]string{drainVIP}, 2}, []string{"vipd check", "nothing was changed"}},
		{"vipd drain 5: no daemon", "upgrade", []string{"5 vipd drain"},
			outcome{[]string{drainVIP}, 5}, []string{"vipd does not run", "nothing was changed", "systemctl start vipd"}},
		{"vipd drain 1: anything else", "reset", []string{"1 vipd drain"},
			outcome{[]string{drainVIP}, 1}, []string{"vipd drain (exit code 1)", "vipd status", "vipd-node resume"}},
		{"vipd drain 4: moved, some connections reset: goes on", "drain", []string{"4 vipd drain"},
			outcome{[]string{drainVIP, drainPods}, 0}, []string{"the VIP has moved"}},
		{"a node that leaves needs no daemon, and keeps no VIP", "reset", []string{"5 vipd drain"},
			outcome{[]string{drainVIP, "vipd release", drainPods, "kubeadm reset", disable}, 0}, []string{"vipd does not run"}},
		{"the same, with a VIP that stays", "reset", []string{"5 vipd drain", "1 vipd release"},
			outcome{[]string{drainVIP, "vipd release"}, 1}, []string{"the VIP may be on this host"}},
		{"kubectl drain", "reset", []string{"1 kubectl drain"},
			outcome{[]string{drainVIP, drainPods}, 1}, []string{"failed: kubectl drain", "another node serves the VIP", "cp1 takes no new pods", "vipd-node resume"}},
		{"kubeadm upgrade", "upgrade", []string{"1 kubeadm"},
			outcome{[]string{drainVIP, drainPods, "kubeadm upgrade node"}, 1}, []string{"failed: kubeadm upgrade", "another node serves the VIP", "run the same command again"}},
		{"kubeadm reset of the last node", "reset --force", []string{"1 kubeadm"},
			outcome{[]string{drainVIP + " --force", drainPods, "kubeadm reset"}, 1}, []string{"perhaps no node serves it"}},
		{"kubectl uncordon", "upgrade", []string{"1 kubectl uncordon"},
			outcome{[]string{drainVIP, drainPods, "kubeadm upgrade node", uncordon}, 1}, []string{"this host no VIP", "run: vipd-node resume"}},
		{"vipd undrain", "upgrade", []string{"5 vipd undrain"},
			outcome{[]string{drainVIP, drainPods, "kubeadm upgrade node", uncordon, undrain}, 1}, []string{"takes pods again", "run: vipd-node resume"}},
		{"kubeadm reset", "reset", []string{"1 kubeadm"},
			outcome{[]string{drainVIP, drainPods, "kubeadm reset"}, 1}, []string{"failed: kubeadm reset", "another node serves the VIP"}},
		{"systemctl", "reset", []string{"1 systemctl"},
			outcome{[]string{drainVIP, drainPods, "kubeadm reset", disable}, 1}, []string{"cp1 is reset", "run: systemctl disable --now vipd"}},
	}
	for _, row := range rows {
		n := newNode(t)
		n.fail(row.fail...)
		got, _, said := n.run(n.command("./vipd-node", strings.Fields(row.action)...))
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		for _, words := range row.says {
			if !strings.Contains(said, words) {
				t.Errorf("%s: does not say %q:\n%s", row.name, words, said)
			}
		}
	}
}

func TestUpgradeStopsAtItsOwnCommand(t *testing.T) {
	n := newNode(t)
	n.fail("1 systemctl restart kubelet")
	got, _, said := n.run(n.command("./vipd-node", "upgrade", "--then", "systemctl restart kubelet"))
	want := outcome{[]string{drainVIP, drainPods, "kubeadm upgrade node", "systemctl restart kubelet"}, 1}
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(said, "still empty") {
		t.Errorf("(-want +got):\n%s%s", diff, said)
	}
}

// Each step may be run again: after any failure the same command goes on.
func TestRunAgain(t *testing.T) {
	n := newNode(t)
	n.fail("1 systemctl")
	n.run(n.command("./vipd-node", "reset"))
	n.wasReset()
	n.fail()
	got, _, said := n.run(n.command("./vipd-node", "reset"))
	// Without its kubeconfig files the node could not drain its pods, and has none.
	if diff := cmp.Diff(outcome{Calls: []string{drainVIP, "kubeadm reset", disable}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s%s", diff, said)
	}
	n.fail("5 vipd drain")
	got, _, said = n.run(n.command("./vipd-node", "reset"))
	if diff := cmp.Diff(outcome{Calls: []string{drainVIP, "vipd release", "kubeadm reset", disable}}, got); diff != "" {
		t.Errorf("once more (-want +got):\n%s%s", diff, said)
	}
}

// Only a reset is known by its traces: an upgrade without them fails at kubectl.
func TestOtherActionsAlwaysDrainPods(t *testing.T) {
	n := newNode(t)
	n.wasReset()
	got, _, _ := n.run(n.command("./vipd-node", "drain"))
	if diff := cmp.Diff(outcome{Calls: []string{drainVIP, drainPods}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDryRunCallsNothing(t *testing.T) {
	n := newNode(t)
	got, out, said := n.run(n.command("./vipd-node", "--dry-run", "--force", "upgrade", "--then", "echo new kubelet"))
	if diff := cmp.Diff(outcome{}, got); diff != "" {
		t.Errorf("(-want +got):\n%s%s", diff, said)
	}
	want := strings.Join([]string{"vipd drain --force", drainPods, "kubeadm upgrade node", "sh -c echo new kubelet", uncordon, undrain, ""}, "\n")
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

// What cannot come to a good end is refused before anything is changed.
func TestRefusals(t *testing.T) {
	rows := []struct {
		name string
		args []string
		says string
	}{
		{"no action", nil, "no action"},
		{"two actions", []string{"drain", "reset"}, "one action at a time"},
		{"an unknown argument", []string{"drain", "--fast"}, "unknown argument --fast"},
		{"an option without its value", []string{"drain", "--node"}, "--node wants a value"},
		{"--then without an upgrade", []string{"reset", "--then", "true"}, "belong to upgrade"},
		{"arguments of kubeadm where it does not run", []string{"drain", "--", "--force"}, "no arguments of kubeadm"},
	}
	for _, row := range rows {
		n := newNode(t)
		got, _, said := n.run(n.command("./vipd-node", row.args...))
		if diff := cmp.Diff(outcome{Code: 2}, got); diff != "" || !strings.Contains(said, row.says) {
			t.Errorf("%s: %s(-want +got):\n%s", row.name, said, diff)
		}
	}

	n := newNode(t)
	n.write("bin/id", "#!/bin/sh\necho 1000\n")
	if got, _, said := n.run(n.command("./vipd-node", "drain")); got.Code != 2 || got.Calls != nil || !strings.Contains(said, "needs root") {
		t.Errorf("not root: %+v %s", got, said)
	}
}

func TestMissingToolIsNoticedFirst(t *testing.T) {
	if path, err := exec.LookPath("kubeadm"); err == nil {
		t.Skip("this host has " + path)
	}
	n := newNode(t)
	if err := os.Remove(filepath.Join(n.dir, "bin/kubeadm")); err != nil {
		t.Fatal(err)
	}
	got, _, said := n.run(n.command("./vipd-node", "upgrade"))
	if diff := cmp.Diff(outcome{Code: 2}, got); diff != "" || !strings.Contains(said, "kubeadm is not installed") {
		t.Errorf("%s(-want +got):\n%s", said, diff)
	}
}

// Ctrl-C goes to the whole group, as from a terminal: the step ends, and the
// script says where it was.
func TestInterrupt(t *testing.T) {
	n := newNode(t)
	n.write("bin/kubectl", "#!/bin/sh\necho \"kubectl $*\" >>\"$RECORD\"\nexec sleep 60\n")
	cmd := n.command("./vipd-node", "upgrade")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); len(n.calls()) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for kubectl: %s", said.String())
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != 130 {
		t.Errorf("ended: %v", exit)
	}
	if diff := cmp.Diff([]string{drainVIP, drainPods}, n.calls()); diff != "" || !strings.Contains(said.String(), "interrupted during: kubectl drain") {
		t.Errorf("%s(-want +got):\n%s", said.String(), diff)
	}
}

func TestShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed")
	}
	if out, err := exec.Command("shellcheck", "vipd-node").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}
