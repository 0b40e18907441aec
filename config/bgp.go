package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vipd/vipd/bgp"
)

// BGP configures how VIPs with announce: bgp are announced.
type BGP struct {
	// ASN is this node's autonomous system; 0: none is configured.
	ASN uint32
	// RouterID is an IPv4 address; invalid: the node's first one.
	RouterID netip.Addr
	// LocalAddress is the source of all sessions of its family; invalid: as the
	// kernel chooses.
	LocalAddress netip.Addr
	Neighbors    []Neighbor
	// Communities are a:b and a:b:c, checked.
	Communities []string
	MED         uint32
	Unhealthy   Worse
	Leaving     Leaving
	// ReturnDelay is how long health must have been good before this node
	// announces as well as it can.
	ReturnDelay time.Duration
}

// Neighbor is a router.
type Neighbor struct {
	Address      netip.Addr
	ASN          uint32
	Port         uint16
	PasswordFile string
	// Multihop is the number of hops; 0: the router is on the link.
	Multihop    uint8
	TTLSecurity bool
	HoldTime    time.Duration
	// GracefulRestart is how long the router is to keep the routes of a speaker
	// that died; 0: not at all.
	GracefulRestart time.Duration
	BFD             BFD
}

// BFD configures how the way to a router is watched.
type BFD struct {
	Enabled           bool
	Transmit, Receive time.Duration
	Multiplier        uint8
}

// Worse is how an announcement is made worse than those of other nodes.
type Worse struct {
	// Prepend is how often the own AS number is added to the path.
	Prepend int
	MED     uint32
	// GracefulShutdown adds the community 65535:0 (RFC 8326).
	GracefulShutdown bool
}

// Leaving is how a node goes away.
type Leaving struct {
	Worse
	// Wait is the time between the worse announcement and the withdrawal, and
	// between that and the end of serving.
	Wait time.Duration
}

func defaultBGP() BGP {
	worse := Worse{Prepend: 3, MED: 1000, GracefulShutdown: true}
	return BGP{
		MED: 100, Unhealthy: worse, Leaving: Leaving{Worse: worse, Wait: time.Second},
		ReturnDelay: 10 * time.Second,
	}
}

func defaultNeighbor() Neighbor {
	return Neighbor{
		Port: 179, TTLSecurity: true, HoldTime: 9 * time.Second,
		BFD: BFD{Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3},
	}
}

// deriveBGP takes TTL security off sessions that cannot have it: it is for
// routers on the link, and internal sessions rarely have it.
func deriveBGP(b *BGP, f *findings) {
	for i := range b.Neighbors {
		n := &b.Neighbors[i]
		if (n.Multihop > 0 || n.ASN == b.ASN) && !f.written(member(element("bgp.neighbors", i), "ttl_security")) {
			n.TTLSecurity = false
		}
	}
}

func bgpKeys() []key[BGP] {
	return []key[BGP]{
		{
			name:  "asn",
			value: one(number[uint32](0, math.MaxUint32), func(b *BGP) *uint32 { return &b.ASN }),
		},
		{
			name:  "router_id",
			value: one(orNoAddress(unicastAddress), func(b *BGP) *netip.Addr { return &b.RouterID }),
		},
		{
			name:  "local_address",
			value: one(orNoAddress(unicastAddress), func(b *BGP) *netip.Addr { return &b.LocalAddress }),
		},
		{
			name:  "neighbors",
			value: sections(neighborKeys, defaultNeighbor, func(b *BGP) *[]Neighbor { return &b.Neighbors }),
		},
		{
			name:  "communities",
			value: list(text(community), func(b *BGP) *[]string { return &b.Communities }),
		},
		{
			name:  "med",
			value: one(number[uint32](0, math.MaxUint32), func(b *BGP) *uint32 { return &b.MED }),
		},
		{
			name:  "unhealthy",
			value: section(worseKeys, yaml.FlowStyle, func(b *BGP) *Worse { return &b.Unhealthy }),
		},
		{
			name:  "leaving",
			value: section(leavingKeys, yaml.FlowStyle, func(b *BGP) *Leaving { return &b.Leaving }),
		},
		{
			name:  "return_delay",
			value: one(duration(delay()), func(b *BGP) *time.Duration { return &b.ReturnDelay }),
		},
	}
}

