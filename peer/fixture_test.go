package peer

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ring is the keyring of a key file with these lines.
func ring(t testing.TB, lines ...string) *Keyring {
	t.Helper()
	r, err := NewKeyring([]byte(strings.Join(lines, "\n")), "kubernetes")
	must(t, err)
	return r
}

var (
	keyOne = strings.Repeat("1", minKey)
	keyTwo = strings.Repeat("2", minKey)
)

// fullHello is a hello with every section and field: an owner that forwards to
// the node it took over from.
func fullHello() *Hello {
	return &Hello{
		Boot: Boot{0xb0, 1, 2, 3, 4, 5, 6, 7}, Sequence: 42,
		Nonce:  Nonce{0xc0, 1, 2, 3, 4, 5, 6, 7},
		Echoes: []Nonce{{0xe0, 1, 2, 3, 4, 5, 6, 7}, {0xe8, 1, 2, 3, 4, 5, 6, 7}},
		ID:     IDOf("cp2"), Name: "cp2", Stopping: true, Version: "v1.2.0",
		Capabilities: ForwardsIPv4 | ForwardsIPv6 | Shadows | Resets,
		Link: Link{
			MAC:       [6]byte{2, 0, 0, 0, 0, 0x12},
			Addresses: addrs("192.0.2.12", "2001:db8::12", "fe80::12"),
		},
		Digests:    []Digest{DigestOf(SettingCluster, "kubernetes")},
		Statements: []Statement{fullStatement()},
	}
}

func fullStatement() Statement {
	return Statement{
		Name: "apiserver", VIPs: addrs("192.0.2.10", "2001:db8::10"), VRID: 51,
		Role: Owner, Band: Healthy, Priority: 200, APIServer: APIServerAlive, Reason: "owner-draining",
		Drained: true, Announced: true, Done: true,
		Predecessor: IDOf("cp1"), Successor: IDOf("cp3"), Holders: []ID{IDOf("cp2"), IDOf("cp1")},
		Connections: 12, Forwarded: 3456, Grace: 9*time.Minute + 59*time.Second + 500*time.Millisecond,
		Digests: []Digest{DigestOf(SettingVRID, "51"), DigestOf(SettingFence, "3s")},
	}
}

// sparseHello says no more than it must.
func sparseHello() *Hello {
	return &Hello{ID: IDOf("cp1"), Name: "cp1"}
}

// greatestHello is a hello at every limit, with one statement.
func greatestHello() *Hello {
	h := fullHello()
	h.Name = strings.Repeat("n", maxName)
	h.Version = strings.Repeat("v", maxVersion)
	h.Link.Addresses = addrs("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4")
	h.Echoes = make([]Nonce, maxEchoes)
	h.Digests = make([]Digest, maxDigests)
	s := &h.Statements[0]
	s.Name = strings.Repeat("g", maxName)
	s.Reason = strings.Repeat("r", maxReason)
	s.VIPs = addrs("2001:db8::11", "2001:db8::12", "2001:db8::13", "2001:db8::14",
		"2001:db8::15", "2001:db8::16", "2001:db8::17", "2001:db8::18")
	s.Holders = make([]ID, maxHolders)
	s.Digests = make([]Digest, maxDigests)
	return h
}
