package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
	"github.com/vipd/vipd/internal/lab/measure"
	"github.com/vipd/vipd/internal/lab/router"
)

const (
	// Port is the API servers'.
	Port = 6443
	// RouterASN is the router's autonomous system.
	RouterASN = 64500
	// settled is how many answers in a row show that a client is served.
	settled = 50
)

// VIP4 and VIP6 are in no subnet of the lab: only a route leads there.
func VIP4() netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, 100}) }

// VIP6 is the IPv6 counterpart of VIP4.
func VIP6() netip.Addr { return netip.MustParseAddr("fd99::100") }

// Options of a fabric.
type Options struct {
	// Vipd and Viplab are paths of binaries.
	Vipd, Viplab string
	// Hosts is their number; zero means 3.
	Hosts int
	// VIPs default to VIP4; the client measures the first.
	VIPs []netip.Addr
	// OneAS gives all hosts the router's AS number (iBGP); otherwise each has one
	// of its own. ASN, if not nil, gives other ones.
	OneAS bool
	ASN   func(i int) uint32
	// Group, BGP and Neighbor are further lines of YAML for the group, for bgp and
	// for its one neighbour, as flow mappings without braces: "hold_time: 3s".
	Group, BGP []string
	Neighbor   []string
	// Groups are further groups, as flow mappings without braces.
	Groups []string
	// Peering is the router's side beyond nodes and AS number.
	Peering router.Peering
	// Start starts the router; nil: FRR.
	Start func(ctx context.Context, h *lab.Host, p router.Peering) (router.Router, error)
	// Etcd runs a member of etcd on each host, which groups may be elected by.
	Etcd bool
	// IPv6Sessions makes the sessions be over IPv6.
	IPv6Sessions bool
	// Streams is how many the client keeps open, Every the time between its
	// requests; zero means 5 ms.
	Streams int
	Every   time.Duration
	// More are further routers.
	More []More
	// Unsettled: Open does not wait for sessions and answers.
	Unsettled bool
	// HostFRR runs FRR on the hosts in place of vipd, for comparison: it
	// announces the VIP whatever becomes of the API server.
	HostFRR bool
	// Dir keeps logs; empty means a temporary directory that Close removes.
	Dir string
}

// More is a router beside the one that the client is behind.
type More struct {
	// Host is where it runs.
	Host func(*lab.Lab) *lab.Host
	// Peering is its side beyond the nodes; Start starts it, nil: FRR.
	Peering router.Peering
	Start   func(ctx context.Context, h *lab.Host, p router.Peering) (router.Router, error)
	// Neighbor are further lines of YAML for the nodes' side.
	Neighbor []string
}

// Fabric is the running whole. It is for one goroutine.
type Fabric struct {
	Lab    *lab.Lab
	Router router.Router
	Client *measure.Client
	Vipd   daemon.Vipd
	// Etcd is that of Options.Etcd; nil: there is none.
	Etcd *etcdcluster.Cluster
	// More are those of Options.More.
	More []router.Router

	opts Options
	// frrs are those of Options.HostFRR.
	frrs    map[*lab.Host]*router.FRR
	servers apiserver.Program
	daemons map[*lab.Host]*lab.Proc
	apis    map[*lab.Host]*apiserver.Process
}

// Open sets everything up and returns when each session is established and the
// client is served. On an error nothing is left behind.
func Open(ctx context.Context, opts Options) (*Fabric, error) {
	if len(opts.VIPs) == 0 {
		opts.VIPs = []netip.Addr{VIP4()}
	}
	if opts.Start == nil {
		opts.Start = FRR
	}
	f := &Fabric{
		opts: opts, Vipd: daemon.Vipd{Binary: opts.Vipd},
		daemons: map[*lab.Host]*lab.Proc{}, apis: map[*lab.Host]*apiserver.Process{},
		frrs: map[*lab.Host]*router.FRR{},
	}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("set up the fabric: %w", err), f.Logs(), f.Close())
	}
	return f, nil
}

// FRR is the default of Options.Start.
func FRR(ctx context.Context, h *lab.Host, p router.Peering) (router.Router, error) {
	return router.StartFRR(ctx, h, p)
}