func neighborKeys() []key[Neighbor] {
	return []key[Neighbor]{
		{
			name:  "address",
			value: one(routerAddress(), func(n *Neighbor) *netip.Addr { return &n.Address }),
		},
		{
			name:  "asn",
			value: one(number[uint32](1, math.MaxUint32), func(n *Neighbor) *uint32 { return &n.ASN }),
		},
		{
			name:  "port",
			value: one(number[uint16](1, 65535), func(n *Neighbor) *uint16 { return &n.Port }),
		},
		{
			name:  "password_file",
			value: one(text(either(filePath)), func(n *Neighbor) *string { return &n.PasswordFile }),
		},
		{
			name:  "multihop",
			value: one(number[uint8](0, 255), func(n *Neighbor) *uint8 { return &n.Multihop }),
		},
		{
			name:  "ttl_security",
			value: one(truth(), func(n *Neighbor) *bool { return &n.TTLSecurity }),
		},
		{
			// RFC 4271 4.2: three seconds at the least, 16 bits.
			name: "hold_time",
			value: one(duration(span{low: 3 * time.Second, high: 65535 * time.Second, step: time.Second}),
				func(n *Neighbor) *time.Duration { return &n.HoldTime }),
		},
		{
			// RFC 4724 3: 12 bits of seconds.
			name: "graceful_restart",
			value: one(duration(span{low: time.Second, high: 4095 * time.Second, step: time.Second, orNone: true}),
				func(n *Neighbor) *time.Duration { return &n.GracefulRestart }),
		},
		{
			name:  "bfd",
			value: section(bfdKeys, yaml.FlowStyle, func(n *Neighbor) *BFD { return &n.BFD }),
		},
	}
}

// bfdInterval is the span of BFD's intervals. Nothing on a general-purpose
// system keeps time better than 10 ms for long.
func bfdInterval() kind[time.Duration] {
	return duration(span{low: 10 * time.Millisecond, high: 10 * time.Second})
}

func bfdKeys() []key[BFD] {
	return []key[BFD]{
		{
			name:  "enabled",
			value: one(truth(), func(b *BFD) *bool { return &b.Enabled }),
		},
		{
			name:  "transmit",
			value: one(bfdInterval(), func(b *BFD) *time.Duration { return &b.Transmit }),
		},
		{
			name:  "receive",
			value: one(bfdInterval(), func(b *BFD) *time.Duration { return &b.Receive }),
		},
		{
			name:  "multiplier",
			value: one(number[uint8](1, 255), func(b *BFD) *uint8 { return &b.Multiplier }),
		},
	}
}

func worseKeys() []key[Worse] {
	return []key[Worse]{
		{
			name:  "prepend",
			value: one(number[int](0, 20), func(w *Worse) *int { return &w.Prepend }),
		},
		{
			name:  "med",
			value: one(number[uint32](0, math.MaxUint32), func(w *Worse) *uint32 { return &w.MED }),
		},
		{
			name:  "graceful_shutdown",
			value: one(truth(), func(w *Worse) *bool { return &w.GracefulShutdown }),
		},
	}
}

func leavingKeys() []key[Leaving] {
	return []key[Leaving]{
		{
			name:  "prepend",
			value: one(number[int](0, 20), func(l *Leaving) *int { return &l.Prepend }),
		},
		{
			name:  "med",
			value: one(number[uint32](0, math.MaxUint32), func(l *Leaving) *uint32 { return &l.MED }),
		},
		{
			name:  "graceful_shutdown",
			value: one(truth(), func(l *Leaving) *bool { return &l.GracefulShutdown }),
		},
		{
			name: "wait",
			value: one(duration(span{low: 0, high: time.Minute}),
				func(l *Leaving) *time.Duration { return &l.Wait }),
		},
	}
}

// orNoAddress accepts the empty string too, which is no address.
func orNoAddress(parse func(string) (netip.Addr, error)) kind[netip.Addr] {
	return kind[netip.Addr]{
		parse: func(s string) (netip.Addr, error) {
			if s == "" {
				return netip.Addr{}, nil
			}
			return parse(s)
		},
		format: formatAddress,
		tag:    "!!str",
	}
}

