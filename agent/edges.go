package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
	"github.com/vipd/vipd/peer"
)

// Edges are what the agent calls to touch the world.
type Edges struct {
	Sockets   AdvertSockets
	Hellos    HelloSockets
	Addresses Addresses
	Announcer Announcer
	Prober    Prober
	Claims    Claims
	Health    HealthProber
	Files     FileFollower
	// Leases is nil where no VIP is elected by etcd.
	Leases Leases
	// Members is nil where nothing is known of the cluster's etcd.
	Members Members
	Mark    DrainMark
	Flows   Flows
	// Speaker is nil where there is none; Paths goes with it.
	Speaker Speaker
	Paths   Paths
	// Programs is nil where none are to be run.
	Programs Programs
	// Alarm wakes the loop; nil: a timer of package time does, which costs an
	// idle daemon more.
	Alarm Alarm
}

// Alarm tells when time has passed.
type Alarm interface {
	// Set has Rings get the time when d has passed, at once if that is not more
	// than 0, and forgets what was set before.
	Set(d time.Duration)
	// Rings may get a value although the alarm was set anew meanwhile.
	Rings() <-chan time.Time
	// Run does what is needed for that until ctx ends, which is a nil error. The
	// agent calls it once, and needs it to the end of its handing over.
	Run(ctx context.Context) error
}

// AdvertSockets opens sockets for adverts.
type AdvertSockets interface {
	// Open opens the socket of an interface and family. Until it is closed,
	// ready, of capacity 1 and shared by all, gets a value whenever it may have
	// frames.
	Open(interfaceName string, ipv6 bool, ready chan struct{}) (AdvertSocket, error)
}

// AdvertSocket carries the adverts of all groups on one interface and family.
type AdvertSocket interface {
	// Receive reads a frame without blocking; false means that none is queued,
	// and that wake will be called for the next one.
	Receive(*vrrp.Frame) bool
	// Send sends one advert without blocking.
	Send(src, dst netip.Addr, payload []byte) error
	// Multicast joins or leaves the VRRP group.
	Multicast(on bool) error
	// Refused counts the datagrams that were refused below VRRP since the socket
	// was opened, by reason.
	Refused() map[string]uint64
	Close() error
}

// HelloSockets opens sockets for hellos.
type HelloSockets interface {
	// OpenHello opens the socket of an interface and family on a UDP port. Until
	// it is closed, ready, of capacity 1 and shared by all, gets a value whenever
	// it may have hellos.
	OpenHello(interfaceName string, ipv6 bool, port uint16, ready chan struct{}) (HelloSocket, error)
}

// HelloSocket carries hellos on one interface and family.
type HelloSocket interface {
	// Receive reads a hello without blocking; false means that none is queued,
	// and that wake will be called for the next one.
	Receive(*peer.Datagram) bool
	// Send sends one hello without blocking.
	Send(src, dst netip.Addr, datagram []byte) error
	// Multicast joins or leaves the group of hellos.
	Multicast(on bool) error
	// Refused counts the datagrams that were refused below hellos since the
	// socket was opened, by reason.
	Refused() map[string]uint64
	Close() error
}

