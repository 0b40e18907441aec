package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
)

const (
	// theVIP is the address of the group apiserver, which most tests are about.
	theVIP = "192.0.2.10"
	// apiserver is its configuration.
	apiserver = `vips: [{name: apiserver, addresses: [192.0.2.10]}]`
	// patience is how long a test waits, in virtual time, for what must happen.
	patience = 3 * time.Minute
)

var errKilled = errors.New("the process was killed")

// node is a host with its configuration file and the daemon that runs there.
type node struct {
	*host
	t       *testing.T
	process *process
	// file is the configuration; files are all others.
	file    string
	files   map[string]string
	changed feed[string]
	// probes are what health checks find; a check that is not there is well.
	probes map[string]ProbeResult
	probe  feed[struct{}]
	// log is what the daemon logged.
	log record
	// edges, if not nil, adds edges that most tests do without.
	edges func(*Edges)
}

// record keeps what is written to it. Its lines belong to the segment's lock.
type record struct {
	lan   *lan
	lines []string
}

func (r *record) Write(line []byte) (int, error) {
	r.lan.mu.Lock()
	defer r.lan.mu.Unlock()
	r.lines = append(r.lines, string(line))
	return len(line), nil
}

// logged are the lines that the daemon logged with the text in them.
func (n *node) logged(text string) []string {
	synctest.Wait()
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	var found []string
	for _, line := range n.log.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// process is one life of the daemon. It implements its edges.
type process struct {
	*node
	agent *Agent
	level slog.LevelVar
	stop  func()
	ended chan struct{}
	err   error
	// dead: killed; nothing it does reaches the world. gate is closed when a
	// frozen process goes on.
	dead bool
	gate chan struct{}
}

// node adds a host and starts the daemon on it. It runs until the test ends.
func (l *lan) node(last byte, file string) *node {
	n := l.bare(last, file)
	n.start()
	return n
}

// bare adds a host on which the daemon does not run yet.
func (l *lan) bare(last byte, file string) *node {
	n := &node{host: l.host(last), t: l.t, file: file, files: map[string]string{}, probes: map[string]ProbeResult{}, log: record{lan: l}}
	l.t.Cleanup(n.terminate)
	return n
}

func (n *node) load() (*config.Config, error) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return config.Parse("vipd.yaml", []byte("node: "+n.name+"\n"+n.file))
}

