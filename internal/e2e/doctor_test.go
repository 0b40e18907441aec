package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// longer than the second that others are silent at the most.
const longer = 1300 * time.Millisecond

// practice is a host to be examined, another one, and a client, without any daemon
// but those that a row starts.
type practice struct {
	t        *testing.T
	lab      *lab.Lab
	cp1, cp2 *lab.Host
	vipd     daemon.Vipd
	servers  apiserver.Program
	// listen is for how long doctor listens; others speak once a second.
	listen time.Duration
	// wrap is a program that runs doctor with fewer rights; nil: none.
	wrap []string
}

func newPractice(t *testing.T) *practice {
	t.Helper()
	l := labtest.New(t, lab.Options{Hosts: 2}, "keepalived")
	ca, err := apiserver.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	p := &practice{
		t: t, lab: l, cp1: l.Hosts[0], cp2: l.Hosts[1], vipd: daemon.Vipd{Binary: labtest.Vipd()},
		servers: apiserver.Program{Viplab: labtest.Self(t), CA: ca, Port: 6443, VIPs: []netip.Addr{lab.VIP4()}},
		listen:  200 * time.Millisecond,
	}
	return p
}

func (p *practice) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *practice) run(h *lab.Host, argv ...string) {
	p.t.Helper()
	// At its end, when things are put back, the test's own context is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), patience)
	defer cancel()
	_, err := h.Run(ctx, argv...)
	p.must(err)
}

// ip runs ip(8) on a host, and the second command at the end of the test.
func (p *practice) ip(h *lab.Host, do, undo string) {
	p.t.Helper()
	p.run(h, append([]string{"ip"}, strings.Fields(do)...)...)
	p.t.Cleanup(func() { p.run(h, append([]string{"ip"}, strings.Fields(undo)...)...) })
}

// filter gives a host a chain of rules until the end of the test.
func (p *practice) filter(h *lab.Host, hook, rules string) {
	p.t.Helper()
	_, err := h.RunInput(labtest.Context(p.t, patience), fmt.Sprintf("table inet practice { chain c { type filter hook %s priority 0; %s; }; }", hook, rules), "nft", "-f", "-")
	p.must(err)
	p.t.Cleanup(func() { p.run(h, "nft", "delete", "table", "inet", "practice") })
}

func (p *practice) sysctl(h *lab.Host, key, value, former string) {
	p.t.Helper()
	set := func(value string) {
		p.must(h.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0) }))
	}
	set(value)
	p.t.Cleanup(func() { set(former) })
}

// start starts a process that ends with the test.
func (p *practice) start(proc *lab.Proc, err error) *lab.Proc {
	p.t.Helper()
	p.must(err)
	p.t.Cleanup(func() {
		p.must(proc.Kill())
		<-proc.Done()
	})
	return proc
}

func (p *practice) service() daemon.Service {
	return daemon.Service{VIPs: []netip.Addr{lab.VIP4()}, Port: 6443, CAFile: p.servers.CAFile}
}

// daemon runs vipd on a host until it says what it is.
func (p *practice) daemon(h *lab.Host, settings ...string) *lab.Proc {
	p.t.Helper()
	v := p.vipd
	v.Settings = func(*lab.Host) []string { return settings }
	proc := p.start(v.Start(h, p.service()))
	p.must(lab.Await(labtest.Context(p.t, patience), "vipd on "+h.Name+" to know its part", func() error {
		s, err := v.Status(p.t.Context(), h)
		if err == nil && (s.VIPs[0].State != "owner" && s.VIPs[0].Owner == "") {
			err = fmt.Errorf("it is %s", s.VIPs[0].State)
		}
		return err
	}))
	return proc
}

// apiServer runs one on a host, whose certificate has these addresses besides the
// host's.
func (p *practice) apiServer(h *lab.Host, vips ...netip.Addr) *apiserver.Process {
	p.t.Helper()
	servers := p.servers
	servers.VIPs = vips
	server, err := servers.Start(labtest.Context(p.t, patience), h)
	p.must(err)
	p.start(server.Proc, nil)
	return server
}

