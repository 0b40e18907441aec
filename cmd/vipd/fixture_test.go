package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control/controltest"
	"github.com/vipd/vipd/election"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// routed are VIPs that routers are told of: as well as can be, not yet so, not for
// long, and by an elected owner.
func routed() agent.Status {
	s := owner()
	good := s.VIPs[0]
	good.Name, good.Interface, good.Announce, good.Reason, good.Detail = "good", "lo", "bgp", election.EveryNode, ""
	good.Election = agent.ElectionStatus{Type: "none", Band: "healthy"}
	good.AnnouncedAs = "healthy"
	early, leaving := good, good
	early.Name, early.AnnouncedAs, early.HealthyAt = "early", "unhealthy", noon().Add(12*time.Second)
	leaving.Name, leaving.AnnouncedAs = "leaving", "leaving"
	elected := good
	elected.Name, elected.Reason, elected.DuplicateOwner = "elected", election.OwnerSilent, true
	elected.Election = agent.ElectionStatus{Type: "vrrp", Interface: "eth0", VRID: 10, Priority: 200, OwnerPriority: 200, Band: "healthy", LastAdvertAgeSeconds: 0.05}
	s.VIPs = []agent.VIPStatus{good, early, leaving, elected}
	return s
}

// leased are VIPs that are elected by etcd: here, elsewhere, not yet, not now.
func leased() agent.Status {
	s := owner()
	mine := s.VIPs[0]
	mine.Name, mine.Reason, mine.Detail = "here", election.LeaseFree, "nobody held the lease"
	mine.Election.Type, mine.Election.Priority, mine.Election.OwnerPriority = "etcd", 255, 255
	other, early, lost := mine, mine, mine
	mine.Election.Lease = &agent.LeaseStatus{Held: true, RemainingSeconds: 4.2, TTLSeconds: 5, Holder: "cp1", Term: 7, Candidates: []agent.LeaseCandidate{{Node: "cp1", Band: "healthy"}, {Node: "cp2", Band: "unhealthy"}}}
	other.Name, other.State, other.Owner = "elsewhere", agent.StateBackup, "192.0.2.12"
	other.Election.Lease = &agent.LeaseStatus{TTLSeconds: 5, Holder: "cp2", Term: 3}
	early.Name, early.Reason, early.Detail = "not-yet", election.NobodyHeard, ""
	early.Election.Lease = &agent.LeaseStatus{Bootstrapping: true, Error: "open ca.crt: no such file or directory"}
	lost.Name, lost.State, lost.Owner, lost.Reason, lost.Detail = "not-now", agent.StateBackup, "", election.LeaseLost, "the lease was not confirmed for 4.75s: no answer"
	lost.Election.Lease = &agent.LeaseStatus{TTLSeconds: 5, Term: 3, Error: "no answer"}
	s.VIPs = []agent.VIPStatus{mine, other, early, lost}
	return s
}

// sample is the cluster that docs/commands.md shows: one of its API servers is dead.
func sample() agent.Status {
	s := owner()
	s.Hello = agent.HelloStatus{Enabled: true, Authenticated: true}
	s.VIPs[0].Handover.ForwardingTo = nil
	backup := agent.PeerVIPStatus{Name: "apiserver", Address: netip.MustParseAddr("192.0.2.12"), State: "backup", Band: "healthy", Priority: 200, Healthy: true, APIServer: "alive"}
	sick := backup
	sick.Address, sick.Healthy, sick.Band, sick.Priority, sick.APIServer = netip.MustParseAddr("192.0.2.13"), false, "unhealthy", 100, "dead"
	s.Peers = []agent.PeerStatus{
		{Node: "cp2", Version: "v0.1.0", Condition: "alive", Hears: true, LastHelloAgeSeconds: 0.4, VIPs: []agent.PeerVIPStatus{backup}},
		{Node: "cp3", Version: "v0.1.0", Condition: "alive", Hears: true, LastHelloAgeSeconds: 0.12, VIPs: []agent.PeerVIPStatus{sick}},
	}
	return s
}