// BIRD is another choice for Options.Start.
func BIRD(ctx context.Context, h *lab.Host, p router.Peering) (router.Router, error) {
	return router.StartBIRD(ctx, h, p)
}

func (f *Fabric) start(ctx context.Context) error {
	ca, err := apiserver.NewCA()
	if err != nil {
		return err
	}
	if f.Lab, err = lab.New(lab.Options{Hosts: f.opts.Hosts, Router: true, Dir: f.opts.Dir}); err != nil {
		return err
	}
	allowRealTime()
	f.servers = apiserver.Program{Viplab: f.opts.Viplab, CA: ca, Port: Port, VIPs: f.opts.VIPs}
	if err := f.Lab.Router.Do(spreadByConnection); err != nil {
		return err
	}
	if err := f.StartRouter(ctx); err != nil {
		return err
	}
	for _, m := range f.opts.More {
		r, err := f.startMore(ctx, m)
		if err != nil {
			return err
		}
		f.More = append(f.More, r)
	}
	if f.opts.Etcd {
		if f.Etcd, err = etcdcluster.New(f.Lab); err != nil {
			return err
		}
		if err := f.Etcd.Start(ctx, f.Lab.Hosts...); err != nil {
			return err
		}
	}
	for _, h := range f.Lab.Hosts {
		if err := f.StartAPIServer(ctx, h); err != nil {
			return err
		}
		if f.opts.HostFRR {
			if err := f.startHostFRR(ctx, h); err != nil {
				return err
			}
			continue
		}
		if err := f.StartDaemon(h); err != nil {
			return err
		}
	}
	if f.Client, err = f.measure(ctx); err != nil {
		return err
	}
	if f.opts.Unsettled {
		return nil
	}
	return f.Settle(ctx)
}

// spreadByConnection makes the kernel choose among equal routes by addresses and
// ports, as switches do.
func spreadByConnection() error {
	for _, path := range []string{"net/ipv4/fib_multipath_hash_policy", "net/ipv6/fib_multipath_hash_policy"} {
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte("1"), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
	}
	return nil
}

func (f *Fabric) measure(ctx context.Context) (*measure.Client, error) {
	m := measure.Defaults(netip.AddrPortFrom(f.opts.VIPs[0], Port))
	m.Streams, m.CAFile, m.Every = f.opts.Streams, f.servers.CAFile(f.Lab.Hosts[0]), 5*time.Millisecond
	if f.opts.Every != 0 {
		m.Every = f.opts.Every
	}
	for _, h := range f.Lab.Hosts {
		m.Controls = append(m.Controls, netip.AddrPortFrom(f.own(h, f.opts.VIPs[0].Is6()), Port))
	}
	return measure.Start(ctx, f.Lab.Remote, f.opts.Viplab, m)
}

// own is the host's own address of a family.
func (f *Fabric) own(h *lab.Host, ipv6 bool) netip.Addr {
	if ipv6 {
		return h.Addr6
	}
	return h.Addr4
}

// StartRouter starts the router, where none runs.
func (f *Fabric) StartRouter(ctx context.Context) error {
	p := f.opts.Peering
	p.ASN, p.Nodes = RouterASN, append(f.nodes(), p.Guests...)
	var err error
	f.Router, err = f.opts.Start(ctx, f.Lab.Router, p)
	return err
}

func (f *Fabric) startMore(ctx context.Context, m More) (router.Router, error) {
	p := m.Peering
	p.Nodes = f.nodes()
	p.Source = f.own(m.Host(f.Lab), f.opts.IPv6Sessions)
	if m.Start == nil {
		m.Start = FRR
	}
	return m.Start(ctx, m.Host(f.Lab), p)
}

// nodes are the hosts as routers see them.
func (f *Fabric) nodes() []router.Node {
	nodes := make([]router.Node, len(f.Lab.Hosts))
	for i, h := range f.Lab.Hosts {
		nodes[i] = router.Node{Address: f.own(h, f.opts.IPv6Sessions), ASN: f.asn(i)}
	}
	return nodes
}