// keepalived runs one on a host.
func (p *practice) keepalived(h *lab.Host, k daemon.Keepalived, vip netip.Addr) {
	p.t.Helper()
	k.Interval, p.listen = time.Second, longer
	s := p.service()
	s.VIPs = []netip.Addr{vip}
	proc, err := k.Start(h, s)
	p.must(err)
	p.t.Cleanup(func() {
		// Killed, it would leave its address behind.
		p.must(proc.Signal(syscall.SIGTERM))
		<-proc.Done()
	})
	p.must(proc.AwaitLog(labtest.Context(p.t, patience), "Entering MASTER STATE"))
}

// examine runs doctor on cp1 with a configuration of its own, or with that of its
// daemon.
func (p *practice) examine(configuration string) (doctor.Report, int) {
	p.t.Helper()
	path, socket := p.vipd.ConfigFile(p.cp1), p.vipd.Socket(p.cp1)
	if configuration != "" {
		path, socket = filepath.Join(p.t.TempDir(), "vipd.yaml"), "/nonexistent/vipd.sock"
		text := strings.NewReplacer("VIP", lab.VIP4().String(), "CA", p.servers.CAFile(p.cp1), "DIR", p.t.TempDir()).Replace(configuration)
		p.must(os.WriteFile(path, []byte(text), 0o644))
	}
	argv := slices.Concat(p.wrap, []string{p.vipd.Binary, "doctor", "--json", "--listen", p.listen.String(), "--config", path, "--socket", socket})
	out, err := p.cp1.Run(labtest.Context(p.t, patience), argv...)
	var report doctor.Report
	if wrong := json.Unmarshal([]byte(out), &report); wrong != nil {
		p.t.Fatalf("%v: %s (%v)", wrong, out, err)
	}
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed:
		return report, exit.ExitCode()
	case err != nil:
		p.t.Fatal(err)
	}
	return report, 0
}

// awaitFinding examines until there is such a finding that says all words.
func (p *practice) awaitFinding(configuration string, id doctor.ID, severity doctor.Severity, words ...string) {
	p.t.Helper()
	p.must(lab.Await(labtest.Context(p.t, patience), "finding "+string(id), func() error {
		report, code := p.examine(configuration)
		i := slices.IndexFunc(report.Findings, func(f doctor.Finding) bool {
			text := f.Subject + " " + f.Evidence + " " + f.Fix
			return f.ID == id && f.Severity == severity && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
		})
		want := map[doctor.Severity]int{doctor.Info: 0, doctor.Warning: 1, doctor.Error: 3}[severity]
		if i < 0 || code < want {
			return fmt.Errorf("exit code %d, no %s %s that says %q in %+v", code, severity, id, words, report)
		}
		return nil
	}))
}

const bare = "node: cp1\nvips: [{addresses: [VIP], health: [{type: https, name: apiserver, url: \"https://127.0.0.1:6443/readyz\", ca_file: CA}]}]\nstate_dir: DIR\n"

// with is bare with further keys of the VIP.
func with(keys string) string {
	return strings.Replace(bare, "addresses: [VIP]", "addresses: [VIP], "+keys, 1)
}

