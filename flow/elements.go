package flow

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// loopback is the index of lo, which is 1 in every network namespace.
const loopback = 1

// Names of the sets and maps whose elements say what this node is to a VIP.
const (
	setOwned    = "owned"    // interface . VIP . port
	setShadowed = "shadowed" // interface . VIP . port
	setVIPs     = "vips"     // interface . VIP
	setGuarded  = "guarded"  // interface
	mapOut      = "out"      // VIP : interface . port
	mapPrev     = "prev"     // VIP : next hop
	mapOwners   = "owners"   // VIP : next hop
	mapAsks     = "asks"     // VIP : own address, IPv6 only
)

// stateSets are the sets that each Apply fills anew.
func stateSets(v6 bool) []string {
	sets := []string{setOwned, setShadowed, setVIPs, setGuarded, mapOut, mapPrev, mapOwners}
	if v6 {
		sets = append(sets, mapAsks)
	}
	return sets
}

// part is what this node is to one VIP, in the kernel's terms.
type part struct {
	vip      netip.Addr
	port     uint16
	index    int // of the VIP's interface
	role     Role
	prev     netip.Addr // invalid: none
	owner    netip.Addr // invalid: none
	own      netip.Addr // this host's link-local address there; invalid: none
	settling bool
	lifetime time.Duration
}

// element is an entry of a set or, with a value, of a map.
type element struct {
	set        string
	key, value []byte
	timeout    time.Duration
}

// elements are what the parts of one family look like in the sets, in the order
// of the parts. guard: packets from outside that bear one of this host's
// addresses are told from those of a carried connection.
func elements(parts []part, guard bool) []element {
	var all []element
	guarded := map[int]time.Duration{}
	for _, p := range parts {
		all = append(all, p.elements()...)
		if guard && p.needsAcceptLocal() {
			guarded[p.index] = max(guarded[p.index], p.lifetime)
		}
	}
	for _, p := range parts {
		if lifetime, ok := guarded[p.index]; ok {
			all = append(all, element{setGuarded, encodeIndex(p.index), nil, lifetime})
			delete(guarded, p.index)
		}
	}
	return all
}

func (p part) elements() []element {
	add := func(set string, key, value []byte) element { return element{set, key, value, p.lifetime} }
	vip := p.vip.AsSlice()
	all := []element{
		add(setVIPs, concat(encodeIndex(p.index), vip), nil),
		add(mapOut, vip, concat(encodeIndex(p.index), encodePort(p.port))),
	}
	switch p.role {
	case Owner:
		// This host's own clients reach the VIP over lo.
		all = append(all,
			add(setOwned, concat(encodeIndex(p.index), vip, encodePort(p.port)), nil),
			add(setOwned, concat(encodeIndex(loopback), vip, encodePort(p.port)), nil))
		if p.vip.Is6() && p.own.IsValid() {
			all = append(all, add(mapAsks, vip, p.own.AsSlice()))
		}
	case Shadow:
		all = append(all, add(setShadowed, concat(encodeIndex(p.index), vip, encodePort(p.port)), nil))
		if p.owner.IsValid() {
			all = append(all, add(mapOwners, vip, p.owner.AsSlice()))
		}
	default:
		panic("flow: " + p.role.String())
	}
	if p.prev.IsValid() {
		all = append(all, add(mapPrev, vip, p.prev.AsSlice()))
	}
	return all
}

// needsAcceptLocal: the predecessor answers this host's own clients from the
// VIP, an address that is this host's now. IPv4 calls that a martian; IPv6 does
// not mind.
func (p part) needsAcceptLocal() bool {
	return p.vip.Is4() && p.role == Owner && p.prev.IsValid()
}

// present is what the kernel's sets say of one VIP.
type present struct {
	role        Role
	prev, owner netip.Addr
}

// presence reads elements back; those that have expired are not among them.
func presence(all []element, v6 bool) map[netip.Addr]present {
	width := 4
	if v6 {
		width = 16
	}
	found := map[netip.Addr]present{}
	for _, e := range all {
		key := e.key
		if e.set == setOwned || e.set == setShadowed {
			key = key[min(4, len(key)):]
		}
		vip, ok := netip.AddrFromSlice(key[:min(width, len(key))])
		if !ok {
			continue
		}
		p := found[vip]
		switch e.set {
		case setOwned:
			p.role = Owner
		case setShadowed:
			p.role = Shadow
		case mapPrev:
			p.prev, _ = netip.AddrFromSlice(e.value[:min(width, len(e.value))])
		case mapOwners:
			p.owner, _ = netip.AddrFromSlice(e.value[:min(width, len(e.value))])
		default:
			continue
		}
		found[vip] = p
	}
	return found
}

// transition is what a change of parts asks for beyond the elements.
type transition struct {
	// settle: packets that circle are dropped for a moment instead of being
	// reset, because the other nodes change as well.
	settle []netip.Addr
	// forget: who opened a connection here in an earlier ownership may have closed
	// it since and opened it again elsewhere.
	forget []netip.Addr
}

// transitionTo compares what is with what shall be.
func transitionTo(parts []part, before map[netip.Addr]present) transition {
	var t transition
	for _, p := range parts {
		was := before[p.vip]
		if p.settling || was != (present{p.role, p.prev, p.owner}) {
			t.settle = append(t.settle, p.vip)
		}
		if p.role == Owner && was.role != Owner {
			t.forget = append(t.forget, p.vip)
		}
	}
	return t
}

// opened tells whose connection an entry of @seen is: source . port . VIP . port.
func opened(key []byte, v6 bool) netip.Addr {
	width := 4
	if v6 {
		width = 16
	}
	if len(key) < 2*width+4 {
		return netip.Addr{}
	}
	vip, _ := netip.AddrFromSlice(key[width+4 : 2*width+4])
	return vip
}

// concat joins the parts of a key; each takes whole registers of four bytes.
func concat(parts ...[]byte) []byte {
	var key []byte
	for _, p := range parts {
		key = append(key, p...)
		key = append(key, make([]byte, (4-len(p)%4)%4)...)
	}
	return slices.Clip(key)
}

// encodeIndex is an interface in the kernel's byte order.
func encodeIndex(i int) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(i)) //nolint:gosec // the kernel's own number, a positive int32
}

// encodePort is a port as it stands in a packet.
func encodePort(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