func (f *Fabric) asn(i int) uint32 {
	switch {
	case f.opts.OneAS:
		return RouterASN
	case f.opts.ASN != nil:
		return f.opts.ASN(i)
	}
	return uint32(64512 + i) //nolint:gosec // a host's number
}

// StartAPIServer starts the API server on a host where none runs.
func (f *Fabric) StartAPIServer(ctx context.Context, h *lab.Host) error {
	p, err := f.servers.Start(ctx, h)
	f.apis[h] = p
	return err
}

// APIServer is the API server on a host, or the last one that ran there.
func (f *Fabric) APIServer(h *lab.Host) *apiserver.Process { return f.apis[h] }

// Daemon is the vipd on a host, or the last one that ran there.
func (f *Fabric) Daemon(h *lab.Host) *lab.Proc { return f.daemons[h] }

// StartDaemon starts vipd on a host where none runs.
func (f *Fabric) StartDaemon(h *lab.Host) error {
	if err := f.Configure(h); err != nil {
		return err
	}
	p, err := h.Start("vipd", "nice", "-n", "-15", f.Vipd.Binary, "run", "--config", f.Vipd.ConfigFile(h))
	f.daemons[h] = p
	return err
}

// Change changes the options that later configurations are made of.
func (f *Fabric) Change(change func(*Options)) { change(&f.opts) }

// Configure writes the host's configuration.
func (f *Fabric) Configure(h *lab.Host) error {
	file := f.Vipd.ConfigFile(h)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	if err := os.WriteFile(file, []byte(f.config(h)), 0o600); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	return nil
}

func (f *Fabric) config(h *lab.Host) string {
	var b strings.Builder
	quoted := make([]string, len(f.opts.VIPs))
	for i, a := range f.opts.VIPs {
		quoted[i] = fmt.Sprintf("%q", a)
	}
	group := append([]string{
		"name: apiserver", "addresses: [" + strings.Join(quoted, ", ") + "]", fmt.Sprintf("port: %d", Port),
		fmt.Sprintf("health: [{type: https, name: apiserver, url: \"https://127.0.0.1:%[1]d/readyz\", liveness_url: \"https://127.0.0.1:%[1]d/livez\", ca_file: %[2]s, interval: 200ms}]", Port, f.servers.CAFile(h)),
	}, f.opts.Group...)
	for _, usual := range []string{"announce: bgp", "election: none"} {
		key, _, _ := strings.Cut(usual, " ")
		if !slices.ContainsFunc(f.opts.Group, func(line string) bool { return strings.HasPrefix(line, key) }) {
			group = append(group, usual)
		}
	}
	neighbor := append([]string{fmt.Sprintf("address: %q", f.own(f.Lab.Router, f.opts.IPv6Sessions)), fmt.Sprintf("asn: %d", RouterASN)}, f.opts.Neighbor...)
	if !f.opts.Peering.TTLSecurity {
		neighbor = append(neighbor, "ttl_security: false")
	}
	neighbors := []string{"{" + strings.Join(neighbor, ", ") + "}"}
	for _, m := range f.opts.More {
		more := append([]string{fmt.Sprintf("address: %q", f.own(m.Host(f.Lab), f.opts.IPv6Sessions)), fmt.Sprintf("asn: %d", m.Peering.ASN)}, m.Neighbor...)
		neighbors = append(neighbors, "{"+strings.Join(more, ", ")+"}")
	}
	bgp := append([]string{
		fmt.Sprintf("asn: %d", f.asn(slices.Index(f.Lab.Hosts, h))), "neighbors: [" + strings.Join(neighbors, ", ") + "]",
	}, f.opts.BGP...)
	fmt.Fprintf(&b, "node: %s\nvips:\n  - {%s}\n", h, strings.Join(group, ",\n     "))
	for _, more := range f.opts.Groups {
		fmt.Fprintf(&b, "  - {%s}\n", more)
	}
	fmt.Fprintf(&b, "bgp: {%s}\n", strings.Join(bgp, ",\n     "))
	if f.Etcd != nil {
		pki := func(name string) string { return filepath.Join(f.Etcd.PKI(h), name) }
		fmt.Fprintf(&b, "etcd: {endpoints: [%q], ca_file: %s, cert_file: %s, key_file: %s}\n", f.Etcd.Endpoint(),
			pki(etcdcluster.CAFile), pki(etcdcluster.ClientCertFile), pki(etcdcluster.ClientKeyFile))
		fmt.Fprintf(&b, "data_dir: %s\n", filepath.Join(filepath.Dir(f.Vipd.ConfigFile(h)), "data"))
	}
	fmt.Fprintf(&b, "metrics: {listen: \"127.0.0.1:9650\"}\ncontrol: {socket: %s}\nstate_dir: %s\n", f.Vipd.Socket(h), filepath.Join(filepath.Dir(f.Vipd.ConfigFile(h)), "state"))
	return b.String()
}

