package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// voice makes the datagrams of one life of a node.
type voice struct {
	t      *testing.T
	sender *Sender
	hello  Hello
	addr   netip.Addr
}

func newVoice(t *testing.T, name, address string, keys *Keyring) *voice {
	v := &voice{t: t, sender: NewSender(keys), addr: addr(address)}
	s := fullStatement()
	v.hello = Hello{
		ID: IDOf(name), Name: name, Link: Link{Addresses: []netip.Addr{v.addr}},
		Statements: []Statement{s},
	}
	v.hello.Boot = Boot([]byte(fmt.Sprintf("%-8.8s", name+"one")))
	v.hello.Nonce = Nonce([]byte(fmt.Sprintf("%-8.8s", name+"nonce")))
	return v
}

// say makes the next datagram.
func (v *voice) say() *Datagram {
	d := &Datagram{Src: v.addr, Interface: eth0, HopLimit: HopLimit}
	v.sender.Each(&v.hello, v.addr, func(b []byte) { d.Payload = slices.Clone(b) })
	return d
}

// echo makes the voice echo what the table asks for now.
func (v *voice) echo(table *Table, now time.Time) *voice {
	var h Hello
	table.Greet(now, &h)
	v.hello.Echoes = []Nonce{h.Nonce}
	return v
}

func newTestTable(keys *Keyring) *Table {
	table := NewTable(Self{Name: "cp1", Boot: Boot{1}, Secret: [32]byte{1}}, keys)
	table.Watch([]Segment{
		{Interface: eth0, VIPs: addrs("192.0.2.10"), Listed: addrs("192.0.2.13"), Open: true},
		{Interface: "eth1", VIPs: addrs("198.51.100.10"), Listed: addrs("198.51.100.13")},
	})
	return table
}

func TestWithoutAKey(t *testing.T) {
	foreign := addrs("203.0.113.10")
	on := func(f func(d *Datagram)) func(*voice) *Datagram {
		return func(v *voice) *Datagram { d := v.say(); f(d); return d }
	}
	rows := []struct {
		name string
		say  func(v *voice) *Datagram
		want error
	}{
		{"a node that shares a VIP", func(v *voice) *Datagram { return v.say() }, nil},
		{"a node with a tag that cannot be checked", func(v *voice) *Datagram {
			v.sender = NewSender(ring(v.t, keyOne))
			return v.say()
		}, nil},
		{"through a router", on(func(d *Datagram) { d.HopLimit = 254 }), ErrHopLimit},
		{"with the usual hop limit of hosts", on(func(d *Datagram) { d.HopLimit = 64 }), ErrHopLimit},
		{"without a hop limit", on(func(d *Datagram) { d.HopLimit = 0 }), ErrHopLimit},
		{"on another interface", on(func(d *Datagram) { d.Interface = "eth7" }), ErrInterface},
		{"no hello at all", on(func(d *Datagram) { d.Payload = []byte("GET / HTTP/1.1\r\nHost: cp1\r\n\r\n____") }), ErrVersion},
		{"empty", on(func(d *Datagram) { d.Payload = nil }), ErrVersion},
		{"cut short", on(func(d *Datagram) { d.Payload = d.Payload[:len(d.Payload)-1] }), ErrMalformed},
		{"this node's own hello", func(v *voice) *Datagram { v.hello.Boot = Boot{1}; return v.say() }, ErrOwn},
		{"another node with this node's name", func(v *voice) *Datagram {
			v.hello.ID, v.hello.Name = IDOf("cp1"), "cp1"
			return v.say()
		}, ErrNamesake},
		{"no VIP in common", func(v *voice) *Datagram { v.hello.Statements[0].VIPs = foreign; return v.say() }, ErrForeign},
		{"no group", func(v *voice) *Datagram { v.hello.Statements = nil; return v.say() }, ErrForeign},
		{"no VIP in common, but listed", func(v *voice) *Datagram {
			v.hello.Statements[0].VIPs, v.addr = foreign, addr("192.0.2.13")
			return v.say()
		}, nil},
		{"a VIP of another interface", func(v *voice) *Datagram {
			v.hello.Statements[0].VIPs = addrs("198.51.100.10")
			return v.say()
		}, ErrForeign},
		{"with listed peers only: not listed", func(v *voice) *Datagram {
			v.hello.Statements[0].VIPs = addrs("198.51.100.10")
			d := v.say()
			d.Interface = "eth1"
			return d
		}, ErrForeign},
		{"with listed peers only: listed", func(v *voice) *Datagram {
			v.hello.Statements[0].VIPs, v.addr = addrs("198.51.100.10"), addr("198.51.100.13")
			d := v.say()
			d.Interface = "eth1"
			return d
		}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			table := newTestTable(nil)
			_, err := table.Received(epoch, row.say(newVoice(t, "cp2", "192.0.2.12", nil)))
			if !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
			n := table.Node(IDOf("cp2"))
			if (err == nil) != (n != nil) {
				t.Fatalf("error %v, peer %v", err, n)
			}
			if n != nil && (n.Authenticated || n.Condition != Alive) {
				t.Errorf("%v, authenticated: %v", n.Condition, n.Authenticated)
			}
		})
	}
}

