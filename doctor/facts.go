package doctor

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
)

// Fact is something that was looked at, or why it could not be.
type Fact[T any] struct {
	Value T
	// Missing is why there is no value, or only a part of it; empty: it is whole.
	Missing string
}

// Known is a fact.
func Known[T any](value T) Fact[T] { return Fact[T]{Value: value} }

// Unknown is a fact that could not be learned.
func Unknown[T any](why string) Fact[T] { return Fact[T]{Missing: why} }

// Facts are what was seen of a host.
type Facts struct {
	// Path is the configuration file's. Problems are why it cannot be used;
	// Config is nil then. Unfit are why it does not fit this host, Warnings what
	// is allowed and probably not meant.
	Path            string
	Problems        []string
	Config          *config.Config
	Unfit, Warnings []string
	// Companions are files beside the configuration whose content is no good.
	Companions []Companion
	// Files are those that the daemon reads.
	Files Fact[[]File]

	// Now is the time, for certificates.
	Now time.Time
	// Unit is the systemd unit, Status what the daemon says; missing: it does not run.
	Unit   Unit
	Status Fact[agent.Status]

	Links Fact[[]Link]
	// DefaultRoutes are the interfaces of the default routes for IPv4 and IPv6;
	// empty: there is none.
	DefaultRoutes [2]string
	Settings      Fact[map[string]Settings]
	Managers      []Manager
	// Mentions are VIPs in files that configure the network.
	Mentions Fact[[]Mention]
	// IPVS are the virtual services of this host's kernel.
	IPVS Fact[[]netip.AddrPort]
	// Rules: vipd's nftables tables are there.
	Rules  Fact[bool]
	Rivals Fact[[]Rival]

	// Groups are the VIP groups of Config, in its order.
	Groups []Group
	// WaysOut are what this host's filters do to packets that vipd sends.
	WaysOut Fact[[]WayOut]
	Kernel  Fact[Kernel]

	// Initialised: kubeadm has set an API server up on this host.
	Initialised bool
	// Kubelet is nil where there is none.
	Kubelet Fact[*Kubelet]
	// Hostname is this host's; NamedBy are the addresses that /etc/hosts has for it.
	Hostname string
	NamedBy  []netip.Addr
	// Flags are addresses in the flags of etcd and the API server.
	Flags Fact[[]Flag]
	CNI   Fact[CNI]
	// Etcd is the cluster's, where the configuration needs it.
	Etcd Fact[*Etcd]

	// Sockets are the ports that are taken on this host; Speakers the programs
	// that speak BGP here, but vipd.
	Sockets  Fact[[]Socket]
	Speakers Fact[[]Program]
}

// Group is one VIP group with what was seen of it.
type Group struct {
	config.VIP
	// Link is the interface that it is on; empty: none was found.
	Link string
	// Answers are those of the segment, by address.
	Answers map[netip.Addr]Fact[Answer]
	// Segment is what was heard there.
	Segment Fact[Segment]
	// Listeners are the addresses that something listens at for the group's port.
	Listeners Fact[[]netip.Addr]
	Probes    []Probe
	// Certificate is the API server's; nil: there is none yet.
	Certificate *Certificate
}

// Companion is a file beside the configuration that cannot be used as it is.
type Companion struct {
	ID ID
	// Key is that of the configuration.
	Key, Problem string
}

// Program is a running program.
type Program struct {
	Name string
	PID  int
}

// status is what the daemon says of a group; nil: nothing.
func (f *Facts) status(name string) *agent.VIPStatus {
	if f.Status.Missing != "" {
		return nil
	}
	i := slices.IndexFunc(f.Status.Value.VIPs, func(v agent.VIPStatus) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Status.Value.VIPs[i]
}

// runs: the daemon answers.
func (f *Facts) runs() bool { return f.Status.Missing == "" && f.Status.Value.PID != 0 }

// isVIP tells whether an address is one of the configuration's.
func (f *Facts) isVIP(addr netip.Addr) bool {
	return slices.ContainsFunc(f.Groups, func(g Group) bool { return slices.Contains(g.Addresses, addr) })
}

// isIPv6 tells whether the group's adverts are of IPv6.
func (g *Group) isIPv6() bool { return g.Addresses[0].Is6() }

// elects: the group has an election by VRRP.
func (g *Group) elects() bool { return g.Election == config.ElectionVRRP }
