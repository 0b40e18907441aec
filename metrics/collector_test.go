package metrics

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/election"
)

var update = flag.Bool("update", false, "write golden files and the table in docs/metrics.md")

// node is a daemon that does nothing.
type node struct {
	status agent.Status
	loop   agent.LoopCounters
}

func (n *node) Status() agent.Status      { return n.status }
func (n *node) Loop() *agent.LoopCounters { return &n.loop }

// busyNode has a value for every family.
func busyNode() *node {
	since := time.Date(2026, 1, 2, 15, 4, 5, 250_000_000, time.UTC)
	var counters agent.Counters
	counters.AdvertsSent.Store(1000)
	counters.AdvertsReceived.Store(20)
	counters.DuplicateOwners.Store(1)
	counters.Restored.Store(2)
	counters.Transitions.Store(&map[agent.TransitionKey]uint64{
		{To: agent.StateBackup, Reason: election.Startup}:    1,
		{To: agent.StateOwner, Reason: election.OwnerSilent}: 2,
	})
	counters.Forwarded.Store(1234)
	counters.ConnectionsReset.Store(&map[agent.EndCause]uint64{agent.EndGrace: 5})
	counters.Handovers.Store(&map[agent.HandoverResult]uint64{agent.HandoverReset: 1})
	counters.HandoverDuration.Observe(3 * time.Minute)
	var check agent.CheckCounters
	check.Succeeded.Store(50)
	check.Failed.Store(3)
	check.Duration.Observe(3 * time.Millisecond)
	n := &node{status: agent.Status{
		Version: "v0.1.0", Drained: true, Time: since,
		Peers: []agent.PeerStatus{
			{
				Node: "cp2", Version: "v0.1.0", Condition: "alive", Authenticated: true, Hears: true, LastHelloAgeSeconds: 0.25,
				VIPs: []agent.PeerVIPStatus{{Name: "apiserver", Differs: []string{"fence", "port"}}},
			},
			{Node: "cp3", Version: "v0.0.9", Condition: "silent", LastHelloAgeSeconds: 60.25, Differs: []string{"cluster"}},
		},
		VIPs: []agent.VIPStatus{{
			Name:      "apiserver",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
			Interface: "eth0", Announce: "l2", State: agent.StateOwner, Since: since,
			Health: []agent.CheckStatus{
				{Name: "apiserver", Healthy: true, Counters: &check},
				{Name: "new", Healthy: false},
			},
			Certificate: &agent.CertificateStatus{NotAfter: since.AddDate(1, 0, 0), CoversVIP: true},
			Election:    agent.ElectionStatus{Type: "etcd", Priority: 255, Lease: &agent.LeaseStatus{Held: true, RemainingSeconds: 4.5, TTLSeconds: 5}},
			Handover:    agent.HandoverStatus{Supported: true, Connections: 12},
			Counters:    &counters,
		}},
		BGP: agent.BGPStatus{
			Speaker: "running", Restarts: 2, BFDLatenessSeconds: 0.0125, BFDRefused: 4,
			Neighbors: []agent.NeighborStatus{
				{
					Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: bgp.Established, BFD: bgp.BFDUp, Flaps: 3,
					Announced: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")},
				},
				{Address: netip.MustParseAddr("192.0.2.2"), ASN: 64500, State: bgp.Active},
			},
		},
	}}
	n.loop.Late.Store(4)
	n.loop.Lag.Observe(200 * time.Microsecond)
	n.loop.Discarded.Store(&map[string]uint64{"checksum": 5, "ttl": 6})
	n.loop.HellosSent.Store(7)
	n.loop.HellosReceived.Store(8)
	n.loop.HellosDiscarded.Store(&map[string]uint64{"bad-tag": 9})
	n.loop.ReloadOK.Store(true)
	n.loop.ReloadTime.Store(since.Unix())
	return n
}