func TestWithAKey(t *testing.T) {
	rows := []struct {
		name string
		say  func(v *voice, table *Table) *Datagram
		want error
	}{
		{"an echo of the nonce", func(v *voice, table *Table) *Datagram { return v.echo(table, epoch).say() }, nil},
		{"an echo of the nonce before", func(v *voice, table *Table) *Datagram {
			d := v.echo(table, epoch.Add(-nonceTurn)).say()
			table.Greet(epoch, &Hello{})
			return d
		}, nil},
		{"no VIP in common does not matter: it has the key", func(v *voice, table *Table) *Datagram {
			v.hello.Statements = nil
			return v.echo(table, epoch).say()
		}, nil},
		{"through a router", func(v *voice, table *Table) *Datagram {
			d := v.echo(table, epoch).say()
			d.HopLimit = 254
			return d
		}, ErrHopLimit},
		{"on another interface", func(v *voice, table *Table) *Datagram {
			d := v.echo(table, epoch).say()
			d.Interface = "eth7"
			return d
		}, ErrInterface},
		{"no tag", func(v *voice, table *Table) *Datagram {
			v.sender = NewSender(nil)
			return v.echo(table, epoch).say()
		}, ErrUntagged},
		{"the tag of another key", func(v *voice, table *Table) *Datagram {
			v.sender = NewSender(ring(v.t, keyTwo))
			return v.echo(table, epoch).say()
		}, ErrKey},
		{"from another address", func(v *voice, table *Table) *Datagram {
			d := v.echo(table, epoch).say()
			d.Src = addr("192.0.2.13")
			return d
		}, ErrTag},
		{"no echo", func(v *voice, _ *Table) *Datagram { return v.say() }, ErrUnproven},
		{"an echo of something else", func(v *voice, table *Table) *Datagram {
			v.echo(table, epoch).hello.Echoes[0][0] ^= 1
			return v.say()
		}, ErrUnproven},
		{"an echo of nothing before a nonce was drawn", func(v *voice, _ *Table) *Datagram {
			v.hello.Echoes = []Nonce{{}}
			return v.say()
		}, ErrUnproven},
		{"an echo of a nonce that is too old", func(v *voice, table *Table) *Datagram {
			d := v.echo(table, epoch.Add(-nonceLife)).say()
			table.Greet(epoch, &Hello{})
			return d
		}, ErrUnproven},
		{"an echo of a nonce of this node's life before", func(v *voice, _ *Table) *Datagram {
			before := NewTable(Self{Name: "cp1", Boot: Boot{0}, Secret: [32]byte{0}}, nil)
			return v.echo(before, epoch).say()
		}, ErrUnproven},
		{"this node's own hello", func(v *voice, table *Table) *Datagram {
			v.hello.Boot = Boot{1}
			return v.echo(table, epoch).say()
		}, ErrOwn},
		{"another node with this node's name", func(v *voice, table *Table) *Datagram {
			v.hello.ID, v.hello.Name = IDOf("cp1"), "cp1"
			return v.echo(table, epoch).say()
		}, ErrNamesake},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			table := newTestTable(ring(t, keyOne))
			d := row.say(newVoice(t, "cp2", "192.0.2.12", ring(t, keyOne)), table)
			if _, err := table.Received(epoch, d); !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
			n := table.Node(IDOf("cp2"))
			if (row.want == nil) != (n != nil) {
				t.Fatalf("peer %v", n)
			}
			if n != nil && (!n.Authenticated || !n.Tagged || !n.Hears || n.Condition != Alive) {
				t.Errorf("%v, authenticated: %v, tagged: %v, hears: %v", n.Condition, n.Authenticated, n.Tagged, n.Hears)
			}
		})
	}
}

