package config

import (
	"net/netip"
	"slices"
	"strings"
)

// maxAddresses is how many IPv6 addresses one advert has room for in the
// smallest IPv6 MTU: 1280 bytes less 40 of the IPv6 header and 8 of the advert
// (RFC 9568 5.1), 16 bytes each.
const maxAddresses = (1280 - 40 - 8) / 16

// check reports what is wrong between the keys of a configuration whose single
// values are each in range.
func check(c *Config, f *findings) {
	if len(c.VIPs) == 0 {
		f.add("vips", "has no group; write at least vips: [{addresses: [192.0.2.10]}]")
	}
	checkGroupNames(c.VIPs, f)
	checkOverlap(c.VIPs, f)
	checkVRIDs(c.VIPs, f)
	checkHello(c, f)
	checkBGP(c, f)
	checkEtcd(&c.Etcd, f)
	checkReadiness(c.Readiness, c.Metrics.Listen, f)
	for i := range c.VIPs {
		checkGroup(&c.VIPs[i], element("vips", i), f)
		checkPeers(c.VIPs, i, f)
	}
}

func checkGroupNames(vips []VIP, f *findings) {
	seen := map[string]int{}
	for i, v := range vips {
		if first, ok := seen[v.Name]; ok {
			f.add(member(element("vips", i), "name"), "%s is also the name of vips[%d]", v.Name, first)
			continue
		}
		seen[v.Name] = i
	}
}

// checkOverlap reports addresses that stand twice, in one group or in two.
func checkOverlap(vips []VIP, f *findings) {
	type place struct{ group, index int }
	seen := map[netip.Addr]place{}
	for i, v := range vips {
		for j, a := range v.Addresses {
			if !a.IsValid() {
				continue
			}
			first, twice := seen[a]
			key := element(member(element("vips", i), "addresses"), j)
			switch {
			case twice && first.group == i:
				f.add(key, "%s is in the list twice", a)
			case twice:
				f.add(key, "overlapping groups: %s is also in vips[%d]", a, first.group)
			default:
				seen[a] = place{i, j}
			}
		}
	}
}

// router is what tells virtual routers apart: the VRID, on one link (RFC 9568
// section 3), in one address family.
type router struct {
	link string
	ipv6 bool
	vrid uint8
}

// checkVRIDs reports a VRID used twice on one interface. Groups that both leave
// the interface to be found count as on the same one, as they are on most
// hosts; CheckHost looks again when the interfaces are known.
func checkVRIDs(vips []VIP, f *findings) {
	seen := map[router]int{}
	for i, v := range vips {
		if v.Election == ElectionNone || v.VRRP.VRID == 0 || !carrier(v).IsValid() {
			continue
		}
		r := router{v.Interface, carrier(v).Is6(), v.VRRP.VRID}
		first, twice := seen[r]
		key := member(element("vips", i), "vrrp.vrid")
		switch {
		case twice && v.Interface == "":
			f.add(key, "%d is also the VRID of vips[%d], and both leave the interface to be found; write another VRID, or an interface for each", v.VRRP.VRID, first)
		case twice:
			f.add(key, "%d is also the VRID of vips[%d] on %s; write another", v.VRRP.VRID, first, v.Interface)
		default:
			seen[r] = i
		}
	}
}

// carrier is the address whose family carries the group's adverts; invalid
// when the group has none.
func carrier(v VIP) netip.Addr {
	if len(v.Addresses) == 0 {
		return netip.Addr{}
	}
	return v.Addresses[0]
}

func checkGroup(v *VIP, at string, f *findings) {
	checkAddresses(v, at, f)
	checkLinks(v, at, f)
	checkAxes(v, at, f)
	if v.Election != ElectionNone && carrier(*v).IsValid() && v.VRRP.VRID == 0 {
		f.add(member(at, "vrrp.vrid"), "the last byte of %s is 0, which is no VRID; write one of 1 to 255", carrier(*v))
	}
	if v.VRRP.PreemptDelay > 0 && v.VRRP.Preempt != PreemptAlways {
		f.add(member(at, "vrrp.preempt_delay"), "is for preempt: always; with preempt: %s no owner of the same band is displaced", v.VRRP.Preempt)
	}
	checkLease(v, at, f)
	checkRhythm(v, at, f)
	checkHealth(v.Health, member(at, "health"), f)
	checkProgram(v.Notify, member(at, "notify"), f)
}

// checkProgram reports a program that could not be found.
func checkProgram(command []string, at string, f *findings) {
	if len(command) > 0 && !strings.HasPrefix(command[0], "/") {
		f.add(element(at, 0), "%s is not an absolute path; no shell looks for the program", quote(command[0]))
	}
}

func checkAddresses(v *VIP, at string, f *findings) {
	key := member(at, "addresses")
	switch {
	case len(v.Addresses) == 0:
		f.add(key, "needs at least one address")
	case len(v.Addresses) > maxAddresses:
		f.add(key, "has %d addresses; an advert has room for %d", len(v.Addresses), maxAddresses)
	}
}

func checkLinks(v *VIP, at string, f *findings) {
	if v.Interface == "lo" && v.Election != ElectionNone {
		f.add(member(at, "interface"), "lo has no neighbours to advertise to; write the interface of the subnet")
	}
	if a := carrier(*v); a.Is6() && a.IsLinkLocalUnicast() && v.Interface == "" && v.Announce == AnnounceL2 {
		f.add(member(at, "interface"), "%s is link-local, which every interface has a subnet for; write the interface", a)
	}
	seen := map[string]bool{}
	for i, link := range v.TrackInterfaces {
		if link != "" && seen[link] {
			f.add(element(member(at, "track_interfaces"), i), "%s is in the list twice", link)
		}
		seen[link] = true
	}
}