// start starts the daemon.
func (n *node) start() {
	n.t.Helper()
	c, err := n.load()
	if err != nil {
		n.t.Fatal(err)
	}
	p := &process{node: n, ended: make(chan struct{})}
	output := io.MultiWriter(n.t.Output(), &n.log)
	n.process = p
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	keys, err := n.keys(c)
	if err != nil {
		n.t.Fatal(err)
	}
	boot, secret := n.lan.random()
	edges := Edges{
		Sockets: p, Hellos: p, Addresses: p, Announcer: p, Prober: p,
		Claims: p, Health: p, Files: p, Mark: n, Flows: p,
	}
	if n.edges != nil {
		n.edges(&edges)
	}
	p.agent = New(Options{
		Config: c, Path: "vipd.yaml", Version: "test", PID: 1, Load: n.load,
		Boot: boot, Secret: secret, Keys: keys, Edges: edges,
		Log: slog.New(slog.NewTextHandler(output, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.name), LogLevel: &p.level,
	})
	go func() {
		p.err = p.agent.Run(ctx)
		close(p.ended)
	}()
	go n.events.follow(p.ended, p.list, func(ev Event) { p.agent.Post(context.Background(), ev) })
}

// list tells the agent what is there when it starts.
func (p *process) list() {
	p.lan.mu.Lock()
	var all []Event
	for _, name := range slices.Sorted(maps.Keys(p.nics)) {
		all = append(all, InterfaceChanged{Interface: p.nics[name].present()})
	}
	p.lan.mu.Unlock()
	for _, ev := range append(all, InterfacesKnown{}) {
		p.agent.Post(context.Background(), ev)
	}
}

// terminate stops the daemon as SIGTERM does and waits for its end.
func (n *node) terminate() {
	if n.process == nil {
		return
	}
	n.thaw()
	n.process.stop()
	<-n.process.ended
	if err := n.process.err; err != nil {
		n.t.Errorf("%s: Run: %v", n.name, err)
	}
}

// kill ends the daemon as SIGKILL does: the kernel keeps what it has.
func (n *node) kill() {
	n.lan.mu.Lock()
	n.process.dead = true
	n.sockets, n.hellos = nil, nil
	n.lan.note(n.host, "is killed")
	n.lan.mu.Unlock()
	n.thaw()
	n.process.stop() // what it does at its end reaches nobody
}

// powerOff ends the whole host.
func (n *node) powerOff() {
	n.lan.mu.Lock()
	n.process.dead = true
	n.sockets, n.hellos = nil, nil
	for _, nic := range n.nics {
		nic.up = false
	}
	n.lan.note(n.host, "is off")
	n.lan.mu.Unlock()
	n.process.stop()
	<-n.process.ended
}

// freeze stops the daemon as SIGSTOP does, where it next touches the world.
func (n *node) freeze() {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	n.process.gate = make(chan struct{})
}

// thaw lets a frozen daemon go on.
func (n *node) thaw() {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	if n.process.gate != nil {
		close(n.process.gate)
	}
	n.process.gate = nil
}

// pass waits while the process is frozen.
func (p *process) pass() {
	p.lan.mu.Lock()
	gate := p.gate
	p.lan.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// gone tells whether the process was killed.
func (p *process) gone() bool {
	p.pass()
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	return p.dead
}

// Open implements AdvertSockets.
func (p *process) Open(name string, ipv6 bool, ready chan struct{}) (AdvertSocket, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	switch {
	case p.nics[name] == nil:
		return nil, fmt.Errorf("open on %s: no such device", name)
	case p.deaf != nil:
		return nil, p.deaf
	}
	wake := func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	s := &socket{host: p.host, process: p, nic: p.nics[name], ipv6: ipv6, wake: wake, refused: map[string]uint64{}}
	p.sockets = append(p.sockets, s)
	return s, nil
}

// Hold implements Addresses.
func (p *process) Hold(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (bool, error) {
	if p.gone() {
		return false, errKilled
	}
	return p.host.Hold(ctx, name, addrs, lifetime, deadline)
}

// Reseat implements Addresses.
func (p *process) Reseat(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (bool, error) {
	if p.gone() {
		return false, errKilled
	}
	return p.host.Reseat(ctx, name, addrs, lifetime, deadline)
}

// Release implements Addresses.
func (p *process) Release(ctx context.Context, name string, addrs []netip.Addr) error {
	if p.gone() {
		return errKilled
	}
	return p.host.Release(ctx, name, addrs)
}

// Announce implements Announcer.
func (p *process) Announce(name string, addrs []netip.Addr) error {
	if p.gone() {
		return errKilled
	}
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	switch n := p.nics[name]; {
	case n == nil:
		return fmt.Errorf("announce on %s: no such device", name)
	case p.unheard != nil:
		return p.unheard
	case n.up:
		for _, addr := range addrs {
			p.lan.announce(p.host, addr)
		}
	}
	return nil
}

// Probe implements Prober: three questions in 60 ms.
func (p *process) Probe(ctx context.Context, _ string, addr netip.Addr) (string, error) {
	for range 3 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if mac := p.lan.answerer(p.host, addr); mac != "" {
			return mac, nil
		}
	}
	return "", nil
}

// Knock implements Prober.
func (p *process) Knock(_ context.Context, _ string, _ netip.Addr, vip netip.AddrPort) (string, bool, error) {
	mac := p.lan.answerer(p.host, vip.Addr())
	if mac == "" {
		return "", false, fmt.Errorf("nobody answers for %v", vip.Addr())
	}
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	for _, h := range p.lan.hosts {
		if h.station() == mac {
			return mac, !h.closed, nil
		}
	}
	return mac, true, nil
}

// Reach implements Prober: 60 ms.
func (p *process) Reach(ctx context.Context, _ string, of netip.Addr, _ [6]byte, third []netip.Addr) (vrrp.Reached, error) {
	select {
	case <-time.After(60 * time.Millisecond):
	case <-ctx.Done():
		return vrrp.Reached{}, ctx.Err()
	}
	found := vrrp.Reached{Other: vrrp.Silent, Asked: len(third)}
	if p.lan.answerer(p.host, of) != "" {
		found.Other = vrrp.Hears
	}
	for _, addr := range third {
		if p.lan.answerer(p.host, addr) != "" {
			found.Third++
		}
	}
	return found, nil
}

// WatchClaims implements Claims.
func (p *process) WatchClaims(ctx context.Context, _ string, watched func(netip.Addr) bool, fn func(netip.Addr, string)) error {
	p.lan.mu.Lock()
	blind := p.blind
	p.lan.mu.Unlock()
	if blind != nil {
		return blind
	}
	p.claims.follow(ctx.Done(), func() {}, func(c claimed) {
		if watched(c.addr) {
			fn(c.addr, c.mac)
		}
	})
	return nil
}

// WatchHealth implements HealthProber: it probes at first and whenever a test
// changes what there is to find.
func (p *process) WatchHealth(ctx context.Context, v config.VIP, fn func(ProbeResult)) error {
	probe := func() {
		for _, c := range v.Health {
			fn(p.find(c.Name))
		}
	}
	p.probe.follow(ctx.Done(), probe, func(struct{}) { probe() })
	return nil
}

func (n *node) find(check string) ProbeResult {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	r, ok := n.probes[check]
	if !ok {
		r.Result = counter.Result{Ready: counter.OK, Live: counter.OK}
	}
	r.Check = check
	return r
}

// ail makes probes of a check find something from now on.
func (n *node) ail(check string, r counter.Result) {
	n.lan.mu.Lock()
	n.probes[check] = ProbeResult{Result: r}
	n.lan.mu.Unlock()
	n.probe.tell(struct{}{})
}

// die kills the API server.
func (n *node) die() {
	n.ail("apiserver", counter.Result{Ready: counter.Refused, Live: counter.Refused, Reason: "connection refused"})
}

// recover starts it again.
func (n *node) recover() { n.ail("apiserver", counter.Result{Ready: counter.OK, Live: counter.OK}) }

// Follow implements FileFollower.
func (p *process) Follow(ctx context.Context, path string, fn func([]byte, error)) error {
	read := func() {
		p.lan.mu.Lock()
		content, ok := p.files[path]
		p.lan.mu.Unlock()
		if !ok {
			fn(nil, fs.ErrNotExist)
			return
		}
		fn([]byte(content), nil)
	}
	p.changed.follow(ctx.Done(), read, func(changed string) {
		if changed == path {
			read()
		}
	})
	return nil
}

// write changes a file.
func (n *node) write(path, content string) {
	n.lan.mu.Lock()
	n.files[path] = content
	n.lan.mu.Unlock()
	n.changed.tell(path)
}

// Load implements DrainMark.
func (n *node) Load() (Drained, error) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return maps.Clone(n.mark), n.unreadable
}

// Store implements DrainMark.
func (n *node) Store(d Drained) error {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	if n.unwritable == nil {
		n.mark = maps.Clone(d)
	}
	return n.unwritable
}

// set changes the host under the segment's lock.
func (n *node) set(change func(*host)) {
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	change(n.host)
}

// reload replaces the configuration file and has the daemon read it.
func (n *node) reload(file string) error {
	n.lan.mu.Lock()
	n.file = file
	n.lan.mu.Unlock()
	return n.process.agent.Reload(n.t.Context())
}

func (n *node) mustReload(file string) {
	n.t.Helper()
	if err := n.reload(file); err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

// status is the status of one group.
func (n *node) status(name string) VIPStatus {
	n.t.Helper()
	s := n.process.agent.Status()
	at := slices.IndexFunc(s.VIPs, func(v VIPStatus) bool { return v.Name == name })
	if at < 0 {
		n.t.Fatalf("%s has no VIP %s", n.name, name)
	}
	return s.VIPs[at]
}

// is tells whether the group apiserver is in a state on the node.
func (n *node) is(s State) bool { return n.status("apiserver").State == s }

// seated: the node owns the group apiserver and holds its address.
func (n *node) seated() bool {
	return n.is(StateOwner) && slices.Contains(n.lan.holders(theVIP), n.name)
}

// story is a group's history on the node.
func (n *node) story(name string) []string {
	var lines []string
	for _, e := range n.process.agent.History() {
		if e.VIP == name {
			lines = append(lines, tale(e.From, e.To, e.Reason))
		}
	}
	return lines
}

func tale(from, to State, r election.Reason) string { return fmt.Sprintf("%s -> %s: %s", from, to, r) }

// tells compares the story of apiserver with what it should be.
func (n *node) tells(want ...string) {
	n.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, n.story("apiserver")); diff != "" {
		n.t.Errorf("story of %s (-want +got):\n%s", n.name, diff)
	}
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// awaitSeated waits until the node owns and holds.
func (n *node) awaitSeated() {
	n.t.Helper()
	await(n.t, n.name+" owns the VIP", n.seated)
}

// awaitAt waits until a group is in a state on the node.
func (n *node) awaitAt(s State) {
	n.t.Helper()
	await(n.t, n.name+" is at "+string(s), func() bool { return n.is(s) })
}

// awaitReady waits until the node is a healthy backup that hears an owner.
func (n *node) awaitReady() {
	n.t.Helper()
	await(n.t, n.name+" is ready", func() bool {
		s := n.status("apiserver")
		return s.State == StateBackup && s.Healthy && s.Owner != ""
	})
}

// pair starts two healthy nodes, of which the first owns and is not lonely any
// more.
func (l *lan) pair(file string) (owner, backup *node) {
	l.t.Helper()
	owner = l.node(11, file)
	owner.awaitSeated()
	backup = l.node(12, file)
	backup.awaitReady()
	time.Sleep(time.Minute)
	return owner, backup
}

// unbroken fails the test if the client could not reach the VIP for a moment.
func (l *lan) unbroken() {
	l.t.Helper()
	synctest.Wait()
	if got := l.outages(theVIP); len(got) > 0 {
		l.t.Errorf("the VIP could not be reached for %v", got)
	}
}
