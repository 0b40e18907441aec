package flow

import "strings"

// Feature is something that a kernel has or has not.
type Feature string

// What is asked of the kernel. Those of nftables are there once for each family.
const (
	NFTables      Feature = "nftables"                          // CONFIG_NF_TABLES
	SetTimeout    Feature = "timeouts of set elements"          // Linux 4.1
	DynamicSet    Feature = "sets filled by rules"              // nft_dynset
	SocketMatch   Feature = "socket wildcard (nft_socket)"      // Linux 5.10
	Duplication   Feature = "dup (nft_dup)"                     // nft_dup_ipv4, nft_dup_ipv6
	HeaderWrite   Feature = "writing to headers"                // Linux 4.5
	FibMatch      Feature = "fib (nft_fib)"                     // nft_fib_ipv4
	TableOwner    Feature = "tables with an owner that persist" // Linux 6.9
	SocketDestroy Feature = "SOCK_DESTROY (INET_DIAG_DESTROY)"  // CONFIG_INET_DIAG_DESTROY
)

// Family is the address family that something is missing for.
type Family string

// The families.
const (
	IPv4 Family = "IPv4"
	IPv6 Family = "IPv6"
	Both Family = "IPv4 and IPv6"
)

// Missing is a feature that this kernel has not.
type Missing struct {
	Feature Feature
	Family  Family
	// Err is the kernel's answer.
	Err error
}

func (m Missing) String() string {
	return string(m.Feature) + " for " + string(m.Family) + ": " + m.Err.Error()
}

// Features tells what the kernel can do.
type Features struct{ Missing []Missing }

// Handover tells whether open connections can be kept for a family.
func (f Features) Handover(family Family) bool {
	for _, m := range f.Missing {
		if m.Feature.Needed() && (m.Family == family || m.Family == Both) {
			return false
		}
	}
	return true
}

// Resets tells whether clients can be told that their connection ends.
func (f Features) Resets() bool { return !f.misses(SocketDestroy) }

// FlushProof tells whether our rules live on when somebody flushes all of
// nftables. If not they are put back, and what arrives in the milliseconds
// between is reset.
func (f Features) FlushProof() bool { return !f.misses(TableOwner) }

// LocalClients tells whether IPv4 clients on this host keep their connections
// when it becomes owner. IPv6 clients always do.
func (f Features) LocalClients() bool { return f.guard() }

// guard: accept_local is turned on only if what it lets in can be bounded.
func (f Features) guard() bool { return !f.misses(FibMatch) }

func (f Features) String() string {
	if len(f.Missing) == 0 {
		return "complete"
	}
	all := make([]string, 0, len(f.Missing))
	for _, m := range f.Missing {
		all = append(all, m.String())
	}
	return "missing: " + strings.Join(all, "; ")
}

func (f Features) misses(wanted Feature) bool {
	for _, m := range f.Missing {
		if m.Feature == wanted {
			return true
		}
	}
	return false
}

// Needed tells whether no connection can be kept without it.
func (f Feature) Needed() bool {
	return f != FibMatch && f != SocketDestroy && f != TableOwner
}

// probe asks for one feature.
type probe struct {
	feature Feature
	family  Family
	try     func() error
}

// probeAll names what is missing.
func probeAll(probes []probe) Features {
	var f Features
	for _, p := range probes {
		if err := p.try(); err != nil {
			f.Missing = append(f.Missing, Missing{p.feature, p.family, err})
		}
	}
	return f
}
