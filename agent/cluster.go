package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/peer"
)

// cluster is what this node knows of the others by hellos, and how it tells them
// of itself. It belongs to the loop. Nothing of it elects an owner.
type cluster struct {
	id     peer.ID
	table  *peer.Table
	sender *peer.Sender
	beat   peer.Beat
	// stale: ports and trust have to be brought in line. retryAt is when a port
	// that could not be opened is tried again; fault is why it could not.
	stale   bool
	retryAt time.Time
	fault   string
	// speaks: there is a port to say hello on.
	speaks bool
	// keyed: hellos are authenticated. endKeys ends the goroutine that follows
	// the key file; keyFault is why its newest content is not used.
	keyed    bool
	keyFile  string
	endKeys  func()
	keyFault string

	// discarded counts hellos by reason until Loop publishes it.
	discarded map[string]uint64
	// differing is what was told last of settings that differ, by peer; deaf are
	// the peers that were told not to hear this node.
	differing map[peer.ID]string
	deaf      map[peer.ID]bool

	hello    peer.Hello
	datagram peer.Datagram
	peers    []netip.Addr
}

func newCluster(o Options) cluster {
	return cluster{
		id:        peer.IDOf(o.Config.Node),
		table:     peer.NewTable(peer.Self{Name: o.Config.Node, Boot: o.Boot, Secret: o.Secret}, o.Keys),
		sender:    peer.NewSender(o.Keys),
		keyed:     o.Keys != nil,
		endKeys:   func() {},
		discarded: map[string]uint64{},
		differing: map[peer.ID]string{},
		deaf:      map[peer.ID]bool{},
	}
}

// learn acts on what the table learned.
func (a *Agent) learn(now time.Time, changes []peer.Change) {
	c := &a.cluster
	for _, change := range changes {
		switch change := change.(type) {
		case peer.Waiting:
			c.beat.Ask(now)
		case peer.Joined:
			n := c.table.Node(change.ID)
			a.log.Info("a peer is there", "peer", n.Name, "version", n.Version, "authenticated", n.Authenticated, "restarted", change.Restarted)
		case peer.Parted:
			a.log.Info("a peer stops", "peer", c.table.Node(change.ID).Name)
		case peer.Silenced:
			a.log.Warn("a peer fell silent", "peer", c.table.Node(change.ID).Name, "after", peer.Lifetime)
		case peer.Forgotten:
			a.log.Info("a peer that was gone is forgotten", "peer", change.Name)
			delete(c.differing, change.ID)
			delete(c.deaf, change.ID)
		case peer.Doubled:
			a.log.Warn("another node has the name of a node of this cluster; its hellos are refused. Set `node` to another name there", "name", change.Name, "from", change.Source)
		case peer.Said, peer.Unsaid:
			// Read from the table by consider.
		default:
			panic("agent: unhandled change of a peer")
		}
	}
}

// consider draws the conclusions from what the table knows now.
func (a *Agent) consider(now time.Time) {
	for _, g := range a.groups {
		g.consider(now)
	}
	for n := range a.cluster.table.All() {
		a.judgeSettings(n)
		a.judgeHearing(now, n)
	}
}

// member is the peer's living part in the group on its link; nil: it has none,
// or hellos of the group do not go in and out.
func (g *group) member(n *peer.Node) *peer.Member {
	m := n.Member(g.cfg.Addresses)
	if g.port() == nil || n.Condition != peer.Alive || m == nil || m.Interface != g.link.name || m.Source.Is6() != g.ipv6() {
		return nil
	}
	return m
}

// consider tells the machine of the group's members.
func (g *group) consider(now time.Time) {
	c := &g.agent.cluster
	var namedBy netip.Addr
	company := false
	members := c.peers[:0]
	for n := range c.table.All() {
		m := g.member(n)
		if m == nil {
			continue
		}
		owner := m.Role == peer.Owner || m.Role == peer.Listening
		switch {
		case owner && m.Successor == c.id:
			namedBy = m.Source
		case !owner:
			company = true
		}
		if n.Hears {
			members = append(members, m.Source)
		}
	}
	c.peers = members
	g.follow(now)
	g.step(now, vrrp.Named{By: namedBy})
	if !slices.Equal(members, g.hello.members) {
		g.hello.members = slices.Clone(members)
		g.step(now, vrrp.Members{Addrs: g.hello.members})
	}
	// Hellos prove that adverts would arrive only if both go the same way.
	if company && !g.helloPeersSet() {
		g.step(now, vrrp.Company{})
	}
}

// judgeSettings tells of settings that differ, once for as long as they do.
func (a *Agent) judgeSettings(n *peer.Node) {
	c := &a.cluster
	if n.Condition != peer.Alive {
		return
	}
	text := strings.Join(a.differences(n), ", ")
	if text == c.differing[n.ID] {
		return
	}
	c.differing[n.ID] = text
	if text == "" {
		a.log.Info("the settings of a peer are equal to this node's again", "peer", n.Name)
		return
	}
	a.log.Warn("the configuration differs from a peer's where it has to be equal", "peer", n.Name, "keys", text)
}

// differences are the keys of settings that differ, in full.
func (a *Agent) differences(n *peer.Node) []string {
	keys := a.nodeDifferences(n)
	for _, g := range a.groups {
		for _, key := range g.differences(n) {
			keys = append(keys, fmt.Sprintf("vips[%s].%s", g.cfg.Name, key))
		}
	}
	return keys
}

func (a *Agent) nodeDifferences(n *peer.Node) []string {
	own := [...]peer.Digest{peer.DigestOf(peer.SettingCluster, a.config.Cluster)}
	return words(peer.Differing(own[:], n.Digests))
}

func (g *group) differences(n *peer.Node) []string {
	m := n.Member(g.cfg.Addresses)
	if m == nil {
		return nil
	}
	return words(peer.Differing(g.hello.digests, m.Digests))
}

func words(settings []peer.Setting) []string {
	all := make([]string, 0, len(settings))
	for _, s := range settings {
		all = append(all, s.String())
	}
	return all
}

// judgeHearing tells of a peer that does not hear this node, once for as long as
// that lasts.
func (a *Agent) judgeHearing(now time.Time, n *peer.Node) {
	deaf := a.isDeaf(now, n)
	if deaf == a.cluster.deaf[n.ID] {
		return
	}
	a.cluster.deaf[n.ID] = deaf
	if deaf {
		a.log.Warn("a peer does not hear this node's hellos; look at its firewall (UDP) and at its list of peers", "peer", n.Name)
		return
	}
	a.log.Info("a peer hears this node's hellos again, or is gone", "peer", n.Name)
}

// isDeaf: the peer is heard, and has had the time to hear this node.
func (a *Agent) isDeaf(now time.Time, n *peer.Node) bool {
	there := n.Condition == peer.Alive && now.Sub(n.Since) >= peer.Lifetime
	overheard := n.Condition == peer.Silent && !n.Overheard.IsZero() && now.Sub(n.Overheard) < peer.Lifetime
	return !n.Hears && (there || overheard)
}