// Addresses puts VIPs on interfaces and takes them off.
type Addresses interface {
	// Hold brings all addresses onto the interface, whole or not at all, for
	// lifetime (0: for ever). What cannot be done by deadline is not done.
	// created tells whether any was not there before.
	Hold(ctx context.Context, interfaceName string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (created bool, err error)
	// Reseat puts held IPv4 addresses behind the interface's own.
	Reseat(ctx context.Context, interfaceName string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (moved bool, err error)
	// Release takes the addresses off. It is idempotent; nil means they are off
	// this interface.
	Release(ctx context.Context, interfaceName string, addrs []netip.Addr) error
}

// Announcer tells the segment where the addresses are, once.
type Announcer interface {
	Announce(interfaceName string, addrs []netip.Addr) error
}

// Prober asks the segment. Probe: who answers for an address; mac is empty if nobody does, or only
// a station that answers for any address.
type Prober interface {
	Probe(ctx context.Context, interfaceName string, addr netip.Addr) (mac string, err error)
	// Knock opens a TCP connection to a VIP that another station has, with packets
	// that leave this host even if it has the VIP itself, and closes it. open tells
	// whether a server listens; mac is the station that answered.
	Knock(ctx context.Context, interfaceName string, from netip.Addr, vip netip.AddrPort) (mac string, open bool, err error)
	// Reach asks the station with that address and MAC, and third ones of the
	// segment, whether they hear this host. Attempt is left alone.
	Reach(ctx context.Context, interfaceName string, of netip.Addr, mac [6]byte, third []netip.Addr) (vrrp.Reached, error)
}

// Claims reports other stations that claim watched addresses on an interface,
// until ctx ends.
type Claims interface {
	WatchClaims(ctx context.Context, interfaceName string, watched func(netip.Addr) bool, fn func(addr netip.Addr, mac string)) error
}

// HealthProber runs the health checks of a group and reports each result, until
// ctx ends.
type HealthProber interface {
	WatchHealth(ctx context.Context, v config.VIP, fn func(ProbeResult)) error
}

// ProbeResult is the result of one health probe.
type ProbeResult struct {
	Check   string
	Result  counter.Result
	Latency time.Duration
	// Warning is worth a line in the log, but decides nothing.
	Warning string
	// Certificate is nil where none was seen.
	Certificate *CertificateStatus
}

// FileFollower reports a file's content at first and after each change, until
// ctx ends.
type FileFollower interface {
	Follow(ctx context.Context, path string, fn func(content []byte, err error)) error
}

// Leases is where an election by etcd keeps who owns. It is asked by several
// goroutines.
type Leases interface {
	// Use says where etcd is, and what proves who is who: at first, and after a reload.
	Use(where config.Etcd)
	// Call carries an order out, within its timeout, and returns what became of it.
	Call(ctx context.Context, g LeaseGroup, o lease.Order) lease.Answer
	// Watch tells what is kept of a group, at first and after each change, and why
	// that cannot be learned each time it cannot, until ctx ends.
	Watch(ctx context.Context, g LeaseGroup, seen func(lease.View), trouble func(error))
	// Known tells whether Remember was called, before this start too, for the
	// cluster that proves itself where etcd is.
	Known() (bool, error)
	// Remember notes that the cluster's etcd was reached, so that it survives a
	// power-off, and how it proves itself now. It writes, and asks etcd, only if that
	// is not what is noted.
	Remember(ctx context.Context) error
}

// LeaseGroup names a VIP group in a cluster's etcd.
type LeaseGroup struct{ Cluster, VIP string }

// Members follows who is in the cluster, by its etcd.
type Members interface {
	// Follow reports what was remembered at first, then who is in the cluster,
	// after each change, and why that cannot be learned each time it begins or becomes
	// something else, until ctx ends.
	Follow(ctx context.Context, where config.Etcd, fn func(Membership)) error
}

// Membership is who is in the cluster.
type Membership struct {
	Members []ClusterMember
	// Remembered: it was so when it was last known, before this start.
	Remembered bool
	// Err is why it cannot be learned now; Members is empty then.
	Err error
	// Forgetful is why the next start will not remember it.
	Forgetful error
}

// ClusterMember is a member of the cluster's etcd.
type ClusterMember struct {
	// Name is for people.
	Name string
	// URLs are where it is reached: by other members first, then by clients.
	URLs []string
}

// DrainMark remembers which VIPs were drained, across restarts of the daemon
// but not of the host.
type DrainMark interface {
	// Load returns when and what was drained; nothing if there is no mark.
	Load() (Drained, error)
	// Store replaces the mark; an empty one removes it.
	Store(Drained) error
}

// Drained tells since when which VIPs are drained.
type Drained = map[string]time.Time