// Before the daemon starts, each thing that breaks a VIP is found on a host that
// has it.
func TestDoctorBeforeTheStart(t *testing.T) {
	vip, other := lab.VIP4(), lab.VIP4().Next()
	rows := []struct {
		name     string
		provoke  func(p *practice)
		config   string
		id       doctor.ID
		severity doctor.Severity
		words    []string
	}{
		{"a key is misspelt", nil, "vipss: []\n", doctor.ConfigInvalid, doctor.Error, []string{"vipss"}},
		{"the VIP is the node's own address", nil, "vips: [{addresses: [10.77.0.11]}]\n", doctor.ConfigUnfit, doctor.Error, []string{"eth0"}},
		{"there is no fence", nil, with("fence: 0s"), doctor.ConfigWarning, doctor.Warning, []string{"fence"}},
		{"the key file is not there", nil, bare + "auth_key_file: /nonexistent\n", doctor.KeyFile, doctor.Error, []string{"/nonexistent"}},
		{"no subnet holds the VIP", nil, "vips: [{addresses: [192.0.2.10]}]\n", doctor.NoSubnet, doctor.Error, []string{"10.77.0.11/24"}},
		{"the interface does not exist", nil, with("interface: eth9"), doctor.InterfaceMissing, doctor.Error, []string{"eth9"}},
		{"the cable is cut", func(p *practice) {
			mend, err := p.lab.Break(lab.CableCut(p.cp1))
			p.must(err)
			p.t.Cleanup(func() { p.must(mend()) })
		}, bare, doctor.NoCarrier, doctor.Error, []string{"eth0"}},
		{"a stranger has the VIP", func(p *practice) {
			p.ip(p.lab.Client, "addr add "+vip.String()+"/32 dev eth0", "addr del "+vip.String()+"/32 dev eth0")
		}, bare, doctor.VIPAnswered, doctor.Error, []string{vip.String(), ":"}},
		{"another group has the VRID", func(p *practice) {
			p.keepalived(p.cp2, daemon.Keepalived{VRID: 100}, other)
		}, bare, doctor.VRIDTaken, doctor.Error, []string{"100", other.String(), p2}},
		{"a node advertises the VIP under another VRID", func(p *practice) {
			p.keepalived(p.cp2, daemon.Keepalived{VRID: 101}, vip)
		}, bare, doctor.VRIDDiffers, doctor.Error, []string{"101", p2}},
		{"keepalived advertises by version 2", func(p *practice) {
			p.keepalived(p.cp2, daemon.Keepalived{Version: 2}, vip)
		}, bare, doctor.VRRPVersion, doctor.Warning, []string{p2, "version 2"}},
		{"adverts come without hellos", func(p *practice) {
			p.keepalived(p.cp2, daemon.Keepalived{}, vip)
		}, bare, doctor.HelloMissing, doctor.Warning, []string{p2, "9651"}},
		{"keepalived on this host has the VIP", func(p *practice) {
			p.keepalived(p.cp1, daemon.Keepalived{}, vip)
		}, bare, doctor.RivalKeepalived, doctor.Error, []string{vip.String(), "keepalived"}},
		{"another vipd on this host has the VIP", func(p *practice) {
			p.daemon(p.cp1)
		}, bare, doctor.RivalVipd, doctor.Error, []string{vip.String(), "pid"}},
		{"another program has the port of hellos", func(p *practice) {
			p.daemon(p.cp1)
		}, bare, doctor.PortTaken, doctor.Error, []string{"hello.port", "9651", "vipd"}},
		{"a configured peer is silent", nil, with("vrrp: {peers: [10.77.0.12]}"), doctor.PeerUnheard, doctor.Warning, []string{p2}},
		{"nobody is there yet", nil, bare, doctor.NobodyHeard, doctor.Info, []string{"eth0"}},
		{"an input filter drops hellos", func(p *practice) {
			p.daemon(p.cp2)
			p.filter(p.cp1, "input", "udp dport 9651 drop")
			p.listen = longer
		}, bare, doctor.HelloDropped, doctor.Warning, []string{"cp2", p2}},
		{"an output filter drops adverts", func(p *practice) {
			p.filter(p.cp1, "output", "meta l4proto 112 drop")
		}, bare, doctor.AdvertsBlocked, doctor.Error, []string{"eth0", "112"}},
		{"an output filter drops adverts, and no way leads to one of the addresses", func(p *practice) {
			p.filter(p.cp1, "output", "meta l4proto 112 drop")
		}, strings.Replace(bare, "[VIP]", "[VIP, \"2001:db8::10\"]", 1), doctor.AdvertsBlocked, doctor.Error, []string{"eth0", "112"}},
		{"an output filter drops hellos", func(p *practice) {
			p.filter(p.cp1, "output", "meta l4proto udp drop")
		}, bare, doctor.HellosBlocked, doctor.Warning, []string{"9651"}},
		{"an output filter drops what has no state", func(p *practice) {
			p.filter(p.cp1, "output", "ct state untracked drop")
		}, bare, doctor.SecondChanceBlocked, doctor.Warning, []string{"6443", "untracked accept"}},
		{"arp_ignore keeps the host from answering", func(p *practice) {
			p.sysctl(p.cp1, "net/ipv4/conf/eth0/arp_ignore", "8", "0")
		}, bare, doctor.ARPIgnore, doctor.Error, []string{"arp_ignore is 8"}},
		{"a VIP is of no subnet of the interface", nil, strings.Replace(bare, "[VIP]", "[VIP, \"fd99::1\"]", 1), doctor.VIPOffSubnet, doctor.Warning, []string{"fd99::1"}},
		{"the VIP is on the interface for good", func(p *practice) {
			p.ip(p.cp1, "addr add "+vip.String()+"/32 dev eth0", "addr del "+vip.String()+"/32 dev eth0")
		}, bare, doctor.VIPLeftBehind, doctor.Error, []string{vip.String(), "vipd release"}},
		{"rules are there without a daemon", func(p *practice) {
			proc := p.daemon(p.cp1)
			p.must(proc.Kill())
			<-proc.Done()
			p.t.Cleanup(func() {
				p.run(p.cp1, p.vipd.Binary, "release", "--config", p.vipd.ConfigFile(p.cp1), "--socket", p.vipd.Socket(p.cp1))
			})
		}, bare, doctor.RulesLeftBehind, doctor.Info, []string{"vipd release"}},
		{"another interface has the VIP", func(p *practice) {
			p.ip(p.cp1, "link add kube-ipvs0 type bridge", "link del kube-ipvs0")
			p.run(p.cp1, "ip", "addr", "add", vip.String()+"/32", "dev", "kube-ipvs0")
		}, bare, doctor.VIPElsewhere, doctor.Error, []string{"kube-ipvs0"}},
		{"the API server is down", func(p *practice) {
			p.must(p.servers.CA.Issue(p.servers.CertDir(p.cp1), "cp1"))
		}, bare, doctor.APIServerDown, doctor.Info, []string{"refused"}},
		{"the certificate lacks the VIP", func(p *practice) { p.apiServer(p.cp1) },
			bare, doctor.CertificateLacksVIP, doctor.Error, []string{vip.String(), "certSANs"}},
		{"anonymous users may not ask for health", func(p *practice) {
			p.must(p.apiServer(p.cp1, vip).SetMode(p.t.Context(), apiserver.Unauthorised))
		}, bare, doctor.ProbeUnauthorised, doctor.Warning, []string{"401", "kubeconfig"}},
		{"the API server is not ready", func(p *practice) {
			p.must(p.apiServer(p.cp1, vip).SetMode(p.t.Context(), apiserver.Unready))
		}, bare, doctor.APIServerNotReady, doctor.Warning, []string{"500"}},
		{"the certificate is of another CA", func(p *practice) {
			p.apiServer(p.cp1, vip)
			ca, err := apiserver.NewCA()
			p.must(err)
			p.must(os.WriteFile(p.servers.CAFile(p.cp1), ca.PEM(), 0o644))
		}, bare, doctor.ProbeUntrusted, doctor.Error, []string{"ca_file"}},
		{"the CA is not there yet", func(p *practice) {
			p.must(os.RemoveAll(p.servers.CertDir(p.cp1)))
		}, bare, doctor.ProbeUnconfigured, doctor.Info, []string{"ca.crt"}},
		{"the daemon is not started", nil, bare, doctor.DaemonDown, doctor.Info, []string{"systemctl"}},
	}
	p := newPractice(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			same := *p
			same.t = t
			if row.provoke != nil {
				row.provoke(&same)
			}
			same.awaitFinding(row.config, row.id, row.severity, row.words...)
		})
	}
}