// sampleRouted is what docs/commands.md shows of etcd and of routers.
func sampleRouted() agent.Status {
	s := sample()
	byLease := s.VIPs[0]
	byLease.Reason, byLease.Detail = election.LeaseFree, "nobody held the lease"
	byLease.Election.Type, byLease.Election.Priority = "etcd", 255
	byLease.Election.Lease = &agent.LeaseStatus{Held: true, RemainingSeconds: 4.2, TTLSeconds: 5, Holder: "cp1", Term: 7, Candidates: []agent.LeaseCandidate{
		{Node: "cp1", Band: "healthy"}, {Node: "cp2", Band: "healthy"}, {Node: "cp3", Band: "unhealthy"},
	}}
	byLease.Election.Peers = agent.ListedPeers{From: []string{"etcd"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.13")}}
	everywhere := s.VIPs[0]
	everywhere.Name, everywhere.Addresses = "routed", []netip.Addr{netip.MustParseAddr("198.51.100.10")}
	everywhere.Interface, everywhere.Announce, everywhere.Reason, everywhere.Detail = "lo", "bgp", election.EveryNode, ""
	everywhere.Election, everywhere.AnnouncedAs = agent.ElectionStatus{Type: "none", Band: "healthy"}, "healthy"
	everywhere.Handover = agent.HandoverStatus{Reason: "the VIP is not announced on its segment"}
	s.VIPs = []agent.VIPStatus{byLease, everywhere}
	s.Peers, s.Hello = nil, agent.HelloStatus{}
	s.BGP.Neighbors = []agent.NeighborStatus{
		{Address: netip.MustParseAddr("192.0.2.1"), ASN: 64500, State: bgp.Established, Since: noon().Add(-3 * time.Hour), BFD: bgp.BFDUp, Announced: []netip.Prefix{netip.MustParsePrefix("198.51.100.10/32")}},
		{Address: netip.MustParseAddr("192.0.2.2"), ASN: 64500, State: bgp.Active, Since: noon().Add(-10 * time.Second), BFD: bgp.BFDDown, Error: "dial tcp 192.0.2.2:179: i/o timeout"},
	}
	return s
}

// owner is a node that owns its VIP, all well.
func owner() agent.Status {
	return agent.Status{
		Schema: agent.Schema, Node: "cp1", Version: "v0.1.0", Time: noon(), PID: 123, Config: "/etc/vipd/vipd.yaml",
		VIPs: []agent.VIPStatus{{
			Name: "apiserver", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
			Interface: "eth0", Announce: "l2", State: agent.StateOwner, Reason: election.OwnerSilent, Detail: "no advert for 330ms",
			Since: noon().Add(-3*time.Hour - 12*time.Minute), Owner: "192.0.2.11", Healthy: true,
			Health: []agent.CheckStatus{{
				Name: "apiserver", Type: "https", Healthy: true, Alive: true, Since: noon().Add(-50 * time.Hour), LatencySeconds: 0.0031,
			}},
			Certificate: &agent.CertificateStatus{NotAfter: noon().AddDate(1, 0, 0), CoversVIP: true},
			Election: agent.ElectionStatus{
				Type: "vrrp", Interface: "eth0", VRID: 10, Priority: 200, OwnerPriority: 200, Band: "healthy", LastAdvertAgeSeconds: 0.05,
			},
			Handover: agent.HandoverStatus{Supported: true, ForwardingTo: []string{"cp2"}, Connections: 12},
		}},
	}
}

// clustered is a node in a cluster of which everything is to be told.
func clustered() agent.Status {
	s := owner()
	s.Hello = agent.HelloStatus{Enabled: true, Authenticated: true}
	part := agent.PeerVIPStatus{
		Name: "apiserver", Interface: "eth0", Address: netip.MustParseAddr("192.0.2.12"), State: "backup", Band: "healthy",
		Priority: 200, Reason: "startup", Healthy: true, APIServer: "alive",
	}
	sick := part
	sick.Address, sick.Healthy, sick.Band, sick.Priority, sick.APIServer = netip.MustParseAddr("192.0.2.13"), false, "unhealthy", 100, "hung"
	sick.Differs = []string{"fence", "vrrp.advert_interval"}
	part.State, part.Connections, part.ForwardingTo = "handover", 7, "cp4"
	gone := part
	gone.Address, gone.State = netip.MustParseAddr("192.0.2.14"), "drained"
	s.Peers = []agent.PeerStatus{
		{Node: "cp2", Version: "v0.1.0", Condition: "alive", Since: noon(), Authenticated: true, Hears: true, LastHelloAgeSeconds: 0.4, VIPs: []agent.PeerVIPStatus{part}},
		{Node: "cp3.example.com", Version: "v0.2.0", Condition: "alive", Since: noon(), Authenticated: true, LastHelloAgeSeconds: 2.25,
			Differs: []string{"cluster"}, Namesake: true, VIPs: []agent.PeerVIPStatus{sick}},
		{Node: "cp4", Version: "v0.1.0", Condition: "left", Since: noon().Add(-70 * time.Second), LastHelloAgeSeconds: 70, VIPs: []agent.PeerVIPStatus{gone}},
	}
	return s
}

// alone is a node that hears no other, and knows why.
func alone() agent.Status {
	s := owner()
	s.Hello = agent.HelloStatus{Enabled: true, Namesake: true, Error: "open hello socket on eth0: another program has UDP port 9651; `ss -lunp sport = 9651` names it; stop it or set hello.port"}
	return s
}

// troubled is a node where everything that can be told is bad.
func troubled() agent.Status {
	s := owner()
	s.Drained, s.DrainedSince = true, "2026-01-02T11:00:00Z"
	v := &s.VIPs[0]
	v.Healthy, v.DuplicateOwner = false, true
	v.Health = []agent.CheckStatus{
		{Name: "apiserver", Type: "https", Alive: true, Since: noon().Add(-10 * time.Second), Error: "https://127.0.0.1:6443/readyz answered 500: [-]etcd failed: reason withheld, readyz check failed"},
		{Name: "proxy", Type: "tcp", Since: noon().Add(-70 * time.Second), Error: "127.0.0.1:8443 refused the connection"},
		{Name: "auth", Type: "https", Healthy: true, Alive: true, LatencySeconds: 0.25, Error: "not authorised (401)"},
	}
	v.Certificate = &agent.CertificateStatus{NotAfter: noon().Add(72 * time.Hour)}
	v.Election.Priority, v.Election.Band = 100, "unhealthy"
	v.Handover = agent.HandoverStatus{Reason: "this host's firewall drops what is passed on; add to its output chain: tcp dport 6443 ct state untracked accept"}
	s.VIPs = append(s.VIPs,
		agent.VIPStatus{
			Name: "web", Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.10")}, Interface: "eth1", Announce: "l2",
			State: agent.StateBackup, Reason: election.HigherPriority, Since: noon().Add(-45 * time.Second), Owner: "198.51.100.3", Healthy: true, Handover: agent.HandoverStatus{Supported: true},
			Election: agent.ElectionStatus{Type: "vrrp", VRID: 11, Priority: 150, OwnerPriority: 240, Band: "healthy", LastAdvertAgeSeconds: 0.012, Peers: agent.ListedPeers{
				From: []string{"configuration", "etcd"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("192.0.2.13")},
				Problem: "no address on this segment: cp4 (https://198.51.100.14:2380)",
			}},
		},
		agent.VIPStatus{
			Name: "lost", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, Announce: "l2",
			State: agent.StateFault, Reason: election.NoInterface, Detail: "no interface has a subnet with 203.0.113.10", Since: noon().Add(-time.Minute), Healthy: true,
			Health:      []agent.CheckStatus{{Name: "a-check-with-a-long-name", Type: "exec", Healthy: true, LatencySeconds: 1.25}},
			Certificate: &agent.CertificateStatus{NotAfter: noon().Add(-time.Hour), CoversVIP: true},
			Election: agent.ElectionStatus{Type: "vrrp", VRID: 12, Priority: 200, Band: "healthy", LastAdvertAgeSeconds: -1, Peers: agent.ListedPeers{
				From: []string{"remembered"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12")},
			}},
		},
		agent.VIPStatus{
			Name: "off", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.11")}, Interface: "eth0", Announce: "l2",
			State: agent.StateHandover, Reason: election.Drain, Since: noon().Add(-100 * time.Second), Healthy: true,
			Handover: agent.HandoverStatus{Supported: true, Shadow: true, Connections: 3, GraceSeconds: 500},
			Election: agent.ElectionStatus{Type: "vrrp", VRID: 13, Priority: 1, Band: "draining", LastAdvertAgeSeconds: 7.25, Peers: agent.ListedPeers{Problem: "connect to etcd: open /etc/kubernetes/pki/etcd/ca.crt: no such file or directory"}},
		})
	return s
}

// past is a history.
func past() []agent.Entry {
	return []agent.Entry{
		{Time: noon().Add(-4 * time.Hour), VIP: "apiserver", From: agent.StateInit, To: agent.StateBackup, Reason: election.Startup, Owner: "192.0.2.12", DurationSeconds: 0.0421},
		{Time: noon().Add(-3*time.Hour - 12*time.Minute), VIP: "apiserver", From: agent.StateBackup, To: agent.StateOwner, Reason: election.OwnerSilent, Detail: "no advert for 330ms", Owner: "192.0.2.11", DurationSeconds: 2880},
		{Time: noon().Add(-5 * time.Second), VIP: "apiserver", From: agent.StateOwner, To: agent.StateFault, Reason: election.NoCarrier, Detail: "eth0 lost its link; it is looked at again as soon as the kernel reports a carrier there", DurationSeconds: 11515},
		{Time: noon(), VIP: "routed", From: agent.StateOwner, To: agent.StateOwner, Reason: election.PathWorse, Detail: "this node leaves", Owner: "192.0.2.11", DurationSeconds: 7200},
	}
}

// run is one command's world.
type run struct {
	*globals
	out, err bytes.Buffer
}

// newRun returns a world at noon on a host with one interface.
func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{}
	r.globals = newGlobals(&r.out, &r.err)
	r.now, r.zone = noon, time.UTC
	r.interfaces = func() ([]config.Interface, error) {
		return []config.Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}}, nil
	}
	r.defaultRoute = func(bool) string { return "eth0" }
	return r
}

// command runs a command line and returns its exit code.
func (r *run) command(ctx context.Context, args ...string) exit {
	return execute(ctx, r.globals, args)
}

// minimal is the smallest configuration, with its own state directory and
// control socket.
func minimal(t *testing.T) (path, socket string) {
	t.Helper()
	socket = controltest.Socket(t)
	text := "node: cp1\nvips: [{addresses: [192.0.2.10]}]\n" +
		"control: {socket: " + socket + "}\nstate_dir: " + filepath.Dir(socket) + "\n"
	return file(t, text), socket
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vipd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
