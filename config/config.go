package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is a checked configuration with every default filled in.
type Config struct {
	Node string
	// Cluster tells clusters apart that share a segment or a key file.
	Cluster string
	// AuthKeyFile holds the key that authenticates hellos; empty: none does.
	AuthKeyFile string
	Hello       Hello
	VIPs        []VIP
	BGP         BGP
	Etcd        Etcd
	Drain       Drain
	Metrics     Metrics
	Readiness   Readiness
	Control     Control
	StateDir    string
	// DataDir holds what has to survive a power-off.
	DataDir string
	Log     Log
}

// Hello configures how vipd nodes know each other.
type Hello struct {
	Enabled bool
	// Port is the UDP port, source and destination.
	Port uint16
	// Peers are unicast destinations. Families of which there is none go where
	// the adverts go: to each group's VRRP peers, else to the multicast group.
	Peers []netip.Addr
	// EtcdPeers adds etcd's members, those with an address on the VIP's segment.
	EtcdPeers bool
}

// VIP is one VIP group: addresses that move together.
type VIP struct {
	Name string
	// Addresses are plain addresses, at least one; the first one's family
	// carries the adverts.
	Addresses []netip.Addr
	// Port is the TCP port of the service behind the VIP.
	Port uint16
	// Endpoint is host:port as in kubeadm's controlPlaneEndpoint.
	Endpoint string
	// Interface is empty when it is to be found by the first address's subnet.
	Interface       string
	TrackInterfaces []string
	Announce        Announce
	Election        Election
	// Fence is the kernel lifetime of a held address, whole seconds; 0: none.
	Fence          time.Duration
	VRRP           VRRP
	Etcd           Lease
	GARP           GARP
	Handover       Handover
	UnhealthyDelay time.Duration
	Health         []Check
	// Notify is a program with its arguments, run on each change of state; empty:
	// none.
	Notify []string
}

// Announce is how the network learns where a VIP is.
type Announce string

const (
	// AnnounceL2 announces by gratuitous ARP and unsolicited neighbour
	// advertisements on the VIP's interface.
	AnnounceL2 Announce = "l2"
	// AnnounceBGP holds the VIP on lo and announces it to routers.
	AnnounceBGP Announce = "bgp"
	// AnnounceLocal holds the VIP on lo; another routing daemon of this host
	// announces it.
	AnnounceLocal Announce = "local"
)

// Routed tells whether the VIP is held on lo and reached by a route.
func (a Announce) Routed() bool { return a == AnnounceBGP || a == AnnounceLocal }

// Election is how nodes agree on an owner.
type Election string

const (
	// ElectionVRRP elects by VRRP adverts on the VIP's interface.
	ElectionVRRP Election = "vrrp"
	// ElectionEtcd elects by a lease in the cluster's etcd.
	ElectionEtcd Election = "etcd"
	// ElectionNone elects nobody: every node holds the VIP.
	ElectionNone Election = "none"
)

// VRRP configures the election of one group (RFC 9568).
type VRRP struct {
	VRID uint8
	// Version is that of the adverts sent: 3, or 2 (RFC 3768). Both are heard.
	Version           int
	AdvertInterval    time.Duration
	Priority          uint8
	UnhealthyPriority uint8
	Preempt           Preempt
	PreemptDelay      time.Duration
	StartupDelay      time.Duration
	// Peers are unicast destinations; EtcdPeers adds etcd's members, those with an
	// address on the VIP's segment, and PeersFile those of a file. None of the three:
	// multicast.
	Peers     []netip.Addr
	EtcdPeers bool
	PeersFile string
	Checksum  Checksum
	// Password is that of version 2 adverts, at most 8 bytes; empty: none.
	Password string
}

// Preempt is when a backup displaces a live owner of its own band.
type Preempt string

const (
	// PreemptBand never displaces inside a band; the default.
	PreemptBand Preempt = "band"
	// PreemptAlways is RFC 9568 Preempt_Mode true.
	PreemptAlways Preempt = "always"
	// PreemptNever is RFC 9568 Preempt_Mode false; a lower band is left all
	// the same.
	PreemptNever Preempt = "never"
)

