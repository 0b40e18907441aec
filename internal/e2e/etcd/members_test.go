package etcd

import (
	"slices"
	"testing"

	"github.com/vipd/vipd/agent"
)

// The life of a cluster: one node, and others that join and leave. The VIP stays
// where it is, and nobody but its owner answers for it.
func TestPeersAreTheMembersOfEtcd(t *testing.T) {
	s := open(t, 3, "vrrp: {peers: [etcd]}")
	one, two, three := s.Hosts[0], s.Hosts[1], s.Hosts[2]

	// Before kubeadm init.
	s.vipd(one)
	s.awaitOwner(one)
	w := s.watch()
	s.vipd(two)
	s.awaitBackup(two, one)

	s.must(s.etcd.Start(s.ctx, one))
	s.await(one, "be told who its members are", func(v agent.VIPStatus) bool { return v.Election.Peers.Problem == "" })
	s.awaitBackup(two, one)

	s.must(s.etcd.Join(s.ctx, two))
	s.awaitPeers(one, "etcd", two)
	s.awaitPeers(two, "etcd", one)
	s.vipd(three)
	s.must(s.etcd.Join(s.ctx, three))
	s.awaitPeers(one, "etcd", two, three)
	s.awaitPeers(three, "etcd", one, two)
	s.awaitBackup(three, one)
	s.awaitBackup(two, one)

	// One leaves, and its daemon runs on.
	s.must(s.etcd.Remove(s.ctx, three))
	s.awaitPeers(one, "etcd", two)
	s.awaitPeers(two, "etcd", one)
	s.await(three, "find that another one answers for the VIP", func(v agent.VIPStatus) bool { return v.Reason == "vip-answered" })

	// The owner's adverts go to two only, so two takes over when it is gone.
	s.awaitBackup(two, one)
	report := s.judge(w)
	if len(report.None) > 0 {
		t.Errorf("nobody answered for the VIP: %v", report.None)
	}
}

// kubeadm reset on the owner, which nobody drained: its API server, for which etcd
// itself stands here, is gone with it, and a member takes the VIP from it.
func TestTheOwnerLeavesTheCluster(t *testing.T) {
	s := open(t, 3, "vrrp: {peers: [etcd]}")
	s.health = "{type: tcp, address: \"127.0.0.1:2379\"}"
	one, two, three := s.Hosts[0], s.Hosts[1], s.Hosts[2]
	s.must(s.etcd.Start(s.ctx, s.Hosts...))
	s.vipd(one)
	s.awaitOwner(one)
	s.vipd(two)
	s.awaitBackup(two, one)
	s.awaitPeers(two, "etcd", one, three)

	w := s.watch()
	s.must(s.etcd.Remove(s.ctx, one))
	s.awaitOwner(two)
	s.await(one, "be off the VIP", func(v agent.VIPStatus) bool { return v.State == agent.StateBackup })
	s.awaitPeers(two, "etcd", three)
	// VRRP's successor has the address before the owner lets go, so for a moment of
	// the move both answer.
	report := s.seen(w)
	if len(report.None) > 0 {
		t.Errorf("nobody answered for the VIP: %v", report.None)
	}
	if last := report.All[len(report.All)-1]; !slices.Equal(last.By, []string{two.Name}) {
		t.Errorf("in the end: %v", last)
	}
}

// A cluster that was switched off starts before its etcd does.
func TestPeersAreRememberedWithoutEtcd(t *testing.T) {
	s := open(t, 2, "vrrp: {peers: [etcd]}")
	one, two := s.Hosts[0], s.Hosts[1]
	s.must(s.etcd.Start(s.ctx, one, two))
	s.vipd(one)
	s.awaitOwner(one)
	s.vipd(two)
	s.awaitPeers(one, "etcd", two)
	s.awaitPeers(two, "etcd", one)
	s.awaitBackup(two, one)

	s.must(s.etcd.Kill(s.ctx, one))
	s.must(s.etcd.Kill(s.ctx, two))
	s.kill(two)
	w := s.watch()
	s.vipd(two)
	s.awaitPeers(two, "remembered", one)
	s.awaitBackup(two, one)
	if report := s.judge(w); len(report.None) > 0 {
		t.Errorf("nobody answered for the VIP: %v", report.None)
	}

	s.must(s.etcd.Run(s.ctx, one, two))
	s.awaitPeers(two, "etcd", one)
	s.awaitPeers(one, "etcd", two)
	s.kill(one)
	s.awaitOwner(two)
}