// checkReadiness reports a port that is asked for twice, and a wait for balancers
// that cannot ask.
func checkReadiness(r Readiness, metrics string, f *findings) {
	if r.Listen != "" && r.Listen == metrics {
		f.add("readiness.listen", "%s is metrics.listen too; write another port", r.Listen)
	}
	if r.Listen == "" && r.DrainWait > 0 {
		f.add("readiness.drain_wait", "is for balancers that ask for readiness; write readiness.listen too")
	}
}

// checkHello reports peers that no node can be.
func checkHello(c *Config, f *findings) {
	seen := map[netip.Addr]bool{}
	for i, peer := range c.Hello.Peers {
		at := f.elementOf("hello.peers", i)
		switch {
		case !peer.IsValid():
		case seen[peer]:
			f.add(at, "%s is in the list twice", peer)
		case isVIP(c.VIPs, peer):
			f.add(at, "%s is a VIP; write the node's own address", peer)
		}
		seen[peer] = true
	}
}

// checkPeers reports peers of one group that no node can be.
func checkPeers(vips []VIP, group int, f *findings) {
	at := member(element("vips", group), "vrrp.peers")
	seen := map[netip.Addr]bool{}
	for i, peer := range vips[group].VRRP.Peers {
		if !peer.IsValid() {
			continue
		}
		if seen[peer] {
			f.add(f.elementOf(at, i), "%s is in the list twice", peer)
			continue
		}
		seen[peer] = true
		if text := peerProblem(vips, vips[group], peer); text != "" {
			f.add(f.elementOf(at, i), "%s", text)
		}
	}
}

// peerProblem says why peer cannot be a peer of a group; empty if it can.
func peerProblem(vips []VIP, group VIP, peer netip.Addr) string {
	if first := carrier(group); first.IsValid() && peer.Is6() != first.Is6() {
		return peer.String() + " is " + family(peer) + ", and the group's adverts are " + family(first) + ", as its first address"
	}
	if isVIP(vips, peer) {
		return peer.String() + " is a VIP; write the node's own address"
	}
	return ""
}

func isVIP(vips []VIP, a netip.Addr) bool {
	return slices.ContainsFunc(vips, func(v VIP) bool { return slices.Contains(v.Addresses, a) })
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}

// checkHealth reports checks that cannot work.
func checkHealth(checks []Check, at string, f *findings) {
	seen := map[string]int{}
	for i := range checks {
		c, at := &checks[i], element(at, i)
		if first, ok := seen[c.Name]; ok {
			f.add(member(at, "name"), "%s is also the name of health[%d]; write another", c.Name, first)
		} else {
			seen[c.Name] = i
		}
		// Without its type nothing else can be said of a check.
		if f.faulty(member(at, "type")) {
			continue
		}
		checkForeignKeys(c, at, f)
		checkTarget(c, at, f)
		checkCredentials(c, at, f)
	}
}

// checkForeignKeys reports keys of other types of checks.
func checkForeignKeys(c *Check, at string, f *findings) {
	for _, k := range checkKeys() {
		if k.applies(c) || same(k.value.write(c), k.value.write(&Check{})) {
			continue
		}
		var types []CheckType
		for _, t := range checkTypes() {
			if k.when(&Check{Type: t}) {
				types = append(types, t)
			}
		}
		f.add(member(at, k.name), "is for type %s; this check is of type %s", orList(types), c.Type)
	}
}

// checkTarget reports what a check of its type needs.
func checkTarget(c *Check, at string, f *findings) {
	switch c.Type {
	case CheckHTTPS, CheckHTTP:
		checkURL(c.Type, c.URL, member(at, "url"), f)
		if c.LivenessURL != "" {
			checkURL(c.Type, c.LivenessURL, member(at, "liveness_url"), f)
		}
	case CheckTCP:
		if c.Address == "" {
			f.add(member(at, "address"), "a check of type tcp needs one; write host:port")
		}
	case CheckExec:
		if len(c.Command) == 0 {
			f.add(member(at, "command"), "a check of type exec needs one; write [/path/to/program, argument]")
		}
		checkProgram(c.Command, member(at, "command"), f)
	}
}

func checkURL(t CheckType, url, key string, f *findings) {
	switch {
	case url == "":
		f.add(key, "a check of type %s needs one; write %s://host:port/path", t, t)
	case !strings.HasPrefix(strings.ToLower(url), string(t)+"://"):
		f.add(key, "%s does not go with type %s; write %s://", quote(url), t, t)
	}
}

// checkCredentials reports sources of trust that exclude each other.
func checkCredentials(c *Check, at string, f *findings) {
	switch {
	case c.CertFile != "" && c.KeyFile == "":
		f.add(member(at, "cert_file"), "needs key_file too")
	case c.KeyFile != "" && c.CertFile == "":
		f.add(member(at, "key_file"), "needs cert_file too")
	}
	if c.Kubeconfig != "" {
		exclude(at, f, "kubeconfig gives this already; remove one of the two",
			written{"ca_file", c.CAFile}, written{"cert_file", c.CertFile}, written{"key_file", c.KeyFile})
	}
	if c.Insecure {
		exclude(at, f, "insecure: true verifies nothing; remove one of the two",
			written{"server_name", c.ServerName}, written{"ca_file", c.CAFile}, written{"kubeconfig", c.Kubeconfig})
	}
}

// written is a key with its text.
type written struct{ key, text string }

// exclude reports those of the keys that are not empty.
func exclude(at string, f *findings, why string, keys ...written) {
	for _, k := range keys {
		if k.text != "" {
			f.add(member(at, k.key), "%s", why)
		}
	}
}