// Checksum is the form of the VRRPv3 checksum sent over IPv4.
type Checksum string

const (
	// ChecksumAuto follows the form heard from the group's peers, RFC 9568's
	// until one is heard.
	ChecksumAuto Checksum = "auto"
	// ChecksumRFC9568 covers the VRRP message only (RFC 9568 5.2.8, IPv4).
	ChecksumRFC9568 Checksum = "rfc9568"
	// ChecksumPseudoHeader covers a pseudo-header too, as keepalived and FRR
	// do by default.
	ChecksumPseudoHeader Checksum = "pseudo-header"
)

// Lease configures an election by etcd.
type Lease struct {
	// TTL is how long others wait for a holder that does not renew, whole seconds.
	TTL time.Duration
	// Bootstrap is who elects until etcd was reached once.
	Bootstrap Bootstrap
	// WithoutEtcd is what becomes of the VIP when its lease cannot be renewed.
	WithoutEtcd WithoutEtcd
}

// Bootstrap is how an owner is found before there is an etcd.
type Bootstrap string

const (
	// BootstrapVRRP elects by adverts, as ElectionVRRP does.
	BootstrapVRRP Bootstrap = "vrrp"
	// BootstrapNone has nobody hold the VIP.
	BootstrapNone Bootstrap = "none"
)

// WithoutEtcd is what an owner does whose lease ends because etcd does not answer.
type WithoutEtcd string

const (
	// WithoutEtcdRelease gives the VIP up.
	WithoutEtcdRelease WithoutEtcd = "release"
	// WithoutEtcdKeep keeps it; another node may take it too.
	WithoutEtcdKeep WithoutEtcd = "keep"
)

// GARP configures announcements of a held VIP.
type GARP struct {
	// Burst is the number of announcements after a takeover.
	Burst int
	// Refresh is the time between announcements afterwards; 0: none.
	Refresh time.Duration
}

// Handover configures what becomes of open connections when the VIP moves on
// purpose.
type Handover struct {
	// Preserve keeps them open; else their clients are told that they ended.
	Preserve bool
	// Grace is how long they are carried before they are ended.
	Grace time.Duration
}

// CheckType selects a health probe.
type CheckType string

// The probes.
const (
	CheckHTTPS CheckType = "https"
	CheckHTTP  CheckType = "http"
	CheckTCP   CheckType = "tcp"
	CheckExec  CheckType = "exec"
)

// Check is one health check of a VIP group.
type Check struct {
	Type        CheckType
	Name        string
	URL         string
	LivenessURL string
	ServerName  string
	CAFile      string
	CertFile    string
	KeyFile     string
	Kubeconfig  string
	Insecure    bool
	Address     string
	Command     []string
	Interval    time.Duration
	Timeout     time.Duration
	Rise        int
	Fall        int
}

// Drain configures planned moves.
type Drain struct {
	Timeout         time.Duration
	ShutdownTimeout time.Duration
}

// longestParting bounds Parting: routers need no more.
const longestParting = 1500 * time.Millisecond

// Parting is the last part of ShutdownTimeout where there are BGP sessions. It is
// for their end: VIPs are handed over before it.
func (d Drain) Parting() time.Duration { return min(longestParting, d.ShutdownTimeout/4) }

// Metrics configures the Prometheus listener.
type Metrics struct {
	// Listen is host:port; empty: no listener.
	Listen    string
	WebConfig string
}

// Readiness configures what external balancers in front of the API servers are
// told.
type Readiness struct {
	// Listen is host:port; empty: no listener.
	Listen string
	// DrainWait is how long balancers need to see that a node is not ready.
	DrainWait time.Duration
}

// Control configures the control socket.
type Control struct {
	Socket string
	Group  string
}

// Log configures the daemon's log.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// LogFormat is the form of log lines.
type LogFormat string

// The log formats.
const (
	// LogText: lines for people on standard error; where that is the journal's,
	// LogJournal.
	LogText LogFormat = "text"
	// LogJSON: an object a line on standard error.
	LogJSON LogFormat = "json"
	// LogJournal: records with fields, to journald.
	LogJournal LogFormat = "journal"
)
