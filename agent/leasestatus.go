package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/election/lease"
)

// LeaseStatus is an election by etcd as this node sees it.
type LeaseStatus struct {
	// Held: this node has the lease, for RemainingSeconds more if etcd does not
	// confirm it again. The remaining time is this node's own: it gives up before
	// etcd would.
	Held             bool    `json:"held"`
	RemainingSeconds float64 `json:"remaining_seconds"`
	// TTLSeconds is how long a renewal counts; 0: etcd granted no lease yet.
	TTLSeconds float64 `json:"ttl_seconds"`
	// Holder is the node that has the lease according to etcd; Term counts holders.
	Holder string `json:"holder"`
	Term   uint64 `json:"term"`
	// Candidates are the nodes that would take it, by name.
	Candidates []LeaseCandidate `json:"candidates"`
	// Bootstrapping: etcd was never reached, and VRRP elects.
	Bootstrapping bool `json:"bootstrapping"`
	// Error is why etcd does not answer, or not in full; empty: it does.
	Error string `json:"error"`
	// Discord is what nodes mean by the VIP's name that do not mean the same addresses;
	// empty: they do.
	Discord string `json:"discord"`
}

// LeaseCandidate is a node that would take the lease.
type LeaseCandidate struct {
	Node string `json:"node"`
	Band string `json:"band"`
}

// leaseStatus is nil where etcd does not elect.
func (g *group) leaseStatus(now time.Time) *LeaseStatus {
	if g.machine.lease == nil {
		return nil
	}
	m := g.machine.lease.Status(now)
	s := &LeaseStatus{
		Held: m.Held, RemainingSeconds: m.Remaining.Seconds(), TTLSeconds: m.TTL.Seconds(),
		Holder: m.Holder, Term: m.Term, Candidates: []LeaseCandidate{},
		Bootstrapping: m.Bootstraps, Error: g.leaseTrouble(now, m), Discord: m.Discord,
	}
	byName := func(a, b lease.Candidate) int { return strings.Compare(a.Node, b.Node) }
	for _, c := range slices.SortedFunc(slices.Values(m.Candidates), byName) {
		s.Candidates = append(s.Candidates, LeaseCandidate{Node: c.Node, Band: c.Band.String()})
	}
	return s
}