// Two groups of one interface do not take the port of hellos from each other.
func TestDoctorOfTwoGroups(t *testing.T) {
	p := newPractice(t)
	p.listen = longer
	p.daemon(p.cp2)
	const both = "node: cp1\nvips: [{addresses: [VIP], health: []}, {addresses: [10.77.0.101], port: 7443, health: []}]\nstate_dir: DIR\n"
	p.must(lab.Await(labtest.Context(t, patience), "the hellos of cp2, for both groups", func() error {
		report, _ := p.examine(both)
		i := slices.IndexFunc(report.Checks, func(c doctor.Check) bool { return c.ID == "hellos" })
		if c := report.Checks[i]; c.Result != doctor.Good {
			return fmt.Errorf("hellos: %+v, findings %+v", c, report.Findings)
		}
		return nil
	}))
}

// A root that lacks capabilities is told so, and nothing is laid to the kernel's
// charge.
func TestDoctorInAContainer(t *testing.T) {
	labtest.Require(t, "setpriv")
	p := newPractice(t)
	p.wrap = []string{"setpriv", "--bounding-set", "-net_admin,-net_raw", "--inh-caps", "-all"}
	report, code := p.examine(bare)
	if code != 0 {
		t.Errorf("exit code %d: %+v", code, report.Findings)
	}
	var skipped []string
	for _, c := range report.Checks {
		if c.Result == doctor.Skipped && strings.Contains(strings.Join(c.Reasons, ""), "as in a container") {
			skipped = append(skipped, c.ID)
		}
	}
	for _, id := range []string{"who-answers", "adverts", "hellos", "kernel"} {
		if !slices.Contains(skipped, id) {
			t.Errorf("check %s was made; left out were %v", id, skipped)
		}
	}
}

