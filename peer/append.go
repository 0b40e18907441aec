package peer

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// Append appends one datagram to b: what the hello says of the node, and of its
// statements from the first-th on as many as fit, at least one. It leaves room
// for a tag and returns which statement comes next; when that is the number of
// statements, all is said. Each datagram is complete in itself, so each needs a
// Sequence of its own.
//
// Lists beyond the limits of the wire are cut, names and words too.
func (h *Hello) Append(b []byte, first int) (datagram []byte, next int) {
	start := len(b)
	b = h.appendNode(b)
	for next = first; next < len(h.Statements); next++ {
		whole := len(b)
		b = h.Statements[next].append(b)
		if len(b)-start > MaxSize-tagLength && next > first {
			return b[:whole], next
		}
	}
	return b, next
}

func (h *Hello) appendNode(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, majorVersion, minorVersion, 0, 0)
	b = append(b, h.Boot[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Sequence)
	b = append(b, h.Nonce[:]...)

	b, at := begin(b, sectionNode)
	b = append(b, h.ID[:]...)
	b = append(b, bit(h.Stopping, nodeStopping))
	b = end(appendText(b, h.Name, maxName), at)

	b = appendWord(b, sectionVersion, h.Version, maxVersion)
	if h.Capabilities != 0 {
		b, at = begin(b, sectionCapabilities)
		b = end(binary.BigEndian.AppendUint64(b, uint64(h.Capabilities)), at)
	}
	if h.Link.MAC != [6]byte{} {
		b, at = begin(b, sectionMAC)
		b = end(append(b, h.Link.MAC[:]...), at)
	}
	b = appendAddresses(b, sectionIPv4, sectionIPv6, h.Link.Addresses, maxLinkAddresses)
	b = appendList(b, sectionEchoes, h.Echoes, maxEchoes)
	return appendDigests(b, sectionDigests, h.Digests)
}

func (s *Statement) append(b []byte) []byte {
	b, section := begin(b, sectionStatement)
	b = appendWord(b, fieldName, s.Name, maxName)
	b = appendAddresses(b, fieldIPv4, fieldIPv6, s.VIPs, maxVIPs)

	b, at := begin(b, fieldState)
	b = append(b, s.VRID, uint8(s.Role), uint8(s.Band), s.Priority, uint8(s.APIServer), 0,
		bit(s.Drained, stateDrained)|bit(s.Announced, stateAnnounced)|bit(s.Done, stateDone))
	b = end(b, at)

	b = appendWord(b, fieldReason, s.Reason, maxReason)
	b = appendID(b, fieldPredecessor, s.Predecessor)
	b = appendID(b, fieldSuccessor, s.Successor)
	b = appendList(b, fieldHolders, s.Holders, maxHolders)
	if s.Connections != 0 || s.Forwarded != 0 {
		b, at = begin(b, fieldTraffic)
		b = binary.BigEndian.AppendUint32(b, s.Connections)
		b = end(binary.BigEndian.AppendUint64(b, s.Forwarded), at)
	}
	if ms := s.Grace / time.Millisecond; ms > 0 {
		b, at = begin(b, fieldGrace)
		b = end(binary.BigEndian.AppendUint32(b, uint32(min(ms, math.MaxUint32))), at)
	}
	b = appendDigests(b, fieldDigests, s.Digests)
	return end(b, section)
}

// begin appends the head of a section or field; end fills in its length.
func begin(b []byte, kind uint8) (_ []byte, at int) {
	return append(b, kind, 0, 0), len(b)
}

func end(b []byte, at int) []byte {
	binary.BigEndian.PutUint16(b[at+1:], uint16(len(b)-at-fieldHead))
	return b
}

func bit(set bool, value uint8) uint8 {
	if set {
		return value
	}
	return 0
}

func appendWord(b []byte, kind uint8, text string, limit int) []byte {
	if text == "" {
		return b
	}
	b, at := begin(b, kind)
	return end(appendText(b, text, limit), at)
}

// appendText writes '?' for what Parse would refuse: one odd character in a name
// must not make a node unheard.
func appendText(b []byte, text string, limit int) []byte {
	for _, c := range []byte(text[:min(len(text), limit)]) {
		if !graphic(c) {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// graphic reports whether c may stand in a text of a hello: texts are shown on
// terminals, in logs and in labels.
func graphic(c byte) bool { return c > ' ' && c <= '~' }

func appendAddresses(b []byte, ipv4, ipv6 uint8, all []netip.Addr, limit int) []byte {
	all = all[:min(len(all), limit)]
	b, at := begin(b, ipv4)
	for _, a := range all {
		if a.Is4() {
			v := a.As4()
			b = append(b, v[:]...)
		}
	}
	b = endList(b, at)
	b, at = begin(b, ipv6)
	for _, a := range all {
		if a.Is6() {
			v := a.As16()
			b = append(b, v[:]...)
		}
	}
	return endList(b, at)
}

// endList is end; a list without elements is left out.
func endList(b []byte, at int) []byte {
	if len(b) == at+fieldHead {
		return b[:at]
	}
	return end(b, at)
}

func appendID(b []byte, kind uint8, id ID) []byte {
	if id.IsZero() {
		return b
	}
	b, at := begin(b, kind)
	return end(append(b, id[:]...), at)
}

func appendList[T ~[8]byte](b []byte, kind uint8, list []T, limit int) []byte {
	b, at := begin(b, kind)
	for _, v := range list[:min(len(list), limit)] {
		eight := [8]byte(v)
		b = append(b, eight[:]...)
	}
	return endList(b, at)
}

func appendDigests(b []byte, kind uint8, list []Digest) []byte {
	b, at := begin(b, kind)
	for _, d := range list[:min(len(list), maxDigests)] {
		b = append(b, uint8(d.Setting))
		b = binary.BigEndian.AppendUint32(b, d.Hash)
	}
	return endList(b, at)
}