func formatAddress(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// routerAddress is where a session goes.
func routerAddress() kind[netip.Addr] {
	return kind[netip.Addr]{
		parse: func(s string) (netip.Addr, error) {
			a, err := unicastAddress(s)
			if err == nil && a.Is6() && a.IsLinkLocalUnicast() {
				return netip.Addr{}, fmt.Errorf("%s is link-local; write a global address of the router", quote(s))
			}
			return a, err
		},
		format: formatAddress,
		tag:    "!!str",
	}
}

// community accepts a community or a large one.
func community(s string) error {
	_, _, _, err := bgp.ParseCommunity(s)
	return err
}

// checkBGP reports what is wrong between the keys of bgp, and between them and
// the groups.
func checkBGP(c *Config, f *findings) {
	for i, v := range c.VIPs {
		at := member(element("vips", i), "announce")
		switch {
		case v.Announce != AnnounceBGP || f.faulty("bgp.asn") || f.faulty("bgp.neighbors"):
		case c.BGP.ASN == 0:
			f.add(at, "bgp needs bgp.asn, the number of this node's autonomous system")
		case len(c.BGP.Neighbors) == 0:
			f.add(at, "bgp needs a router to announce to; write bgp.neighbors: [{address: 192.0.2.1, asn: 64500}]")
		}
	}
	switch id := c.BGP.RouterID; {
	case id.Is6():
		f.add("bgp.router_id", "%s is IPv6; a router ID is written as an IPv4 address", id)
	case id.IsValid() && isVIP(c.VIPs, id):
		f.add("bgp.router_id", "%s is a VIP, which other nodes have too; a router ID is one node's", id)
	}
	if c.BGP.ASN == asTrans {
		f.add("bgp.asn", "%s", nobodysAS)
	}
	checkSource(c, f)
	checkWorse(c.BGP, "unhealthy", c.BGP.Unhealthy, f)
	checkWorse(c.BGP, "leaving", c.BGP.Leaving.Worse, f)
	// Another path is looked for when that time has passed.
	if wait := c.BGP.Leaving.Wait; c.announces() && wait >= c.Drain.Timeout && !f.faulty("drain.timeout") {
		f.add("bgp.leaving.wait", "%s is not shorter than drain.timeout, %s: no drain would have the time to look for another path; change one of the two", formatDuration(wait), formatDuration(c.Drain.Timeout))
	}
	seen := map[netip.Addr]bool{}
	for i, n := range c.BGP.Neighbors {
		checkNeighbor(c, n, element("bgp.neighbors", i), f)
		if n.Address.IsValid() && seen[n.Address] {
			f.add(member(element("bgp.neighbors", i), "address"), "%s is in the list twice", n.Address)
		}
		seen[n.Address] = true
	}
}

// asTrans stands for larger AS numbers where there is no room for them.
const (
	asTrans   = 23456
	nobodysAS = "23456 is AS_TRANS, which is nobody's number (RFC 6793)"
)

// checkSource reports a source address that no session can have.
func checkSource(c *Config, f *findings) {
	const key = "bgp.local_address"
	source, routers := c.BGP.LocalAddress, c.BGP.Neighbors
	if !source.IsValid() {
		return
	}
	at := slices.IndexFunc(routers, func(n Neighbor) bool { return n.Address == source })
	switch {
	case isVIP(c.VIPs, source):
		f.add(key, "%s is a VIP; write an address of the node's own", source)
	case at >= 0:
		f.add(key, "%s is the router's, bgp.neighbors[%d]; write an address of the node's own", source, at)
	case len(routers) > 0 && !slices.ContainsFunc(routers, func(n Neighbor) bool { return n.Address.Is6() == source.Is6() }):
		f.add(key, "%s is %s, and no neighbour is; it would be the source of no session", source, family(source))
	}
}

// checkWorse reports routes that are to be worse and are not. Routers of the own
// AS are told a worse local preference in any case.
func checkWorse(b BGP, name string, w Worse, f *findings) {
	external := slices.ContainsFunc(b.Neighbors, func(n Neighbor) bool { return n.ASN != b.ASN })
	if external && w.Prepend == 0 && !w.GracefulShutdown && w.MED <= b.MED {
		f.add(member("bgp", name), "makes nothing worse for routers of another AS; write a prepend, graceful_shutdown: true, or a med above %d", b.MED)
	}
}

func checkNeighbor(c *Config, n Neighbor, at string, f *findings) {
	switch {
	case !n.Address.IsValid():
		f.add(member(at, "address"), "a neighbour needs one; write the router's")
	case isVIP(c.VIPs, n.Address):
		f.add(member(at, "address"), "%s is a VIP; write the router's own address", n.Address)
	}
	switch n.ASN {
	case 0:
		f.add(member(at, "asn"), "a neighbour needs one; write the number of the router's autonomous system")
	case asTrans:
		f.add(member(at, "asn"), "%s", nobodysAS)
	}
	if n.Multihop > 0 && n.TTLSecurity {
		f.add(member(at, "ttl_security"), "is for routers on the link, and multihop is %d; remove one of the two", n.Multihop)
	}
}

// checkAxes reports elections and announcements that do not go together.
func checkAxes(v *VIP, at string, f *findings) {
	if err := axes(v); err != nil {
		f.add(member(at, "election"), "%s", err)
	}
	if v.Election == ElectionNone && v.Interface != "" && v.Interface != "lo" {
		f.add(member(at, "interface"), "is where adverts go, and election: none has none; the addresses are held on lo. Remove it")
	}
}

func axes(v *VIP) error {
	if v.Election == ElectionNone && !v.Announce.Routed() {
		return errors.New("none would put the addresses on every node of a segment; it needs announce: bgp or local")
	}
	return nil
}

// announces tells whether vipd announces a VIP by BGP.
func (c *Config) announces() bool {
	return slices.ContainsFunc(c.VIPs, func(v VIP) bool { return v.Announce == AnnounceBGP })
}

func bgpWarnings(c *Config) []string {
	var all []string
	if d := c.Drain; c.announces() && 2*c.BGP.Leaving.Wait > d.ShutdownTimeout-d.Parting() {
		all = append(all, fmt.Sprintf("bgp.leaving.wait: twice %s, and %s for the end of sessions, do not fit into drain.shutdown_timeout, %s: a stop ends before its last packets have arrived",
			formatDuration(c.BGP.Leaving.Wait), formatDuration(d.Parting()), formatDuration(d.ShutdownTimeout)))
	}
	for _, worse := range []struct {
		key string
		med uint32
	}{{"unhealthy", c.BGP.Unhealthy.MED}, {"leaving", c.BGP.Leaving.MED}} {
		if worse.med < c.BGP.MED {
			all = append(all, fmt.Sprintf("bgp.%s.med: %d is below bgp.med, %d; where routers compare it, the worse node is preferred", worse.key, worse.med, c.BGP.MED))
		}
	}
	for i, n := range c.BGP.Neighbors {
		for _, w := range neighborWarnings(n) {
			all = append(all, element("bgp.neighbors", i)+"."+w)
		}
	}
	return all
}

func neighborWarnings(n Neighbor) []string {
	const quick = 50 * time.Millisecond
	var all []string
	if b := n.BFD; b.Enabled && min(b.Transmit, b.Receive) < quick {
		all = append(all, "bfd: intervals below 50ms raise false alarms on hosts that are busy")
	}
	if n.BFD.Enabled && n.BFD.Multiplier == 1 {
		all = append(all, "bfd.multiplier: with 1 a single packet that is lost ends the session")
	}
	// RFC 5882 4.3.2 has routers go on with the restart; not all do.
	if n.BFD.Enabled && n.GracefulRestart > 0 {
		all = append(all, "graceful_restart: BFD goes down with the speaker too, and some routers, as BIRD, then give the routes up all the same")
	}
	return all
}

// sourceWarnings are about an address that this host may come to have.
func sourceWarnings(c *Config, host []Interface) []string {
	source := c.BGP.LocalAddress
	if !source.IsValid() || !c.announces() {
		return nil
	}
	for _, link := range host {
		if slices.ContainsFunc(link.Prefixes, func(p netip.Prefix) bool { return p.Addr() == source }) {
			return nil
		}
	}
	return []string{fmt.Sprintf("bgp.local_address: no interface has %s; the sessions wait for it", source)}
}
