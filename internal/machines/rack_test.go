package machines

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/measure"
)

const (
	// patience is for anything that machines do, boots included.
	patience = 90 * time.Second
	// requestTimeout is below the kernel's first retransmission of a SYN, 1 s: a
	// lost SYN is a failure.
	requestTimeout = 900 * time.Millisecond
	// streams is how many of the client's connections stay open throughout.
	streams = 6
	// packages of these versions are installed, and upgraded to.
	oldVersion, newVersion = "v0.0.1", "v0.0.2"
	deb, rpm               = "deb", "rpm"
	configFile             = "/etc/vipd/vipd.yaml"
	clock                  = "15:04:05.000"
	pki                    = "/etc/kubernetes/pki"
)

// ahead has a service go before what this machine does besides: one that is not
// let run is another test's story. On a host CPUWeight= and Nice= do that. Here
// nobody gives the machines the cpu controller, and where the kernel groups the
// processes of each session, a nice value counts in its own session only
// (sched(7), the autogroup feature).
const ahead = `[Service]
ExecStartPost=-+/bin/sh -c "echo -20 >/proc/$MAINPID/autogroup"
`

// runtime is the unit of the stand-in for everything that serves behind the VIP;
// the real ones have its name.
const runtime = `[Unit]
Description=Stand-in for the container runtime and its API server

[Service]
ExecStart=/usr/local/bin/viplab apiserver --name %H --cert-dir ` + pki + ` --control /run/apiserver.sock --grace 2s
Nice=-15

[Install]
WantedBy=multi-user.target
`

// network lets systemd-networkd manage the interface as the lab set it up.
const network = `[Match]
Name=eth0
[Network]
Address=%s/24
Address=%s/64
IPv6AcceptRA=no
`

// rack is three machines and a client, with verbs that end the test when
// something is not so.
type rack struct {
	t        *testing.T
	lab      *lab.Lab
	machines []*Machine
	ca       *apiserver.CA
	client   *measure.Client
}

