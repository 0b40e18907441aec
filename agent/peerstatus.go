package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/peer"
)

// HelloStatus is how this node exchanges hellos.
type HelloStatus struct {
	Enabled bool `json:"enabled"`
	// Authenticated: hellos without a valid tag are dropped.
	Authenticated bool `json:"authenticated"`
	// Error is what keeps hellos from being exchanged as configured; empty:
	// nothing does.
	Error string `json:"error"`
	// Namesake: another node has this node's name.
	Namesake bool `json:"namesake"`
	// Discarded counts hellos of which nothing was believed, by reason.
	Discarded map[string]uint64 `json:"discarded,omitempty"`
}

// PeerStatus is another vipd node as its hellos show it.
type PeerStatus struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	// Condition is alive, silent or left: it said that its daemon stops.
	Condition string    `json:"condition"`
	Since     time.Time `json:"since"`
	// Addresses are its own on the links that it shares with this node.
	Addresses     []netip.Addr `json:"addresses"`
	Authenticated bool         `json:"authenticated"`
	// Hears: it hears this node's hellos.
	Hears               bool    `json:"hears"`
	LastHelloAgeSeconds float64 `json:"last_hello_age_seconds"`
	// Namesake: another node has the same name.
	Namesake bool `json:"namesake"`
	// Differs are the keys of settings of the daemon that differ from this
	// node's.
	Differs []string        `json:"differs"`
	VIPs    []PeerVIPStatus `json:"vips"`
}

// PeerVIPStatus is a peer's part in a VIP group, as it said last.
type PeerVIPStatus struct {
	// Name is the group's name here; the peer's if this node does not have the
	// group.
	Name string `json:"name"`
	// Interface is this node's, Address the peer's, between which hellos go.
	Interface string     `json:"interface"`
	Address   netip.Addr `json:"address"`
	// State is a State, or claiming (about to own) or listening (an owner that
	// was late).
	State     string `json:"state"`
	Band      string `json:"band"`
	Priority  uint8  `json:"priority"`
	Reason    string `json:"reason"`
	Healthy   bool   `json:"healthy"`
	Drained   bool   `json:"drained"`
	Announced bool   `json:"announced"`
	// APIServer is alive, stopping, hung, dead or unknown.
	APIServer string `json:"api_server"`
	// Successor is the node that an owner wants to take over.
	Successor string `json:"successor,omitempty"`
	// Connections are those that it carries as a former owner, ForwardingTo the
	// node that it passes on to.
	Connections  int    `json:"connections"`
	ForwardingTo string `json:"forwarding_to,omitempty"`
	// Differs are the keys of settings of the group that differ from this
	// node's.
	Differs []string `json:"differs"`
}

func (a *Agent) helloStatus(now time.Time) HelloStatus {
	c := &a.cluster
	s := HelloStatus{
		Enabled: a.config.Hello.Enabled, Authenticated: c.keyed,
		Error: c.fault, Namesake: c.table.Namesake(now),
	}
	if s.Error == "" && c.keyFault != "" {
		s.Error = "auth_key_file: " + c.keyFault
	}
	if discarded := a.loop.HellosDiscarded.Load(); discarded != nil {
		s.Discarded = *discarded
	}
	return s
}

// peerStatuses are the peers by name.
func (a *Agent) peerStatuses(now time.Time) []PeerStatus {
	all := []PeerStatus{}
	for n := range a.cluster.table.All() {
		all = append(all, a.peerStatus(now, n))
	}
	slices.SortFunc(all, func(x, y PeerStatus) int {
		if x.Node < y.Node {
			return -1
		}
		return 1
	})
	return all
}

func (a *Agent) peerStatus(now time.Time, n *peer.Node) PeerStatus {
	s := PeerStatus{
		Node: n.Name, Version: n.Version, Condition: n.Condition.String(), Since: n.Since,
		Addresses: []netip.Addr{}, Authenticated: n.Authenticated, Hears: n.Hears,
		LastHelloAgeSeconds: now.Sub(n.Heard).Seconds(), Namesake: n.Namesake,
		Differs: present(a.nodeDifferences(n)), VIPs: []PeerVIPStatus{},
	}
	for i := range n.Members {
		m := &n.Members[i]
		for _, addr := range m.Link.Addresses {
			if !slices.Contains(s.Addresses, addr) {
				s.Addresses = append(s.Addresses, addr)
			}
		}
		s.VIPs = append(s.VIPs, a.peerVIPStatus(n, m))
	}
	return s
}

func (a *Agent) peerVIPStatus(n *peer.Node, m *peer.Member) PeerVIPStatus {
	v := PeerVIPStatus{
		Name: m.Name, Interface: m.Interface, Address: m.Source, State: m.Role.String(),
		Band: m.Band.String(), Priority: m.Priority, Reason: m.Reason, Healthy: m.Band == peer.Healthy,
		Drained: m.Drained, Announced: m.Announced, APIServer: m.APIServer.String(),
		Successor: a.nodeName(m.Successor), Connections: int(m.Connections), ForwardingTo: a.nodeName(m.Predecessor), Differs: []string{},
	}
	for _, g := range a.groups {
		if m.Shares(g.cfg.Addresses) {
			v.Name, v.Differs = g.cfg.Name, present(g.differences(n))
			break
		}
	}
	return v
}

// nodeName is the name of a node; empty for nobody, the ID for one that is not
// known.
func (a *Agent) nodeName(id peer.ID) string {
	switch n := a.cluster.table.Node(id); {
	case id.IsZero():
		return ""
	case id == a.cluster.id:
		return a.config.Node
	case n != nil:
		return n.Name
	}
	return id.String()
}

// present is the list, in JSON never null.
func present(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
