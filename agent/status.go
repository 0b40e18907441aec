package agent

import (
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// Schema is the version of the Status document.
const Schema = 1

// Status is what this node knows and does, as operators see it.
type Status struct {
	Schema  int       `json:"schema"`
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	PID     int       `json:"pid"`
	// Drained: no VIP may be taken by this node.
	Drained bool `json:"drained"`
	// DrainedSince is an RFC 3339 time, empty when not drained.
	DrainedSince string `json:"drained_since"`
	// Config is the path of the configuration file.
	Config string      `json:"config"`
	VIPs   []VIPStatus `json:"vips"`
	// Hello and Peers are what this node knows of others by hellos; adverts show
	// in VIPs.
	Hello HelloStatus  `json:"hello"`
	Peers []PeerStatus `json:"peers"`
	// BGP is empty of neighbours where none are configured.
	BGP BGPStatus `json:"bgp"`
	// Loop is how punctual the daemon is.
	Loop LoopStatus `json:"loop"`
}

// State is a VIP group's state on this node.
type State string

// The states.
const (
	// StateInit: nothing is known of the interface yet.
	StateInit State = "init"
	// StateBackup: ready to take over.
	StateBackup State = "backup"
	// StateOwner: this node answers for the VIP.
	StateOwner State = "owner"
	// StateHandover: this node was owner, and carries connections that are open
	// here until they end.
	StateHandover State = "handover"
	// StateFault: the VIP cannot be served; the reason says why.
	StateFault State = "fault"
	// StateDrained: the operator took the VIP off this node.
	StateDrained State = "drained"
)

// States lists every State.
func States() []State {
	return []State{StateInit, StateBackup, StateOwner, StateHandover, StateFault, StateDrained}
}

// VIPStatus is the status of one VIP group.
type VIPStatus struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Port      uint16       `json:"port"`
	// Interface is where the addresses are held: lo if routers lead to them. Empty:
	// it is not known yet.
	Interface string          `json:"interface"`
	Announce  string          `json:"announce"`
	State     State           `json:"state"`
	Reason    election.Reason `json:"reason"`
	Detail    string          `json:"detail"`
	Since     time.Time       `json:"since"`
	// Owner is the owner's address as adverts show it; empty when none is heard.
	Owner       string             `json:"owner"`
	Healthy     bool               `json:"healthy"`
	Health      []CheckStatus      `json:"health"`
	Certificate *CertificateStatus `json:"certificate,omitempty"`
	Election    ElectionStatus     `json:"election"`
	Handover    HandoverStatus     `json:"handover"`
	// AnnouncedAs is how routers are told of the VIP by BGP: healthy, unhealthy or
	// leaving; empty: they are not.
	AnnouncedAs string `json:"announced_as,omitempty"`
	// HealthyAt is when a node that is announced as unhealthy, and is healthy, will
	// have been so for long enough; zero: it is no such node.
	HealthyAt time.Time `json:"announced_healthy_at,omitzero"`
	// DuplicateOwner: another station claims the VIP while this node owns it.
	DuplicateOwner bool `json:"duplicate_owner"`

	// Counters is for metrics; it counts on while the status is read.
	Counters *Counters `json:"-"`
}

// CheckStatus is the verdict of one health check.
type CheckStatus struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Healthy bool   `json:"healthy"`
	// Alive: the server answers, ready or not.
	Alive bool   `json:"alive"`
	Error string `json:"error"`
	// Warning is about something that decides nothing yet.
	Warning        string    `json:"warning,omitempty"`
	Since          time.Time `json:"since"`
	LatencySeconds float64   `json:"latency_seconds"`

	Counters *CheckCounters `json:"-"`
}

// CertificateStatus is what the API server's certificate says.
type CertificateStatus struct {
	NotAfter time.Time `json:"not_after"`
	// CoversVIP: clients of the VIP, or of the endpoint, can verify it.
	CoversVIP bool     `json:"covers_vip"`
	Names     []string `json:"names"`
}

// ElectionStatus is the election as this node sees it.
type ElectionStatus struct {
	Type string `json:"type"`
	// Interface is where adverts go; empty where there are none, or it is not known
	// yet.
	Interface string `json:"interface,omitempty"`
	// VRID is that of adverts; 0 where there are none.
	VRID uint8 `json:"vrid"`
	// Priority is the byte that this node advertises or would advertise.
	Priority uint8 `json:"priority"`
	// OwnerPriority is the owner's; 0 when none is heard.
	OwnerPriority uint8  `json:"owner_priority"`
	Band          string `json:"band"`
	// LastAdvertAgeSeconds is the age of the last advert sent as owner, or
	// heard of another; -1 before the first.
	LastAdvertAgeSeconds float64 `json:"last_advert_age_seconds"`
	// Lease is that of an election by etcd.
	Lease *LeaseStatus `json:"lease,omitempty"`
	// Peers are whom adverts go to.
	Peers ListedPeers `json:"peers"`
}

// ListedPeers are whom adverts go to.
type ListedPeers struct {
	// From are the sources of the list: configuration, file, etcd, or remembered
	// for etcd's members as they were before this start. Without any, adverts go
	// to the multicast group.
	From []string `json:"from"`
	// Addresses are those of the other nodes.
	Addresses []netip.Addr `json:"addresses"`
	// Problem is why the list may be out of date; empty: it is not.
	Problem string `json:"problem,omitempty"`
}

// Entry is one change of a VIP group's state. From and To are the same where only
// what routers are told changed, with the reasons election.PathBetter and
// election.PathWorse.
type Entry struct {
	Time   time.Time       `json:"time"`
	VIP    string          `json:"vip"`
	From   State           `json:"from"`
	To     State           `json:"to"`
	Reason election.Reason `json:"reason"`
	Detail string          `json:"detail"`
	// Owner is the owner's address after the change; empty when none is heard.
	Owner string `json:"owner"`
	// DurationSeconds is how long the group was in From.
	DurationSeconds float64 `json:"duration_seconds"`
}
