// Package election holds the words that every elector, the agent, status,
// history, logs and metrics share: bands of fitness and the reasons of moves.
//
// It is pure: no sockets, no clock, no goroutine.
package election

// Band orders nodes by fitness before any priority is looked at: a node of a
// higher band is always the better owner. The order of the constants is the
// order of the bands.
type Band uint8

const (
	// Resigned: the owner gives the VIP up (VRRP priority 0).
	Resigned Band = iota
	// Draining: the owner serves until a successor is heard, and is never
	// chosen.
	Draining
	// Unhealthy: owns only while nobody healthy is there.
	Unhealthy
	// Healthy: its API server is ready.
	Healthy
)

// String is the band's word in status, logs and metric labels.
func (b Band) String() string {
	switch b {
	case Resigned:
		return "resigned"
	case Draining:
		return "draining"
	case Unhealthy:
		return "unhealthy"
	case Healthy:
		return "healthy"
	}
	panic("election: unhandled band")
}

// Reason is why a VIP group changed its state. The set is fixed: the same word
// stands in status, history, the log attribute and the metric label.
type Reason string

const (
	// Startup: the daemon started, or its interface came back.
	Startup Reason = "startup"
	// OwnerSilent: the owner's adverts stopped; this node took over.
	OwnerSilent Reason = "owner-silent"
	// OwnerResigned: the owner advertised priority 0; this node took over.
	OwnerResigned Reason = "owner-resigned"
	// OwnerUnhealthy: a healthy node displaced an unhealthy owner.
	OwnerUnhealthy Reason = "owner-unhealthy"
	// OwnerDraining: this node displaced a draining owner.
	OwnerDraining Reason = "owner-draining"
	// HigherPriority: preemption inside a band; this node displaced an owner of
	// lower priority, or was displaced by one of higher priority.
	HigherPriority Reason = "higher-priority"
	// NobodyHeard: first claim of a VIP that nobody advertised or answered for.
	NobodyHeard Reason = "nobody-heard"
	// DuelLost: two owners heard each other and the other one is the better.
	DuelLost Reason = "duel-lost"
	// Unwell: this owner was displaced because its band was lower.
	Unwell Reason = "unhealthy"
	// Drain: the operator drained this node.
	Drain Reason = "drain"
	// Undrain: the operator allowed this node to hold VIPs again.
	Undrain Reason = "undrain"
	// Forced: the operator gave the VIP up without a successor.
	Forced Reason = "forced"
	// Shutdown: the daemon is being stopped.
	Shutdown Reason = "shutdown"
	// NoInterface: the VIP's interface does not exist.
	NoInterface Reason = "no-interface"
	// NoCarrier: the VIP's interface is down or has no link.
	NoCarrier Reason = "no-carrier"
	// NoAddress: the VIP's interface has no address of its own to advertise from.
	NoAddress Reason = "no-address"
	// TrackedInterface: a tracked interface is down or has no link.
	TrackedInterface Reason = "tracked-interface"
	// AddressConflict: the VIP is one of the node's own configured addresses.
	AddressConflict Reason = "address-conflict"
	// VIPAnswered: nobody advertises the group, yet some station answers for
	// its VIP, so this node does not claim it.
	VIPAnswered Reason = "vip-answered"
	// HoldFailed: the kernel refused the group's addresses.
	HoldFailed Reason = "hold-failed"
	// Unheard: this owner made way for another one that does not hear it.
	Unheard Reason = "unheard"
	// OwnerDeaf: the owner hears nothing; this node took the VIP back from it.
	OwnerDeaf Reason = "owner-deaf"
	// Late: the daemon was stopped or starved for longer than others wait.
	Late Reason = "late"
	// LeaseFree: nobody held the lease in etcd; this node took it.
	LeaseFree Reason = "lease-free"
	// LeaseLost: etcd did not confirm this owner's lease in time, or gave it to
	// another node.
	LeaseLost Reason = "lease-lost"
	// EveryNode: there is no election; each node holds the VIP.
	EveryNode Reason = "every-node"
	// Reloaded: a changed configuration made the group start anew or end.
	Reloaded Reason = "reload"
	// PathBetter: with every node announcing, this one's path became as good as
	// any. The state did not change.
	PathBetter Reason = "path-better"
	// PathWorse: it became worse than others', or was withdrawn.
	PathWorse Reason = "path-worse"
	// HandoverEnded: this former owner carries no connections any more.
	HandoverEnded Reason = "handover-ended"
)

// Reasons lists every Reason, for documentation and tests.
func Reasons() []Reason {
	return []Reason{
		Startup, OwnerSilent, OwnerResigned, OwnerUnhealthy, OwnerDraining,
		HigherPriority, NobodyHeard, DuelLost, Unwell, Drain, Undrain, Forced,
		Shutdown, NoInterface, NoCarrier, NoAddress, TrackedInterface,
		AddressConflict, VIPAnswered, HoldFailed, Unheard, OwnerDeaf, Late, LeaseFree,
		LeaseLost, EveryNode, Reloaded, PathBetter, PathWorse, HandoverEnded,
	}
}
