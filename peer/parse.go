package peer

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Parser reads hellos. The zero value is ready. It keeps the words that it read,
// so that names and reasons that come again cost no memory.
type Parser struct {
	words map[string]string
}

// maxWords bounds the memory of words: many times what a cluster uses.
const maxWords = 1024

// Parse reads a datagram without its tag into h. It reuses h's memory, so it
// does not allocate once that has grown. The error is ErrVersion or
// ErrMalformed; h is then unspecified.
//
// Sections and fields of unknown type are skipped, and so is what follows the
// known part of a section, so that newer minor versions can add both. A section
// that comes twice counts as it came last, but for statements.
func (p *Parser) Parse(b []byte, h *Hello) error {
	if !versionKnown(b) {
		return ErrVersion
	}
	if len(b) > MaxSize {
		return ErrMalformed
	}
	*h = Hello{
		Minor:    b[5],
		Boot:     Boot(b[8:16]),
		Sequence: binary.BigEndian.Uint64(b[16:]),
		Nonce:    Nonce(b[24:32]),
		Echoes:   h.Echoes[:0], Digests: h.Digests[:0], Statements: h.Statements[:0],
		Link: Link{Addresses: h.Link.Addresses[:0]},
	}
	var ipv4, ipv6 []byte
	for rest := b[headerLength:]; len(rest) > 0; {
		kind, value, after, ok := cut(rest)
		if !ok {
			return ErrMalformed
		}
		rest = after
		switch kind {
		case sectionIPv4:
			ipv4 = value
		case sectionIPv6:
			ipv6 = value
		default:
			if !p.section(kind, value, h) {
				return ErrMalformed
			}
		}
	}
	var ok bool
	if h.Link.Addresses, ok = addresses(h.Link.Addresses, ipv4, ipv6, maxLinkAddresses); !ok || h.Name == "" {
		return ErrMalformed
	}
	return nil
}

// versionKnown reports whether b is a hello of this major version, as far as its
// header goes.
func versionKnown(b []byte) bool {
	return len(b) >= headerLength && string(b[:len(magic)]) == magic && b[4] == majorVersion
}

