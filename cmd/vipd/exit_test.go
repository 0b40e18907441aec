package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control/controltest"
	"github.com/vipd/vipd/doctor"
)

// TestExitCodes is the table of docs/commands.md. In args, CONFIG is a good
// configuration file, BAD one with a mistake, WEAK one whose key file holds no
// good key, WARNED one that gives up a guarantee, NONE one that does not exist, KEEPALIVED a keepalived.conf,
// SOCKET the socket of a daemon, and DEAD a socket without one.
func TestExitCodes(t *testing.T) {
	successor := func(a *controltest.Agent) { a.SetSuccessor("192.0.2.12") }
	tests := []struct {
		name   string
		daemon func(*controltest.Agent)
		args   string
		want   exit
		text   string
	}{
		{"no command", nil, "", exitUsage, "vipd --help"},
		{"help", nil, "--help", exitDone, ""},
		{"an unknown command", nil, "frobnicate", exitUsage, `unknown command "frobnicate"`},
		{"an unknown flag", nil, "status --verbose", exitUsage, "--verbose"},
		{"an unknown global flag", nil, "--verbose", exitUsage, "--verbose"},
		{"an argument too many", nil, "status apiserver", exitUsage, "apiserver"},
		{"an argument too many for run", nil, "run now", exitUsage, "now"},
		{"an argument too many for history", nil, "history all", exitUsage, "all"},
		{"an argument too many for undrain", nil, "undrain apiserver", exitUsage, "apiserver"},
		{"an argument too many for version", nil, "version now", exitUsage, "now"},
		{"a flag without its value", nil, "drain --timeout", exitUsage, "--timeout"},
		{"a flag with a wrong value", nil, "drain --timeout soon", exitUsage, "soon"},
		{"a negative timeout", nil, "drain --timeout -3s --socket SOCKET", exitUsage, "--timeout"},
		{"an unknown shell", nil, "completion tcl", exitUsage, "tcl"},
		{"completion without a shell", nil, "completion", exitUsage, "vipd completion --help"},
		{"completion for bash", nil, "completion bash", exitDone, ""},
		{"completion for zsh", nil, "completion zsh", exitDone, ""},
		{"completion for fish", nil, "completion fish", exitDone, ""},
		{"completion for powershell", nil, "completion powershell", exitDone, ""},
		{"version", nil, "version", exitDone, ""},
		{"version as a flag", nil, "--version", exitDone, ""},

		{"check of a good file", nil, "check --config CONFIG", exitDone, ""},
		{"check of a bad file", nil, "check --config BAD", exitUsage, "BAD:2: nodes: "},
		{"check of a file that does not exist", nil, "check --config NONE", exitUsage, "the smallest configuration"},
		{"check with a bad key file", nil, "check --config WEAK", exitUsage, "auth_key_file: "},
		{"run with a bad key file", nil, "run --config WEAK", exitUsage, "use 32 or more random ones"},
		{"run with a bad file", nil, "run --config BAD", exitUsage, "BAD:2: nodes: "},

		{"status", nil, "status --socket SOCKET", exitDone, ""},
		{"status by the socket of the configuration", nil, "status --config CONFIG", exitNotRunning, "vipd is not running"},
		{"status without a daemon", nil, "status --socket DEAD", exitNotRunning, "systemctl start vipd"},
		{"status as JSON without a daemon", nil, "status --json --socket DEAD", exitNotRunning, "vipd is not running"},
		{"watch without a daemon", nil, "status --watch --socket DEAD", exitNotRunning, "vipd is not running"},
		{"watch as JSON without a daemon", nil, "status --watch --json --socket DEAD", exitNotRunning, "vipd is not running"},
		{"history", nil, "history --socket SOCKET", exitDone, ""},
		{"history without a daemon", nil, "history --socket DEAD", exitNotRunning, "vipd is not running"},

		{"drain with a healthy successor", successor, "drain --socket SOCKET", exitDone, ""},
		{"drain as JSON with a healthy successor", successor, "drain --json --socket SOCKET", exitDone, ""},
		{"drain with connections that do not end", func(a *controltest.Agent) { successor(a); a.SetClinging() }, "drain --wait-connections=1s --socket SOCKET", exitReset, ""},
		{"drain with a wait that is no duration", nil, "drain --wait-connections=soon --socket SOCKET", exitUsage, "no duration"},
		{"drain without a successor", nil, "drain --socket SOCKET", exitNoSuccessor, ""},
		{"drain as JSON without a successor", nil, "drain --json --socket SOCKET", exitNoSuccessor, ""},
		{"drain without a successor, forced", nil, "drain --force --socket SOCKET", exitDone, ""},
		{"drain of an unknown VIP", successor, "drain --vip nothing --socket SOCKET", exitUsage, "nothing"},
		{"drain while the daemon stops", (*controltest.Agent).Stop, "drain --socket SOCKET", exitFailed, "stopping"},
		{"drain without a daemon", nil, "drain --socket DEAD", exitNotRunning, "vipd is not running"},

		{"undrain", nil, "undrain --socket SOCKET", exitDone, ""},
		{"undrain of an unknown VIP", nil, "undrain --vip nothing --socket SOCKET", exitUsage, "nothing"},
		{"undrain while the daemon stops", (*controltest.Agent).Stop, "undrain --socket SOCKET", exitFailed, "stopping"},
		{"undrain without a daemon", nil, "undrain --socket DEAD", exitNotRunning, "vipd is not running"},

		{"reload", nil, "reload --socket SOCKET", exitDone, ""},
		{"reload of a bad file", func(a *controltest.Agent) {
			a.SetBadConfiguration(errors.New("the running configuration is kept: vipd.yaml:3: vips[0].vrrp.vrid: 300 is out of range"))
		}, "reload --socket SOCKET", exitUsage, "vipd.yaml:3: vips[0].vrrp.vrid"},
		{"reload while the daemon stops", (*controltest.Agent).Stop, "reload --socket SOCKET", exitFailed, "stopping"},
		{"reload without a daemon", nil, "reload --socket DEAD", exitNotRunning, "vipd is not running"},

		{"release without a daemon", nil, "release --config CONFIG", exitDone, ""},
		{"release while the daemon runs", nil, "release --config CONFIG --socket SOCKET", exitFailed, "pid 123"},
		{"release with a bad file", nil, "release --config BAD", exitUsage, "BAD:2: nodes: "},

		{"init", nil, "init --vip 192.0.2.10", exitDone, "The interface is eth0"},
		{"init into a new file", nil, "init --vip 192.0.2.10 --write --config NONE", exitDone, ""},
		{"init over a file that exists", nil, "init --vip 192.0.2.10 --write --config CONFIG", exitFailed, "CONFIG exists and was left as it is"},
		{"init over a file that exists, forced", nil, "init --vip 192.0.2.10 --write --force --config CONFIG", exitDone, ""},
		{"init with force for nothing", nil, "init --vip 192.0.2.10 --force", exitUsage, "--force is for --write"},
		{"init without a VIP", nil, "init", exitUsage, "--vip: none was given"},
		{"init with a VIP that is no address", nil, "init --vip 192.0.2.10/24", exitUsage, "without a prefix length"},
		{"init with a node's address that is none", nil, "init --vip 192.0.2.10 --node-address cp1", exitUsage, "--node-address"},
		{"init with a VRID out of range", nil, "init --vip 192.0.2.10 --vrid 256", exitUsage, "--vrid: 256"},
		{"init with a VIP that ends with 0", nil, "init --vip 192.0.2.0", exitUsage, "--vrid: the last byte of 192.0.2.0 is 0"},
		{"init with a VIP of another network", nil, "init --vip 198.51.100.10", exitFailed, "no interface of this host has a subnet with 198.51.100.10"},
		{"init with this node's own address", nil, "init --vip 192.0.2.11", exitFailed, "this node's own address on eth0"},

		{"doctor with a listening time of nothing", nil, "doctor --listen 0s", exitUsage, "--listen: 0s"},
		{"doctor where nothing is wrong", nil, "doctor --config CONFIG", exitDone, ""},
		{"doctor where nothing is wrong, as JSON", nil, "doctor --json --config CONFIG", exitDone, ""},
		{"doctor where a guarantee is lost", nil, "doctor --config WARNED", exitWarnings, ""},
		{"doctor where something is wrong", nil, "doctor --config BAD", exitErrors, ""},

		{"kubeadm", nil, "kubeadm --config CONFIG", exitDone, ""},
		{"kubeadm with a bad file", nil, "kubeadm --config BAD", exitUsage, "BAD:2: nodes: "},
		{"kubeadm with an unknown VIP", nil, "kubeadm --vip nothing --config CONFIG", exitUsage, "no VIP nothing; it has vip1"},

		{"import of a good file", nil, "import keepalived KEEPALIVED", exitDone, "tracks no script"},
		{"import of a file that is not there", nil, "import keepalived NONE", exitFailed, "no such file"},
		{"import of what is no keepalived.conf", nil, "import keepalived CONFIG", exitFailed, "CONFIG: "},
		{"import of nothing", nil, "import", exitUsage, "vipd import keepalived /etc/keepalived/keepalived.conf"},
		{"import from something else", nil, "import kube-vip KEEPALIVED", exitUsage, "vipd import keepalived"},
		{"import of two files", nil, "import keepalived KEEPALIVED NONE", exitUsage, "give one file; got 2"},
	}
	reached := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			r.openHolder = func() (holder, error) { return &host{}, nil }
			r.openRules = func(string) (remover, error) { return &rules{}, nil }
			r.look = func(context.Context, time.Duration) *doctor.Facts { return seen(r.configPath) }
			agent := controltest.New(owner())
			if test.daemon != nil {
				test.daemon(agent)
			}
			good, _ := minimal(t)
			bad := file(t, "vips: [{addresses: [192.0.2.10]}]\nnodes: cp1\n")
			key := file(t, "too short\n")
			weak := file(t, "auth_key_file: "+key+"\nvips: [{addresses: [192.0.2.10]}]\n")
			warned := file(t, "vips: [{addresses: [192.0.2.10], fence: 0s}]\n")
			other := file(t, "vrrp_instance a {\n interface eth0\n virtual_router_id 5\n priority 200\n virtual_ipaddress { 192.0.2.10 }\n}\n")
			places := strings.NewReplacer("KEEPALIVED", other, "CONFIG", good, "BAD", bad, "WEAK", weak, "WARNED", warned, "NONE", filepath.Join(t.TempDir(), "none.yaml"),
				"SOCKET", controltest.Serve(t, agent), "DEAD", filepath.Join(t.TempDir(), "dead.sock"))
			var args []string
			for _, arg := range strings.Fields(test.args) {
				args = append(args, places.Replace(arg))
			}
			got := r.command(t.Context(), args...)
			if got != test.want {
				t.Errorf("exit code %d, want %d; stderr:\n%s", got, test.want, &r.err)
			}
			if want := places.Replace(test.text); !strings.Contains(r.err.String(), want) {
				t.Errorf("stderr does not say %q:\n%s", want, &r.err)
			}
			if test.want != exitDone && test.want != exitNoSuccessor && test.want != exitReset && r.err.Len()+r.out.Len() == 0 {
				t.Error("it failed without a word")
			}
			if len(args) > 0 {
				reached[fmt.Sprintf("%s %d", args[0], got)] = true
			}
		})
	}
	for name, codes := range exits() {
		for _, code := range codes {
			// A daemon that runs, or fails to, is tested with the daemon; other
			// failures of the readers need a broken one.
			if name == "run" || name == "speaker" || code == exitFailed {
				continue
			}
			if !reached[fmt.Sprintf("%s %d", name, code)] {
				t.Errorf("no row shows how %s exits with %d", name, code)
			}
		}
	}
	for key := range reached {
		name, code, _ := strings.Cut(key, " ")
		if codes, ok := exits()[name]; ok && !slices.ContainsFunc(codes, func(e exit) bool { return strconv.Itoa(int(e)) == code }) {
			t.Errorf("%s exits with %s, which is not documented", name, code)
		}
	}
}

// seen is a host on which nothing is wrong but the configuration, if that is.
func seen(path string) *doctor.Facts {
	f := &doctor.Facts{Path: path, Now: noon()}
	c, err := config.Load(path)
	if err != nil {
		f.Problems = []string{err.Error()}
		return f
	}
	f.Config, f.Warnings = c, config.SettingWarnings(c)
	return f
}
