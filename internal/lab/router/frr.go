package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// frrDaemons is where Debian puts them.
const frrDaemons = "/usr/lib/frr"

// FRR is FRR with zebra, bgpd and bfdd.
type FRR struct {
	host *lab.Host
	dir  string
	// before is what stands before each command line.
	before []string
	procs  []*lab.Proc
}

// StartFRR starts FRR on a host. It returns when bgpd answers.
func StartFRR(ctx context.Context, h *lab.Host, p Peering) (*FRR, error) {
	var before []string
	if p.RealTime {
		before = []string{"chrt", "--rr", "2"}
	}
	return startFRR(ctx, h, before, frrBFD(p), frrBGP(p))
}

// StartFRRAs starts FRR with a configuration of bgpd as an operator writes it. It
// returns when bgpd answers; what bgpd does not understand is an error.
func StartFRRAs(ctx context.Context, h *lab.Host, config string) (*FRR, error) {
	f, err := startFRR(ctx, h, nil, "", config)
	if err != nil {
		return nil, err
	}
	for _, p := range f.procs {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, "on config line") {
				err = errors.Join(err, fmt.Errorf("%s on %s: %s", p.Name, h, strings.TrimSpace(line)))
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Kill())
	}
	return f, nil
}

func startFRR(ctx context.Context, h *lab.Host, before []string, bfd, bgp string) (*FRR, error) {
	f := &FRR{host: h, dir: filepath.Join(h.Dir(), "frr"), before: before}
	if err := os.RemoveAll(f.dir); err != nil {
		return nil, fmt.Errorf("start FRR on %s: %w", h, err)
	}
	if err := f.makeDir(); err != nil {
		return nil, fmt.Errorf("start FRR on %s: %w", h, err)
	}
	daemons := []struct{ name, config string }{{"zebra", ""}, {"bfdd", bfd}, {"bgpd", bgp}}
	for _, d := range daemons {
		if err := f.start(ctx, d.name, d.config); err != nil {
			return nil, errors.Join(err, f.Kill())
		}
	}
	return f, nil
}

// makeDir makes a directory in which FRR's own user may work: the daemons insist
// on it.
func (f *FRR) makeDir() error {
	account, err := user.Lookup("frr")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	if err := os.Mkdir(f.dir, 0o750); err != nil {
		return err
	}
	for dir := filepath.Dir(f.dir); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // a way through, to files that are closed
			return err
		}
	}
	return os.Chown(f.dir, uid, -1)
}

func (f *FRR) start(ctx context.Context, name, config string) error {
	file := filepath.Join(f.dir, name+".conf")
	if err := os.WriteFile(file, []byte("hostname router\n"+config), 0o644); err != nil { //nolint:gosec // read by FRR's user
		return fmt.Errorf("configure %s on %s: %w", name, f.host, err)
	}
	argv := []string{
		filepath.Join(frrDaemons, name), "-f", file, "-i", filepath.Join(f.dir, name+".pid"),
		"-z", filepath.Join(f.dir, "zserv.api"), "--vty_socket", f.dir, "-A", "127.0.0.1", "-P", "0",
		"--log", "stdout",
	}
	if name == "bfdd" {
		argv = append(argv, "--bfdctl", filepath.Join(f.dir, "bfdd.sock"))
	}
	p, err := f.host.Start(name, append(slices.Clone(f.before), argv...)...)
	if err != nil {
		return err
	}
	f.procs = append(f.procs, p)
	return lab.AwaitEvery(ctx, 20*time.Millisecond, name+" to answer", func() error {
		_, err := f.vty(ctx, name, "show version")
		return err
	})
}

func frrBFD(p Peering) string {
	if p.BFD == nil {
		return ""
	}
	var l lines
	l.add("bfd\n profile nodes")
	l.add("  transmit-interval %d\n  receive-interval %d", p.BFD.Interval.Milliseconds(), p.BFD.Interval.Milliseconds())
	l.add("  detect-multiplier %d\n exit\nexit", p.BFD.Multiplier)
	return l.String()
}