// open boots three machines with a package to install, or skips the test where
// there can be none.
func open(t *testing.T) *rack {
	t.Helper()
	labtest.Require(t, "systemd-nspawn", "nsenter", "unshare", "dpkg", "rpm")
	requireOverlay(t)
	// Neither the upper nor the work directory of an overlay may lie below its lower
	// one, which is the root here.
	dir, err := os.MkdirTemp("/dev/shm", "vipd-machines-")
	if err != nil {
		t.Skipf("needs a file system of its own in /dev/shm: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	files := commonFiles(t)
	r := &rack{t: t, lab: labtest.New(t, lab.Options{Dir: dir})}
	if r.ca, err = apiserver.NewCA(); err != nil {
		t.Fatal(err)
	}
	for _, h := range r.lab.Hosts {
		files["etc/systemd/network/eth0.network"] = File{fmt.Appendf(nil, network, h.Addr4, h.Addr6), 0o644}
		m, err := New(r.lab, h, files)
		r.must(err)
		r.machines = append(r.machines, m)
	}
	t.Cleanup(func() {
		if t.Failed() {
			r.showJournals()
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, m := range r.machines {
			if err := m.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	r.each(func(ctx context.Context, m *Machine) error { return m.Boot(ctx) })
	return r
}

func requireOverlay(t *testing.T) {
	t.Helper()
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(known), "\toverlay\n") {
		t.Skipf("needs overlayfs in the kernel (modprobe overlay): %v", err)
	}
	if _, err := unifiedHierarchy(); err != nil {
		t.Skipf("needs cgroups of the second version: %v", err)
	}
}

// commonFiles are those of every machine: packages, and the stand-in runtime.
func commonFiles(t *testing.T) map[string]File {
	t.Helper()
	files := map[string]File{"etc/systemd/system/containerd.service": {[]byte(runtime), 0o644}}
	for _, service := range []string{"vipd", "containerd"} {
		files["etc/systemd/system/"+service+".service.d/ahead.conf"] = File{[]byte(ahead), 0o644}
	}
	program, err := os.ReadFile(labtest.Self(t))
	if err != nil {
		t.Fatal(err)
	}
	files["usr/local/bin/viplab"] = File{program, 0o755}
	for _, version := range []string{oldVersion, newVersion} {
		built := buildPackages(t, version)
		for _, format := range []string{deb, rpm} {
			found, err := filepath.Glob(filepath.Join(built, "*."+format))
			if err != nil || len(found) != 1 {
				t.Fatalf("built %v, %v", found, err)
			}
			content, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			files[packageFile(version, format)] = File{content, 0o644}
		}
	}
	return files
}

// packageFile is where a package lies on a machine, from its root.
func packageFile(version, format string) string { return "/var/cache/" + version + "." + format }

// buildPackages builds the tree's packages, made out to be a version, and returns
// the directory that they are in.
func buildPackages(t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("../../scripts/package")
	cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+out, "ARCHITECTURES=amd64")
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the package: %v\n%s", err, printed)
	}
	return out
}

func (r *rack) ctx() context.Context { return labtest.Context(r.t, patience) }

func (r *rack) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// part tells one part of the story; those that follow build on it.
func (r *rack) part(name string, story func(r *rack)) {
	r.t.Helper()
	if !r.t.Run(name, func(t *testing.T) {
		same := *r
		same.t = t
		story(&same)
		r.client = same.client
	}) {
		r.t.FailNow()
	}
}

// each does something on all machines at once.
func (r *rack) each(do func(ctx context.Context, m *Machine) error) {
	r.t.Helper()
	g, ctx := errgroup.WithContext(r.ctx())
	for _, m := range r.machines {
		g.Go(func() error { return do(ctx, m) })
	}
	r.must(g.Wait())
}

// run runs a command on a machine and returns what it printed, trimmed.
func (r *rack) run(m *Machine, argv ...string) string {
	r.t.Helper()
	out, err := m.Run(r.ctx(), argv...)
	r.must(err)
	return strings.TrimSpace(out)
}

// write puts a file on a running machine.
func (r *rack) write(m *Machine, path, text string, mode os.FileMode) {
	r.t.Helper()
	r.must(File{[]byte(text), mode}.write(m.Path(path)))
}

// show is one property of a unit.
func (r *rack) show(m *Machine, unit, property string) string {
	r.t.Helper()
	return r.run(m, "systemctl", "show", "--value", "--property="+property, unit)
}

// await waits for a condition.
func (r *rack) await(what string, cond func(ctx context.Context) error) {
	r.t.Helper()
	ctx := r.ctx()
	r.must(lab.AwaitEvery(ctx, poll, what, func() error { return cond(ctx) }))
}

// awaitShown waits until a unit's property matches a pattern (path.Match).
func (r *rack) awaitShown(m *Machine, unit, property, pattern string) {
	r.t.Helper()
	r.await(fmt.Sprintf("%s=%s of %s on %s", property, pattern, unit, m), func(ctx context.Context) error {
		out, err := m.Run(ctx, "systemctl", "show", "--value", "--property="+property, unit)
		if err != nil {
			return err
		}
		got := strings.TrimSpace(out)
		if ok, err := path.Match(pattern, got); err != nil || !ok {
			return errors.Join(fmt.Errorf("it is %q", got), err)
		}
		return nil
	})
}

// status asks a machine's daemon.
func (m *Machine) status(ctx context.Context) (agent.Status, error) {
	client := control.NewClient(m.Path("/run/vipd/vipd.sock"))
	defer client.Close()
	return client.Status(ctx)
}

// agree waits until one machine owns the VIP, in its daemon's words and in its
// kernel, and the others are backups, open connections or not, all of them healthy
// or none. It returns the owner.
func (r *rack) agree(healthy bool) (owner *Machine) {
	r.t.Helper()
	r.await("one owner and two backups", func(ctx context.Context) (err error) {
		owner, err = r.owner(ctx, healthy)
		return err
	})
	return owner
}

func (r *rack) owner(ctx context.Context, healthy bool) (*Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // a frozen daemon does not answer
	defer cancel()
	var owner *Machine
	for _, m := range r.machines {
		status, err := m.status(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
		v := status.VIPs[0]
		holds, err := m.holds(lab.VIP4())
		switch {
		case err != nil:
			return nil, err
		case v.Healthy != healthy:
			return nil, fmt.Errorf("%s: healthy is %t", m, v.Healthy)
		case holds != (v.State == agent.StateOwner):
			return nil, fmt.Errorf("%s is %s; its kernel has the VIP: %t", m, v.State, holds)
		case v.State == agent.StateOwner && owner != nil:
			return nil, fmt.Errorf("%s and %s own the VIP", owner, m)
		case v.State == agent.StateOwner:
			owner = m
		case v.State != agent.StateBackup && v.State != agent.StateHandover:
			return nil, fmt.Errorf("%s is %s", m, v.State)
		}
	}
	if owner == nil {
		return nil, errors.New("nobody owns the VIP")
	}
	return owner, nil
}

func (m *Machine) holds(vip netip.Addr) (bool, error) {
	held, err := m.Addresses(m.Interface)
	for _, addr := range held {
		if addr == vip {
			return true, err
		}
	}
	return false, err
}

// makeOwner moves the VIP to a machine by drains, and leaves every machine free
// to own.
func (r *rack) makeOwner(want *Machine) {
	r.t.Helper()
	owner := r.settle()
	if owner == want {
		return
	}
	for _, m := range r.others(want) {
		if m != owner {
			r.run(m, "vipd", "drain")
		}
	}
	r.run(owner, "vipd", "drain")
	for _, m := range r.others(want) {
		r.run(m, "vipd", "undrain")
	}
	if got := r.settle(); got != want {
		r.t.Fatalf("%s owns the VIP, want %s", got, want)
	}
}

// measure starts the client.
func (r *rack) measure() {
	r.t.Helper()
	const every = 4 * time.Millisecond // three machines boot and stop beside it
	o := measure.Defaults(netip.AddrPortFrom(lab.VIP4(), 6443))
	o.Every, o.Timeout, o.Streams = every, requestTimeout, streams
	o.CAFile = r.machines[0].Path(pki + "/ca.crt")
	for _, m := range r.machines {
		o.Controls = append(o.Controls, netip.AddrPortFrom(m.Addr4, 6443))
	}
	var err error
	r.client, err = measure.Start(r.ctx(), r.lab.Client, labtest.Self(r.t), o)
	r.must(err)
}

// settle waits until the daemons agree and the client is served by the owner,
// streams included. It returns the owner; if the VIP moves on meanwhile, that is
// the new one.
func (r *rack) settle() (owner *Machine) {
	r.t.Helper()
	const answers = 50
	since := time.Now()
	r.await("one owner that serves the client, and two backups", func(ctx context.Context) (err error) {
		if owner, err = r.owner(ctx, true); err == nil {
			_, err = r.client.Served(since, answers, func(node string) bool { return node == owner.Name })
		}
		return err
	})
	r.must(r.client.AwaitStreams(r.ctx(), time.Now()))
	return owner
}

// span is what the client sees from now until the end of the story and for long
// enough that a silent stream counts as broken. A stream that waits for a packet
// to be sent again is not silent: each has a line after the story, or an end.
func (r *rack) span(story func()) measure.Report {
	r.t.Helper()
	from := time.Now()
	story()
	r.must(r.client.AwaitStreams(r.ctx(), time.Now()))
	end, err := r.client.AwaitServed(r.ctx(), time.Now().Add(measure.Silence), 1, func(string) bool { return true })
	r.must(err)
	seen, err := r.client.Report(r.ctx(), from, end)
	r.must(err)
	if seen.Failed > 0 {
		failed, err := r.client.Failures(r.ctx(), from, end)
		r.must(err)
		for _, f := range failed[:min(len(failed), 10)] {
			r.t.Logf("failed at %s: %s after %v", f.At.Format(clock), f.Error, f.Took)
		}
	}
	for _, e := range r.client.Ends(from, end) {
		r.t.Logf("stream %d ended at %s: %s", e.ID, e.At.Format(clock), e.Error)
	}
	return seen
}

// showJournals prints the end of each machine's journal, and what its daemon
// remembers.
func (r *rack) showJournals() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range r.machines {
		out, err := m.Run(ctx, "journalctl", "--no-pager", "--lines=60", "--output=short-precise")
		r.t.Logf("journal of %s: %v\n%s", m, err, out)
		out, err = m.Run(ctx, "vipd", "history")
		r.t.Logf("history of %s: %v\n%s", m, err, out)
	}
}

// reload asks the daemon, which logs that it did.
func reload(ctx context.Context, m *Machine) error {
	client := control.NewClient(m.Path("/run/vipd/vipd.sock"))
	defer client.Close()
	return client.Reload(ctx)
}