func TestEveryFamilyOfABusyNode(t *testing.T) {
	c := NewCollector(busyNode())
	c.goVersion = "go"
	const golden = "testdata/busy.prom"
	if *update {
		registry := prometheus.NewRegistry()
		registry.MustRegister(c)
		if err := prometheus.WriteToTextfile(golden, registry); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if err := testutil.CollectAndCompare(c, want); err != nil {
		t.Error(err)
	}
}

func TestBusyNodeHasEveryDeclaredFamily(t *testing.T) {
	c := NewCollector(busyNode())
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range gathered {
		got[f.GetName()] = true
	}
	want := map[string]bool{}
	for _, f := range c.families {
		want[f.name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("families (-declared +collected):\n%s", diff)
	}
}

func TestAnEmptyNodeHasNoInventedSeries(t *testing.T) {
	c := NewCollector(&node{status: agent.Status{VIPs: []agent.VIPStatus{{
		Name: "apiserver", State: agent.StateInit, Health: []agent.CheckStatus{{Name: "apiserver"}},
	}}}})
	for _, name := range []string{
		"vipd_vip_last_transition_timestamp_seconds",
		"vipd_config_last_reload_success_timestamp_seconds",
		"vipd_apiserver_certificate_expiry_timestamp_seconds",
		"vipd_apiserver_certificate_covers_vip",
		"vipd_vrrp_packets_discarded_total",
		"vipd_hellos_discarded_total",
		"vipd_peer_up",
	} {
		if n := testutil.CollectAndCount(c, name); n != 0 {
			t.Errorf("%s has %d series although nothing is known", name, n)
		}
	}
	if n := testutil.CollectAndCount(c, "vipd_vip_state"); n != len(agent.States()) {
		t.Errorf("vipd_vip_state has %d series, want one for each of %d states", n, len(agent.States()))
	}
}

// Behind routers there is nobody to pass packets on to: that is no fault of the node.
func TestHandoverIsSupportedByWhatCouldBeCarried(t *testing.T) {
	carried := agent.VIPStatus{Name: "carried", Announce: "l2", Handover: agent.HandoverStatus{Supported: true}}
	ended := agent.VIPStatus{Name: "ended", Announce: "l2"}
	routed, local := agent.VIPStatus{Name: "routed", Announce: "bgp"}, agent.VIPStatus{Name: "local", Announce: "local"}
	rows := []struct {
		name string
		vips []agent.VIPStatus
		want int
	}{
		{"a VIP on its segment whose connections are carried: 1", []agent.VIPStatus{carried}, 1},
		{"a VIP on its segment whose connections end: 0", []agent.VIPStatus{carried, ended}, 0},
		{"VIPs behind routers do not count", []agent.VIPStatus{routed, local, carried}, 1},
		{"only VIPs behind routers: 1", []agent.VIPStatus{routed, local}, 1},
		{"behind routers, and one on its segment whose connections end: 0", []agent.VIPStatus{routed, ended}, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := NewCollector(&node{status: agent.Status{VIPs: row.vips}})
			shows(t, c, c.handoverSupported, fmt.Sprintf("vipd_handover_supported %d", row.want))
		})
	}
}

// shows looks whether a gauge has these series, and no others.
func shows(t *testing.T, c *Collector, f *family, series ...string) {
	t.Helper()
	want := fmt.Sprintf("# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n%[3]s\n", f.name, f.help, strings.Join(series, "\n"))
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), f.name); err != nil {
		t.Error(err)
	}
}

func TestLeasesAreShownWhereEtcdElects(t *testing.T) {
	lease := func(name string, l *agent.LeaseStatus) agent.VIPStatus {
		return agent.VIPStatus{Name: name, Election: agent.ElectionStatus{Lease: l}}
	}
	c := NewCollector(&node{status: agent.Status{Time: time.Unix(1000, 0), VIPs: []agent.VIPStatus{
		lease("by-vrrp", nil),
		lease("here", &agent.LeaseStatus{Held: true, RemainingSeconds: 4.5}),
		lease("elsewhere", &agent.LeaseStatus{Holder: "cp2"}),
		lease("unanswered", &agent.LeaseStatus{Holder: "cp2", Error: "no answer"}),
	}}})
	shows(t, c, c.leaseHeld, `vipd_lease_held{vip="here"} 1`, `vipd_lease_held{vip="elsewhere"} 0`, `vipd_lease_held{vip="unanswered"} 0`)
	shows(t, c, c.leaseExpiry, `vipd_lease_expiry_timestamp_seconds{vip="here"} 1004.5`)
	shows(t, c, c.leaseEtcdUp, `vipd_lease_etcd_up{vip="here"} 1`, `vipd_lease_etcd_up{vip="elsewhere"} 1`, `vipd_lease_etcd_up{vip="unanswered"} 0`)
}

func TestRegistryIsLintedAndHasRuntimeMetrics(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewCollector(busyNode()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "vipd_build_info"} {
		n, err := testutil.GatherAndCount(NewRegistry(busyNode()), name)
		if err != nil || n == 0 {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
}

func TestDocumentAndCodeAgree(t *testing.T) {
	const path, begin, end = "../docs/metrics.md", "<!-- families: begin -->\n", "<!-- families: end -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	if !ok {
		t.Fatalf("%s has no line %q", path, begin)
	}
	got, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s has no line %q", path, end)
	}
	want := table(NewCollector(busyNode()).families)
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-code +document; go test ./metrics -update writes it):\n%s", path, diff)
	}
}

func table(fs families) string {
	var b strings.Builder
	b.WriteString("| name | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range fs {
		labels := make([]string, len(f.labels))
		for i, l := range f.labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(labels, ", "), f.help)
	}
	return b.String()
}