// frrBGP is for nodes that come and go, with each node by itself, where the guide in
// docs/bgp.md has a range of addresses.
func frrBGP(p Peering) string {
	var l lines
	l.add("router bgp %d", p.ASN)
	l.add(" bgp router-id 10.255.0.%d", p.ASN%250+1)
	l.add(" no bgp default ipv4-unicast\n no bgp ebgp-requires-policy")
	l.add(" bgp bestpath as-path multipath-relax")
	if p.GracefulRestart {
		l.add(" bgp graceful-restart")
	}
	for _, n := range p.Nodes {
		l.add(" neighbor %s remote-as %d", n.Address, n.ASN)
		l.add(" neighbor %s timers connect 1", n.Address)
		if !p.Connects {
			l.add(" neighbor %s passive", n.Address)
		}
		if p.Hold != 0 {
			l.add(" neighbor %s timers %d %d", n.Address, int(p.Hold.Seconds())/3, int(p.Hold.Seconds()))
		}
		if p.Password != "" {
			l.add(" neighbor %s password %s", n.Address, p.Password)
		}
		if p.TTLSecurity {
			l.add(" neighbor %s ttl-security hops 1", n.Address)
		}
		if p.Multihop > 0 && n.ASN != p.ASN {
			l.add(" neighbor %s ebgp-multihop %d", n.Address, p.Multihop)
		}
		if p.Source.IsValid() {
			l.add(" neighbor %s update-source %s", n.Address, p.Source)
		}
		if p.BFD != nil {
			l.add(" neighbor %s bfd\n neighbor %s bfd profile nodes", n.Address, n.Address)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		l.add(" address-family %s unicast", family)
		for _, n := range p.Nodes {
			l.add("  neighbor %s activate", n.Address)
		}
		for _, network := range p.Networks {
			if network.Addr().Is4() == (family == "ipv4") {
				l.add("  network %s", network)
			}
		}
		l.add("  maximum-paths 8\n  maximum-paths ibgp 8\n exit-address-family")
	}
	l.add("exit")
	if len(p.Networks) > 0 {
		l.add("no bgp network import-check")
	}
	return l.String()
}

// Configure runs commands of bgpd's configuration mode.
func (f *FRR) Configure(ctx context.Context, commands ...string) error {
	return f.configure(ctx, "bgpd", commands)
}

// ConfigureBFD runs commands about all nodes' BFD sessions, such as
// "transmit-interval 200".
func (f *FRR) ConfigureBFD(ctx context.Context, commands ...string) error {
	return f.configure(ctx, "bfdd", append([]string{"bfd", "profile nodes"}, commands...))
}

func (f *FRR) configure(ctx context.Context, daemon string, commands []string) error {
	argv := []string{"vtysh", "--vty_socket", f.dir, "-d", daemon, "-c", "configure terminal"}
	for _, c := range commands {
		argv = append(argv, "-c", c)
	}
	_, err := f.host.Run(ctx, argv...)
	return err
}

// Processes are its daemons.
func (f *FRR) Processes() []*lab.Proc { return f.procs }

func (f *FRR) vty(ctx context.Context, daemon, command string) (string, error) {
	return f.host.Run(ctx, "vtysh", "--vty_socket", f.dir, "-d", daemon, "-c", command)
}

// Show implements Router, by bgpd.
func (f *FRR) Show(ctx context.Context, command string) (string, error) {
	return f.vty(ctx, "bgpd", command)
}

// Host implements Router.
func (f *FRR) Host() *lab.Host { return f.host }

// Kill implements Router.
func (f *FRR) Kill() error {
	var errs []error
	for _, p := range f.procs {
		errs = append(errs, p.Kill())
	}
	for _, p := range f.procs {
		<-p.Done()
	}
	return errors.Join(errs...)
}

// Path is a path to a prefix as bgpd has it.
type Path struct {
	Peer        netip.Addr
	NextHop     netip.Addr
	ASPath      string
	MED         int
	LocalPref   int
	Communities []string
	// Used: it is the best one, or as good as that.
	Used bool
}

// Paths are the paths to a prefix.
func (f *FRR) Paths(ctx context.Context, prefix netip.Prefix) ([]Path, error) {
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	text, err := f.Show(ctx, fmt.Sprintf("show bgp %s unicast %s json", family, prefix))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Paths []struct {
			ASPath    struct{ String string }
			Metric    int
			LocPrf    int
			Multipath bool
			Bestpath  struct{ Overall bool }
			Community struct{ List []string }
			Large     struct{ List []string } `json:"largeCommunity"`
			Nexthops  []struct{ IP netip.Addr }
			Peer      struct{ PeerID netip.Addr }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("read paths of %s: %w", f.host, err)
	}
	var all []Path
	for _, p := range answer.Paths {
		path := Path{
			Peer: p.Peer.PeerID, ASPath: p.ASPath.String, MED: p.Metric, LocalPref: p.LocPrf,
			Communities: slices.Concat(p.Community.List, p.Large.List), Used: p.Multipath || p.Bestpath.Overall,
		}
		if len(p.Nexthops) > 0 {
			path.NextHop = p.Nexthops[0].IP
		}
		all = append(all, path)
	}
	return all, nil
}

// Routes implements Router.
func (f *FRR) Routes(ctx context.Context, prefix netip.Prefix) ([]netip.Addr, error) {
	paths, err := f.Paths(ctx, prefix)
	var hops []netip.Addr
	for _, p := range paths {
		if p.Used {
			hops = append(hops, p.NextHop)
		}
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	return hops, err
}

// Established implements Router.
func (f *FRR) Established(ctx context.Context) ([]netip.Addr, error) {
	text, err := f.Show(ctx, "show bgp neighbors json")
	if err != nil {
		return nil, err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("read neighbours of %s: %w", f.host, err)
	}
	var all []netip.Addr
	for name, raw := range answer {
		var n struct{ BgpState string }
		addr, err := netip.ParseAddr(name)
		if err != nil || json.Unmarshal(raw, &n) != nil {
			continue // beside the neighbours there are settings
		}
		if n.BgpState == "Established" {
			all = append(all, addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all, nil
}

// Timers are the hold time and the interval of keepalives that were agreed with a
// neighbour (RFC 4271 4.2, 4.4).
func (f *FRR) Timers(ctx context.Context, neighbor netip.Addr) (hold, keepalive time.Duration, err error) {
	text, err := f.Show(ctx, fmt.Sprintf("show bgp neighbors %s json", neighbor))
	if err != nil {
		return 0, 0, err
	}
	var answer map[netip.Addr]struct {
		Hold      int64 `json:"bgpTimerHoldTimeMsecs"`
		Keepalive int64 `json:"bgpTimerKeepAliveIntervalMsecs"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return 0, 0, fmt.Errorf("read timers of %s at %s: %w\n%s", neighbor, f.host, err, text)
	}
	n := answer[neighbor]
	return time.Duration(n.Hold) * time.Millisecond, time.Duration(n.Keepalive) * time.Millisecond, nil
}

// Restarted is what a node's last OPEN said of graceful restart (RFC 4724 3): R,
// that its speaker was started again, F, that it went on forwarding IPv4.
type Restarted struct{ R, F bool }

// Restarted is that of a neighbour.
func (f *FRR) Restarted(ctx context.Context, neighbor netip.Addr) (Restarted, error) {
	text, err := f.Show(ctx, fmt.Sprintf("show bgp ipv4 neighbors %s graceful-restart json", neighbor))
	if err != nil {
		return Restarted{}, err
	}
	var answer map[netip.Addr]struct {
		R    bool `json:"rBit"`
		IPv4 struct {
			F bool `json:"fBit"`
		} `json:"ipv4Unicast"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return Restarted{}, fmt.Errorf("read graceful restart of %s at %s: %w\n%s", neighbor, f.host, err, text)
	}
	return Restarted{answer[neighbor].R, answer[neighbor].IPv4.F}, nil
}

// BFD implements Router, by bfdd.
func (f *FRR) BFD(ctx context.Context) (map[netip.Addr]string, error) {
	sessions, err := f.BFDSessions(ctx)
	all := map[netip.Addr]string{}
	for peer, s := range sessions {
		all[peer] = s.State
	}
	return all, err
}

// BFDSession is a BFD session as bfdd has it.
type BFDSession struct {
	State string
	// Transmit and Receive are the intervals that the node said last.
	Transmit, Receive time.Duration
	// Packets counts those of the node, Downs how often the session was lost.
	Packets, Downs int
}

// BFDSessions are those with the nodes.
func (f *FRR) BFDSessions(ctx context.Context) (map[netip.Addr]BFDSession, error) {
	var answer, counters []struct {
		Peer     netip.Addr
		Status   string
		Transmit int64 `json:"remote-transmit-interval"`
		Receive  int64 `json:"remote-receive-interval"`
		Packets  int   `json:"control-packet-input"`
		Downs    int   `json:"session-down"`
	}
	for command, into := range map[string]any{"show bfd peers json": &answer, "show bfd peers counters json": &counters} {
		text, err := f.vty(ctx, "bfdd", command)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, fmt.Errorf("read BFD sessions of %s: %w", f.host, err)
		}
	}
	all := map[netip.Addr]BFDSession{}
	for _, s := range answer {
		all[s.Peer] = BFDSession{
			State: s.Status, Transmit: time.Duration(s.Transmit) * time.Millisecond, Receive: time.Duration(s.Receive) * time.Millisecond,
		}
	}
	for _, c := range counters {
		s := all[c.Peer]
		s.Packets, s.Downs = c.Packets, c.Downs
		all[c.Peer] = s
	}
	return all, nil
}