// received gives a datagram to the table and expects the error.
func received(t *testing.T, table *Table, now time.Time, d *Datagram, want error) []Change {
	t.Helper()
	changes, err := table.Received(now, d)
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	return slices.Clone(changes)
}

func TestAKnownPeersHellos(t *testing.T) {
	for _, keys := range []*Keyring{nil, ring(t, keyOne)} {
		table := newTestTable(keys)
		v := newVoice(t, "cp2", "192.0.2.12", keys).echo(table, epoch)
		first := v.say()
		received(t, table, epoch, first, nil)
		received(t, table, epoch, first, ErrReplayed)

		v.hello.Statements[0].Role = Shadow
		late := v.say()
		v.hello.Statements[0].Role = Backup
		v.hello.Version = "v2"
		received(t, table, epoch.Add(2*ms), v.say(), nil)
		// What a newer hello said stays; the older one only proves life.
		if got := received(t, table, epoch.Add(3*ms), late, nil); len(got) != 0 {
			t.Errorf("an overtaken hello changed %v", got)
		}
		n := table.Node(IDOf("cp2"))
		if n.Version != "v2" || n.Members[0].Role != Backup || !n.Heard.Equal(epoch.Add(3*ms)) {
			t.Errorf("version %q, role %v, heard %v later", n.Version, n.Members[0].Role, n.Heard.Sub(epoch))
		}
		received(t, table, epoch.Add(4*ms), late, ErrReplayed)
	}
}

// With a key a proven peer whose echoes are old proves nothing more: its hello
// may have been held back. That it was overheard is told, not what it says.
func TestStaleHellosSayNothing(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	v := newVoice(t, "cp2", "192.0.2.12", keys).echo(table, epoch)
	received(t, table, epoch, v.say(), nil)
	v.hello.Statements[0].Role = Shadow
	held := v.say()
	later := epoch.Add(nonceLife)
	table.Greet(later, &Hello{})
	table.Tick(later)
	if got := received(t, table, later, held, ErrStale); len(got) != 0 {
		t.Errorf("changed %v", got)
	}
	n := table.Node(IDOf("cp2"))
	if n.Condition != Silent || n.Members[0].Role != Owner || !n.Overheard.Equal(later) || !n.Heard.Equal(epoch) {
		t.Errorf("%v, role %v, overheard %v and heard %v later", n.Condition, n.Members[0].Role, n.Overheard.Sub(epoch), n.Heard.Sub(epoch))
	}
	received(t, table, later, held, ErrReplayed)
}