// without are the other hosts.
func (f *Fabric) without(h *lab.Host) []*lab.Host {
	return slices.DeleteFunc(slices.Clone(f.Lab.Hosts), func(o *lab.Host) bool { return o == h })
}

// speaker is the process of a host's speaker, once there is one.
func (f *Fabric) speaker(ctx context.Context, h *lab.Host) (pid int, err error) {
	err = lab.AwaitEvery(ctx, 20*time.Millisecond, "a speaker on "+h.Name, func() error {
		out, err := h.Run(ctx, "pgrep", "-P", strconv.Itoa(f.Daemon(h).Pid()), "-f", "speaker")
		if err != nil {
			return err
		}
		_, err = fmt.Sscan(out, &pid)
		return err
	})
	return pid, err
}

// Settle waits until the router has a session with each host, and the client is
// served.
func (f *Fabric) Settle(ctx context.Context) error {
	since := time.Now()
	if err := f.AwaitSessions(ctx, f.Lab.Hosts...); err != nil {
		return err
	}
	if _, err := f.Client.AwaitServed(ctx, since, settled, func(string) bool { return true }); err != nil {
		return err
	}
	return f.Client.AwaitStreams(ctx, since)
}

// AwaitSessions waits until the router has sessions with exactly these hosts.
func (f *Fabric) AwaitSessions(ctx context.Context, hosts ...*lab.Host) error {
	var want []netip.Addr
	for _, h := range hosts {
		want = append(want, f.own(h, f.opts.IPv6Sessions))
	}
	slices.SortFunc(want, netip.Addr.Compare)
	return lab.AwaitEvery(ctx, 50*time.Millisecond, "the router's sessions", func() error {
		got, err := f.Router.Established(ctx)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("established: %v, not %v", got, want)
		}
		return err
	})
}

// AwaitPaths waits until the router sends packets for a VIP to exactly these
// hosts.
func (f *Fabric) AwaitPaths(ctx context.Context, vip netip.Addr, hosts ...*lab.Host) error {
	var want []netip.Addr
	for _, h := range hosts {
		want = append(want, f.own(h, vip.Is6()))
	}
	slices.SortFunc(want, netip.Addr.Compare)
	prefix := netip.PrefixFrom(vip, vip.BitLen())
	return lab.AwaitEvery(ctx, 20*time.Millisecond, fmt.Sprintf("the router's paths to %v", vip), func() error {
		got, err := f.Router.Routes(ctx, prefix)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("in use: %v, not %v", got, want)
		}
		return err
	})
}

// Close ends everything.
func (f *Fabric) Close() error {
	if f.Etcd != nil {
		f.Etcd.Close()
	}
	if f.Lab == nil {
		return nil
	}
	return f.Lab.Close()
}

// Logs returns the end of each process's log, to be joined to the error that it
// explains.
func (f *Fabric) Logs() error {
	const shown = 3000
	if f.Lab == nil {
		return nil
	}
	var errs []error
	for _, p := range f.Lab.Processes() {
		if log := p.Log(); log != "" {
			errs = append(errs, fmt.Errorf("%s on %s:\n%s", p.Name, p.Host, log[max(0, len(log)-shown):]))
		}
	}
	return errors.Join(errs...)
}