// cut takes the first section or field off b.
func cut(b []byte) (kind uint8, value, rest []byte, ok bool) {
	if len(b) < fieldHead {
		return 0, nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < fieldHead+length {
		return 0, nil, nil, false
	}
	return b[0], b[fieldHead:][:length], b[fieldHead+length:], true
}

func (p *Parser) section(kind uint8, value []byte, h *Hello) (ok bool) {
	ok = true
	switch kind {
	case sectionNode:
		if len(value) < nodeLength {
			return false
		}
		h.ID = ID(value[:8])
		h.Stopping = value[8]&nodeStopping != 0
		h.Name, ok = p.text(value[nodeLength:], maxName)
	case sectionVersion:
		h.Version, ok = p.text(value, maxVersion)
	case sectionCapabilities:
		if len(value) < 8 {
			return false
		}
		h.Capabilities = Capabilities(binary.BigEndian.Uint64(value))
	case sectionMAC:
		// A frame cannot come from a group (IEEE 802.3 3.2.3).
		if len(value) < 6 || value[0]&1 != 0 {
			return false
		}
		h.Link.MAC = [6]byte(value[:6])
	case sectionEchoes:
		// All of them, whatever the limit of this version: the one that counts
		// may be the last.
		h.Echoes, ok = list(h.Echoes[:0], value, len(value))
	case sectionDigests:
		h.Digests, ok = digests(h.Digests[:0], value)
	case sectionStatement:
		h.Statements = grow(h.Statements)
		return p.statement(value, &h.Statements[len(h.Statements)-1])
	}
	return ok
}

// grow adds a statement and keeps the memory of one that stood there before.
func grow(all []Statement) []Statement {
	if len(all) < cap(all) {
		return all[:len(all)+1]
	}
	return append(all, Statement{})
}

func (p *Parser) statement(b []byte, s *Statement) bool {
	*s = Statement{VIPs: s.VIPs[:0], Holders: s.Holders[:0], Digests: s.Digests[:0]}
	var ipv4, ipv6 []byte
	stated := false
	for rest := b; len(rest) > 0; {
		kind, value, after, ok := cut(rest)
		if !ok {
			return false
		}
		rest = after
		switch kind {
		case fieldIPv4:
			ipv4 = value
		case fieldIPv6:
			ipv6 = value
		default:
			if !p.field(kind, value, s) {
				return false
			}
			stated = stated || kind == fieldState
		}
	}
	var ok bool
	s.VIPs, ok = addresses(s.VIPs, ipv4, ipv6, maxVIPs)
	return ok && stated && len(s.VIPs) > 0
}

func (p *Parser) field(kind uint8, value []byte, s *Statement) (ok bool) {
	ok = true
	switch kind {
	case fieldName:
		s.Name, ok = p.text(value, maxName)
	case fieldState:
		return s.state(value)
	case fieldReason:
		s.Reason, ok = p.text(value, maxReason)
	case fieldPredecessor:
		s.Predecessor, ok = identity(value)
	case fieldSuccessor:
		s.Successor, ok = identity(value)
	case fieldHolders:
		s.Holders, ok = list(s.Holders[:0], value, maxHolders)
	case fieldTraffic:
		if len(value) < trafficLength {
			return false
		}
		s.Connections = binary.BigEndian.Uint32(value)
		s.Forwarded = binary.BigEndian.Uint64(value[4:])
	case fieldGrace:
		if len(value) < 4 {
			return false
		}
		s.Grace = time.Duration(binary.BigEndian.Uint32(value)) * time.Millisecond
	case fieldDigests:
		s.Digests, ok = digests(s.Digests[:0], value)
	}
	return ok
}

func (s *Statement) state(value []byte) bool {
	if len(value) < stateLength {
		return false
	}
	s.VRID = value[0]
	s.Role = understood(value[1], roles)
	s.Band = understood(value[2], bands)
	s.Priority = value[3]
	s.APIServer = understood(value[4], apiServers)
	flags := binary.BigEndian.Uint16(value[5:])
	s.Drained = flags&stateDrained != 0
	s.Announced = flags&stateAnnounced != 0
	s.Done = flags&stateDone != 0
	return true
}

// text reads a name or word; one that is longer than this version's limit is
// cut.
func (p *Parser) text(b []byte, limit int) (string, bool) {
	for _, c := range b {
		if !graphic(c) {
			return "", false
		}
	}
	b = b[:min(len(b), limit)]
	if s, ok := p.words[string(b)]; ok {
		return s, true
	}
	if p.words == nil || len(p.words) >= maxWords {
		p.words = map[string]string{}
	}
	s := string(b)
	p.words[s] = s
	return s, true
}

func identity(b []byte) (ID, bool) {
	if len(b) < len(ID{}) {
		return ID{}, false
	}
	return ID(b[:len(ID{})]), true
}

// list reads elements of 8 bytes each, the first limit of them.
func list[T ~[8]byte](to []T, b []byte, limit int) ([]T, bool) {
	if len(b)%8 != 0 {
		return to, false
	}
	for ; len(b) > 0 && len(to) < limit; b = b[8:] {
		to = append(to, T(b[:8]))
	}
	return to, true
}

func digests(to []Digest, b []byte) ([]Digest, bool) {
	if len(b)%digestLength != 0 {
		return to, false
	}
	for ; len(b) > 0 && len(to) < maxDigests; b = b[digestLength:] {
		to = append(to, Digest{Setting: Setting(b[0]), Hash: binary.BigEndian.Uint32(b[1:])})
	}
	return to, true
}

// addresses reads the addresses of both IP versions, the first limit of them.
// Each must be one that a host can have.
func addresses(to []netip.Addr, ipv4, ipv6 []byte, limit int) ([]netip.Addr, bool) {
	if len(ipv4)%4 != 0 || len(ipv6)%16 != 0 {
		return to, false
	}
	for ; len(ipv4) > 0; ipv4 = ipv4[4:] {
		a := netip.AddrFrom4([4]byte(ipv4[:4]))
		if !assignable(a) {
			return to, false
		}
		to = append(to, a)
	}
	for ; len(ipv6) > 0; ipv6 = ipv6[16:] {
		a := netip.AddrFrom16([16]byte(ipv6[:16]))
		if !assignable(a) {
			return to, false
		}
		to = append(to, a)
	}
	return to[:min(len(to), limit)], true
}

// assignable reports whether an interface on a link can have the address.
func assignable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
