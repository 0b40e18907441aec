package agent

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
	"github.com/vipd/vipd/peer"
)

// facts are what a node says of a group and what makes a hello news when it
// changes.
type facts struct {
	role               peer.Role
	band               peer.Band
	priority           uint8
	apiServer          peer.APIServer
	reason             election.Reason
	drained, announced bool
	done               bool
	successor          peer.ID
	predecessor        peer.ID
	holders            [chainMax]peer.ID
}

func (g *group) facts(now time.Time) facts {
	_, drained := g.agent.drained[g.cfg.Name]
	return facts{
		role: g.role(), band: bandOf(g.machine.Band()), priority: g.machine.Priority(now),
		apiServer: apiServerOf(g.fitness.liveness, g.shadow.open.Remote), reason: g.shown.reason,
		drained:   drained || g.off,
		announced: g.machine.State() == vrrp.Active && g.holds() && g.unannounced == "",
		done:      g.shadow.done(),
		successor: g.namesSuccessor(), predecessor: g.handover.predecessor,
		holders: g.holders(now),
	}
}

// holders are, for an owner, the nodes that have connections of the group: itself,
// and those behind it that carry some.
func (g *group) holders(now time.Time) (ids [chainMax]peer.ID) {
	if !g.machine.Owns() || !g.wanted {
		return ids
	}
	n := 0
	for _, id := range g.handover.chain {
		if id == g.agent.cluster.id || g.handover.passing.blocked == "" && g.carries(now, id) {
			ids[n] = id
			n++
		}
	}
	return ids
}

func (g *group) role() peer.Role {
	if g.shadow.casts() && !g.wanted && g.fault.reason == "" {
		return peer.Shadow
	}
	switch g.machine.State() {
	case vrrp.Init:
		if g.fault.reason != "" {
			return peer.Faulty
		}
		return peer.Starting
	case vrrp.Active:
		return peer.Owner
	case vrrp.Listening:
		return peer.Listening
	case vrrp.Displacing:
		return peer.Claiming
	case vrrp.Backup, vrrp.Probing:
		if g.off {
			return peer.Withdrawn
		}
		return peer.Backup
	}
	panic("agent: unhandled election state")
}

func bandOf(b election.Band) peer.Band {
	switch b {
	case election.Resigned:
		return peer.Resigned
	case election.Draining:
		return peer.Draining
	case election.Unhealthy:
		return peer.Unhealthy
	case election.Healthy:
		return peer.Healthy
	}
	panic("agent: unhandled band")
}

// apiServerOf is the server's state; one that refuses new connections and has open
// ones is stopping.
func apiServerOf(l counter.Liveness, open int) peer.APIServer {
	switch l {
	case counter.Unknown:
		return peer.APIServerUnknown
	case counter.Alive:
		return peer.APIServerAlive
	case counter.Hung:
		return peer.APIServerHung
	case counter.Dead:
		if open > 0 {
			return peer.APIServerStopping
		}
		return peer.APIServerDead
	}
	panic("agent: unhandled liveness")
}

// statement is what hellos say of the group.
func (g *group) statement(now time.Time) peer.Statement {
	s := &g.hello.said
	holders := slices.Clone(s.holders[:])
	return peer.Statement{
		Name: g.cfg.Name, VIPs: g.hello.vips, VRID: g.cfg.VRRP.VRID,
		Role: s.role, Band: s.band, Priority: s.priority, APIServer: s.apiServer,
		Reason: string(s.reason), Drained: s.drained, Announced: s.announced,
		Successor: s.successor, Predecessor: s.predecessor, Done: s.done,
		Holders:     slices.DeleteFunc(holders, peer.ID.IsZero),
		Connections: uint32(tally(g.shadow.open.Own + g.shadow.open.Remote)), //nolint:gosec // fits
		Forwarded:   g.handover.passing.on, Grace: g.graceLeft(now), Digests: g.hello.digests,
	}
}

// fillHello says of the node itself what is true on the group's link.
func (g *group) fillHello(h *peer.Hello) {
	a := g.agent
	i := a.interfaces[g.link.name]
	h.Version, h.Capabilities = a.opts.Version, a.capabilities()
	h.Digests = append(h.Digests[:0], peer.DigestOf(peer.SettingCluster, a.config.Cluster))
	h.Link.MAC, h.Link.Addresses = i.MAC, h.Link.Addresses[:0]
	for _, ipv6 := range [...]bool{false, true} {
		for _, addr := range i.Addresses {
			ip := addr.Prefix.Addr()
			if _, vip := (*a.watched.Load())[ip]; ip.Is6() == ipv6 && !vip && !addr.Unusable {
				h.Link.Addresses = append(h.Link.Addresses, ip)
			}
		}
	}
	h.Statements = h.Statements[:0]
}

// groupHello is what hellos say of a group, and what they told of it.
type groupHello struct {
	// said is what the last hello said.
	said    facts
	vips    []netip.Addr
	digests []peer.Digest

	// advertisers are when each other node was last heard as owner; crowded: more
	// were heard than are remembered.
	advertisers map[netip.Addr]time.Time
	crowded     bool
	// members are those that the machine knows by hellos.
	members []netip.Addr
}

// prepare notes what is said of the group's configuration.
func (h *groupHello) prepare(v config.VIP) {
	h.vips = slices.Clone(v.Addresses)
	slices.SortStableFunc(h.vips, func(a, b netip.Addr) int { return family(a.Is6()) - family(b.Is6()) })
	h.digests = digests(v)
}

// forget forgets who was heard on a link that the group has left.
func (h *groupHello) forget() {
	clear(h.advertisers)
	h.crowded = false
}

// digests are of the settings that have to be the same on all nodes.
func digests(v config.VIP) []peer.Digest {
	addresses := make([]string, len(v.Addresses))
	for i, a := range v.Addresses {
		addresses[i] = a.String()
	}
	slices.Sort(addresses)
	return []peer.Digest{
		peer.DigestOf(peer.SettingAddresses, strings.Join(addresses, " ")),
		peer.DigestOf(peer.SettingPort, strconv.Itoa(int(v.Port))),
		peer.DigestOf(peer.SettingAnnounce, string(v.Announce)),
		peer.DigestOf(peer.SettingElection, string(v.Election)),
		peer.DigestOf(peer.SettingFence, v.Fence.String()),
		peer.DigestOf(peer.SettingVRID, strconv.Itoa(int(v.VRRP.VRID))),
		peer.DigestOf(peer.SettingVRRPVersion, strconv.Itoa(v.VRRP.Version)),
		peer.DigestOf(peer.SettingAdvertInterval, v.VRRP.AdvertInterval.String()),
		peer.DigestOf(peer.SettingPreempt, string(v.VRRP.Preempt)),
		peer.DigestOf(peer.SettingHandoverPreserve, strconv.FormatBool(v.Handover.Preserve)),
		peer.DigestOf(peer.SettingHandoverGrace, v.Handover.Grace.String()),
	}
}

// capabilities are what others may rely on.
func (a *Agent) capabilities() peer.Capabilities {
	var c peer.Capabilities
	if a.abilities.IPv4 {
		c |= peer.ForwardsIPv4
	}
	if a.abilities.IPv6 {
		c |= peer.ForwardsIPv6
	}
	if a.abilities.IPv4 || a.abilities.IPv6 {
		c |= peer.Shadows
	}
	if a.abilities.Resets {
		c |= peer.Resets
	}
	return c
}