// p2 is the second host's address.
const p2 = "10.77.0.12"

// A running daemon is asked for what it knows better.
func TestDoctorBesideTheDaemon(t *testing.T) {
	p := newPractice(t)
	part := func(name string, story func(p *practice)) {
		t.Run(name, func(t *testing.T) {
			same := *p
			same.t = t
			story(&same)
		})
	}
	part("all is well", func(p *practice) {
		for _, h := range []*lab.Host{p.cp1, p.cp2} {
			p.apiServer(h, lab.VIP4())
			p.daemon(h)
		}
		p.must(lab.Await(labtest.Context(p.t, patience), "nothing to complain of", func() error {
			report, code := p.examine("")
			if code != 0 || len(report.Findings) > 0 {
				return fmt.Errorf("exit code %d: %+v", code, report.Findings)
			}
			return nil
		}))
	})
	part("another node's settings differ", func(p *practice) {
		p.daemon(p.cp1)
		p.daemon(p.cp2, "fence: 5s")
		p.awaitFinding("", doctor.SettingsDiffer, doctor.Warning, "cp2", "fence")
	})
	part("another node fell silent", func(p *practice) {
		p.daemon(p.cp1)
		proc := p.daemon(p.cp2)
		p.must(lab.Await(labtest.Context(p.t, patience), "cp1 to know cp2", func() error { return p.knows(p.cp1) }))
		p.must(proc.Signal(syscall.SIGSTOP))
		p.awaitFinding("", doctor.PeerSilent, doctor.Warning, "cp2")
	})
	part("another node does not hear this one", func(p *practice) {
		p.filter(p.cp2, "input", "udp dport 9651 drop")
		p.daemon(p.cp1)
		p.daemon(p.cp2)
		p.awaitFinding("", doctor.PeerDeaf, doctor.Warning, "cp2", "9651")
	})
	part("this node's filter drops hellos", func(p *practice) {
		p.filter(p.cp1, "input", "udp dport 9651 drop")
		p.listen = longer
		p.daemon(p.cp1)
		p.daemon(p.cp2)
		p.awaitFinding("", doctor.HelloDropped, doctor.Warning, "cp2")
	})
	part("the node is drained", func(p *practice) {
		p.daemon(p.cp1)
		p.run(p.cp1, p.vipd.Binary, "drain", "--force", "--socket", p.vipd.Socket(p.cp1))
		p.t.Cleanup(func() { p.run(p.cp1, p.vipd.Binary, "undrain", "--socket", p.vipd.Socket(p.cp1)) })
		p.awaitFinding("", doctor.NodeDrained, doctor.Warning, "vipd undrain")
	})
	part("the VIP cannot be served", func(p *practice) {
		p.daemon(p.cp1)
		mend, err := p.lab.Break(lab.CableCut(p.cp1))
		p.must(err)
		p.t.Cleanup(func() { p.must(mend()) })
		p.awaitFinding("", doctor.VIPFault, doctor.Error, "no-carrier")
	})
	part("open connections are not kept", func(p *practice) {
		p.daemon(p.cp1, "handover: {preserve: false}")
		p.awaitFinding("", doctor.HandoverOff, doctor.Info, "handover.preserve")
	})
}

// knows tells whether a host's daemon hears another.
func (p *practice) knows(h *lab.Host) error {
	report, _ := p.examine("")
	for _, f := range report.Findings {
		if f.ID == doctor.NobodyHeard {
			return fmt.Errorf("%s: %s", h, f.Evidence)
		}
	}
	return nil
}
