package flow

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// strays sends packets of connections that nobody knows: ACKs, each from another
// port.
func (h host) strays(to netip.Addr, port uint16, n int) {
	h.t.Helper()
	h.do(func() {
		family, from := unix.AF_INET, h.addr4
		if to.Is6() {
			family, from = unix.AF_INET6, h.addr6
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW, unix.IPPROTO_TCP)
		if err != nil {
			h.t.Fatal(err)
		}
		defer unix.Close(fd)
		err = unix.Bind(fd, sockaddr(from))
		for i := range n {
			err = errors.Join(err, unix.Sendto(fd, ack(from, to, uint16(20000+i), port), 0, sockaddr(to)))
		}
		if err != nil {
			h.t.Fatal(err)
		}
	})
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// ack is a TCP segment with nothing but a sequence number (RFC 9293 3.1).
func ack(from, to netip.Addr, source, port uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, source)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint32(b, 12345)
	b = binary.BigEndian.AppendUint32(b, 67890)
	b = append(b, 5<<4, 0x10, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, unix.IPPROTO_TCP, 0, byte(len(b)))
	var sum uint32
	for _, part := range [][]byte{pseudo, b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[16:], ^uint16(sum))
	return b
}

// counters reads a node's counters of a VIP.
func (n *node) counters(vip netip.Addr) Counters {
	n.t.Helper()
	all, err := n.flow.Counters(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return all[vip]
}

// Two nodes that take each other for the predecessor are the worst that can go
// wrong. A packet that nobody knows goes to and fro eleven times, and no more.
func TestNoPacketCircles(t *testing.T) {
	const n = 2000
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b")
			a, b := c.nodes["a"], c.nodes["b"]
			ring := func() {
				for _, pair := range [][2]*node{{a, b}, {b, a}} {
					g := Group{Name: "ring", Interface: "eth0", Addresses: vips, Port: c.port, Role: Shadow,
						Prev: pair[1].node(), Lifetime: time.Minute}
					if pair[0] == a {
						g.Role = Owner
					}
					if err := pair[0].flow.Apply(t.Context(), []Group{g}); err != nil {
						t.Fatal(err)
					}
				}
			}
			ring()
			a.flow.settled(t)
			b.flow.settled(t)
			c.client.strays(vip, c.port, n)
			// 16 is stamped, and 5 is the end: passed on with 16, 15, ... 6.
			await(t, "all to end", func() bool {
				return a.counters(vip).Looped+b.counters(vip).Looped == n
			})
			gotA, gotB := a.counters(vip), b.counters(vip)
			wantA := Counters{Forwarded: 6 * n, Left: 6 * n}
			wantB := Counters{Forwarded: 5 * n, Left: 5 * n, Looped: n}
			if gotA != wantA || gotB != wantB {
				t.Errorf("a counts %+v, want %+v; b counts %+v, want %+v", gotA, wantA, gotB, wantB)
			}
		})
	}
}

// While roles change, what circles is dropped and not reset; so is what comes to
// the end of a chain that may be cut in two for a moment.
func TestPassedOnPacketsAreDroppedWhileRolesChange(t *testing.T) {
	const n = 100
	rows := []struct {
		name string
		ring bool
	}{
		{"a ring", true},
		{"a chain that ends at b", false},
	}
	for _, row := range rows {
		for _, vip := range vips {
			t.Run(row.name+", "+vip.String(), func(t *testing.T) {
				c := newCluster(t, "a", "b")
				a, b := c.nodes["a"], c.nodes["b"]
				g := Group{Name: "vip", Interface: "eth0", Addresses: vips, Port: c.port, Role: Owner, Prev: b.node(), Lifetime: time.Minute}
				if err := a.flow.Apply(t.Context(), []Group{g}); err != nil {
					t.Fatal(err)
				}
				g.Role, g.Prev = Shadow, Node{}
				if row.ring {
					g.Prev = a.node()
				}
				if err := b.flow.Apply(t.Context(), []Group{g}); err != nil {
					t.Fatal(err)
				}
				b.flow.settling(t, vip, time.Minute)
				c.client.strays(vip, c.port, n)
				await(t, "all to be dropped", func() bool { return b.counters(vip).Dropped == n })
			})
		}
	}
}

// settling makes the drop window of a VIP longer.
func (f *Flow) settling(t *testing.T, vip netip.Addr, d time.Duration) {
	t.Helper()
	s := f.rulesets[familyOf(vip)].named(setSettling)
	f.tables.conn.FlushSet(s)
	err := f.tables.conn.SetAddElements(s, []nftables.SetElement{{Key: vip.AsSlice(), Timeout: d}})
	if err := errors.Join(err, f.tables.commit()); err != nil {
		t.Fatal(err)
	}
}

// At the end of the chain the kernel resets, so that no client hangs.
func TestWhatNobodyKnowsIsReset(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			conn := c.client.must(vip, c.port, "a")
			c.move("b")
			c.move("c")
			for _, n := range c.nodes {
				n.flow.settled(t)
			}
			if err := echo(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			// The server's end goes without a word.
			a := c.nodes["a"]
			a.nft("table inet mute { chain out { type filter hook output priority 0; tcp flags rst drop; }; }")
			a.server.of(conn).SetLinger(0)
			a.server.of(conn).Close()
			a.nft("delete table inet mute")
			if err := echo(conn, "hello"); !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("got %v, want a reset", err)
			}
		})
	}
}

// Entries that nobody renews end by themselves, and with them the forwarding.
func TestEntriesExpire(t *testing.T) {
	c := newCluster(t, "a", "b")
	conn := c.client.must(vip4, c.port, "a")
	c.move("b")
	b := c.nodes["b"]
	g := c.state(b)
	g[0].Lifetime = time.Second
	if err := b.flow.Apply(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := echo(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	await(t, "the entries to expire", func() bool {
		for _, r := range b.flow.rulesets {
			left, err := b.flow.tables.elements(r, stateSets(r.v6())...)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				return false
			}
		}
		return true
	})
	if err := echo(conn, "hello"); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("got %v, want a reset by the kernel of b", err)
	}
}

// Repeating Apply gives entries their whole time again, and no packet falls
// between.
func TestApplyRenewsWithoutAGap(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(25, vips...)
	tr.flows()
	c.move("b")
	until := tr.lines.Load() + 3000
	renewals := 0
	for ; tr.lines.Load() < until && len(tr.failed()) == 0; renewals++ {
		for _, n := range c.order {
			c.apply(n)
		}
	}
	tr.stop()
	if renewals < 10 {
		t.Errorf("only %d renewals", renewals)
	}
}