func TestNodeThatStops(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), nil)
	v.hello.Stopping = true
	v.hello.Statements[0].Grace = time.Hour
	id := IDOf("cp2")
	if diff := cmp.Diff([]Change{Parted{ID: id}}, received(t, table, epoch.Add(time.Second), v.say(), nil)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := received(t, table, epoch.Add(time.Second), v.say(), nil); len(got) != 0 {
		t.Errorf("the repetition changed %v", got)
	}
	if got := table.Tick(epoch.Add(time.Second + time.Hour - 1)); len(got) != 0 {
		t.Errorf("its shadow may still stand, and %v", got)
	}
	n := table.Node(id)
	if n.Condition != Left || n.Members[0].Grace != time.Hour {
		t.Errorf("%v with a grace of %v", n.Condition, n.Members[0].Grace)
	}
	if diff := cmp.Diff([]Change{Forgotten{ID: id, Name: "cp2"}}, table.Tick(epoch.Add(time.Second+time.Hour))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNodeThatComesBackAfterItsFarewell(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	v.hello.Stopping = true
	farewell := v.say()
	v.hello.Stopping = false
	v.hello.Boot[7]++
	v.sender = NewSender(nil)
	id := IDOf("cp2")
	said := Said{ID: id, VIPs: v.hello.Statements[0].VIPs}
	want := [][]Change{
		{Waiting{}, Parted{ID: id}, said},
		{Waiting{}, Joined{ID: id, Restarted: true}, said},
	}
	got := [][]Change{
		received(t, table, epoch, farewell, nil),
		received(t, table, epoch.Add(time.Second), v.say(), nil),
	}
	if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNodeThatLeftAndCameBackIsKeptAsLongAsOthers(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	v.hello.Stopping, v.hello.Statements[0].Grace = true, time.Hour
	received(t, table, epoch, v.say(), nil)
	v.hello.Stopping = false
	received(t, table, epoch, v.say(), nil)
	table.Tick(epoch.Add(Lifetime))
	want := []Change{Forgotten{ID: v.hello.ID, Name: "cp2"}}
	if diff := cmp.Diff(want, table.Tick(epoch.Add(Retention))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFarewellOvertakesAHello(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), nil)
	late := v.say()
	v.hello.Stopping = true
	received(t, table, epoch, v.say(), nil)
	received(t, table, epoch, late, nil)
	if n := table.Node(v.hello.ID); n.Condition != Left {
		t.Errorf("%v", n.Condition)
	}
}

// All that is heard of a life may be its farewell. What it says then counts, and
// nothing that the life before said.
func TestLifeThatIsHeardAtItsEndOnly(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	second := fullStatement()
	second.VIPs = addrs("192.0.2.99")
	v.hello.Statements = append(v.hello.Statements, second)
	for range 5 {
		received(t, table, epoch, v.say(), nil)
	}
	v.hello.Statements = v.hello.Statements[:1]
	v.hello.Statements[0].Role = Shadow
	v.hello.Stopping, v.sender, v.hello.Boot[7] = true, NewSender(nil), 'x'
	received(t, table, epoch, v.say(), nil)
	n := table.Node(v.hello.ID)
	if len(n.Members) != 1 || n.Members[0].Role != Shadow {
		t.Errorf("groups %v", n.Members)
	}
}

func TestGroupThatIsNotSaidAnyMore(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	second := fullStatement()
	second.Name, second.VIPs = "other", addrs("192.0.2.99")
	v.hello.Statements = append(v.hello.Statements, second)
	received(t, table, epoch, v.say(), nil)
	v.hello.Statements = v.hello.Statements[:1]
	for at := time.Second; at < Lifetime; at += time.Second {
		received(t, table, epoch.Add(at), v.say(), nil)
	}
	if !table.Deadline().Equal(epoch.Add(Lifetime)) {
		t.Errorf("deadline %v later", table.Deadline().Sub(epoch))
	}
	want := []Change{Unsaid{ID: IDOf("cp2"), VIPs: addrs("192.0.2.99")}}
	if diff := cmp.Diff(want, table.Tick(epoch.Add(Lifetime)), equateEmpty); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	n := table.Node(IDOf("cp2"))
	if n.Member(addrs("192.0.2.99")) != nil || n.Member(addrs("192.0.2.10")) == nil {
		t.Errorf("groups %v", n.Members)
	}
}

// A node speaks of its groups on each link by itself.
func TestPeerOnTwoLinks(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), nil)
	v.hello.Statements[0].VIPs, v.addr = addrs("198.51.100.10"), addr("198.51.100.13")
	v.hello.Link = Link{MAC: [6]byte{2, 0, 0, 0, 1, 2}, Addresses: []netip.Addr{v.addr}}
	d := v.say()
	d.Interface = "eth1"
	received(t, table, epoch, d, nil)
	n := table.Node(IDOf("cp2"))
	type place struct {
		Interface string
		Source    netip.Addr
		Link      Link
	}
	want := []place{
		{eth0, addr("192.0.2.12"), Link{Addresses: addrs("192.0.2.12")}},
		{"eth1", addr("198.51.100.13"), v.hello.Link},
	}
	var got []place
	for _, m := range n.Members {
		got = append(got, place{m.Interface, m.Source, m.Link})
	}
	if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChangedLinkIsNews(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), nil)
	v.addr = addr("192.0.2.13")
	if got := received(t, table, epoch, v.say(), nil); len(got) != 0 {
		t.Errorf("the same from another of its addresses is %v", got)
	}
	if got := table.Node(v.hello.ID).Members[0].Source; got != v.addr {
		t.Errorf("heard from %v", got)
	}
	v.hello.Link.MAC = [6]byte{2, 0, 0, 0, 0, 0x99}
	want := []Change{Said{ID: IDOf("cp2"), VIPs: v.hello.Statements[0].VIPs}}
	if diff := cmp.Diff(want, received(t, table, epoch, v.say(), nil), equateEmpty); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNamesakeThatIsGone(t *testing.T) {
	table := newTestTable(nil)
	v, twin := newVoice(t, "cp2", "192.0.2.12", nil), newVoice(t, "cp2", "192.0.2.14", nil)
	twin.hello.Boot[7] = 'x'
	received(t, table, epoch, twin.say(), nil)
	received(t, table, epoch, v.say(), nil)
	id := v.hello.ID
	want := []Change{Doubled{ID: id, Name: "cp2", Source: twin.addr}}
	if diff := cmp.Diff(want, received(t, table, epoch, twin.say(), ErrNamesake), equateEmpty); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for at := time.Second; at <= Lifetime; at += time.Second {
		if !table.Node(id).Namesake {
			t.Errorf("not shown after %v", at)
		}
		received(t, table, epoch.Add(at), v.say(), nil)
		table.Tick(epoch.Add(at))
	}
	if table.Node(id).Namesake {
		t.Error("the namesake is gone and still shown")
	}
}

// With several addresses, one that is listed makes the peer listed, for as long
// as it lives.
func TestListedByOneOfItsAddresses(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp3", "192.0.2.13", nil)
	received(t, table, epoch, v.say(), nil)
	v.addr = addr("192.0.2.14")
	received(t, table, epoch, v.say(), nil)
	if !table.Node(v.hello.ID).Listed {
		t.Error("not listed any more")
	}
	v.hello.Boot[7] = 'x'
	received(t, table, epoch, v.say(), nil)
	if table.Node(v.hello.ID).Listed {
		t.Error("another life inherits the listing")
	}
}

func TestPeersAreYieldedInOneOrder(t *testing.T) {
	table := newTestTable(nil)
	want := []ID{}
	for i := range 8 {
		v := newVoice(t, fmt.Sprintf("n%d", i), fmt.Sprintf("192.0.2.%d", 20+i), nil)
		received(t, table, epoch, v.say(), nil)
		want = append(want, v.hello.ID)
	}
	slices.SortFunc(want, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	var got []ID
	for n := range table.All() {
		got = append(got, n.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for n := range table.All() {
		if n.ID != want[0] {
			t.Error("goes on after the reader has stopped")
		}
		break
	}
}

// Whatever arrives, the table stays within its bounds and its deadlines come to
// an end.
func FuzzReceived(f *testing.F) {
	for _, h := range []*Hello{sparseHello(), fullHello(), greatestHello()} {
		b, _ := h.Append(nil, 0)
		f.Add(b, ring(f, keyOne).seal(slices.Clone(b), addr("192.0.2.13")))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		table := newTestTable(nil)
		now := epoch
		for _, payload := range [][]byte{first, second, first} {
			now = now.Add(time.Second)
			table.Received(now, &Datagram{Src: addr("192.0.2.13"), Interface: eth0, HopLimit: HopLimit, Payload: payload})
			var h Hello
			table.Greet(now, &h)
			b, _ := h.Append(nil, 0)
			must(t, new(Parser).Parse(b, &h))
		}
		for range 20 {
			if table.Deadline().IsZero() {
				break
			}
			if table.Deadline().Before(now) {
				t.Fatalf("a deadline %v ago", now.Sub(table.Deadline()))
			}
			now = table.Deadline()
			table.Tick(now)
		}
		if len(table.peers) != 0 {
			t.Errorf("%d peers are never forgotten", len(table.peers))
		}
	})
}
