package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/vrrp"
)

// ofEtcd has the members of etcd as peers.
const ofEtcd = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [etcd]}}]`

// tellsMembers is a node's own etcd, as far as vipd asks it.
type tellsMembers struct {
	feed[Membership]
	mu    sync.Mutex
	now   Membership
	where []string
}

func (m *tellsMembers) Follow(ctx context.Context, where config.Etcd, fn func(Membership)) error {
	m.mu.Lock()
	now := m.now
	m.where = append(m.where, where.Endpoints...)
	m.mu.Unlock()
	m.follow(ctx.Done(), func() { fn(now) }, fn)
	return nil
}

func (m *tellsMembers) set(now Membership) {
	m.mu.Lock()
	m.now = now
	m.mu.Unlock()
	m.tell(now)
}

// membersAt are members of etcd on hosts, as kubeadm makes them.
func membersAt(hosts ...int) Membership {
	var m Membership
	for _, h := range hosts {
		m.Members = append(m.Members, ClusterMember{
			Name: fmt.Sprintf("cp%d", h),
			URLs: []string{fmt.Sprintf("https://192.0.2.%d:2380", h), fmt.Sprintf("https://192.0.2.%d:2379", h)},
		})
	}
	return m
}

var errNoEtcd = errors.New("connection refused")

// withEtcd adds a host, on which the daemon does not run yet, and what its etcd
// tells.
func (l *lan) withEtcd(last byte, file string, first Membership) (*node, *tellsMembers) {
	n, etcd := l.bare(last, file), &tellsMembers{now: first}
	n.edges = func(e *Edges) { e.Members = etcd }
	return n, etcd
}

func (n *node) advertisesTo() ListedPeers { return n.status("apiserver").Election.Peers }

func TestMembersJoinAndLeave(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, etcdA := l.withEtcd(11, ofEtcd, membersAt(11, 12))
		b, etcdB := l.withEtcd(12, ofEtcd, membersAt(11, 12))
		c, etcdC := l.withEtcd(13, ofEtcd, Membership{Err: errNoEtcd})
		a.start()
		a.awaitSeated()
		b.start()
		b.awaitReady()
		want := ListedPeers{From: []string{"etcd"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}}
		if diff := cmp.Diff(want, b.advertisesTo(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}

		// A joiner that etcd does not know yet: it asks, and does not claim.
		c.start()
		await(t, "the joiner tells why it waits", func() bool { return c.status("apiserver").Reason == "vip-answered" })
		for _, etcd := range []*tellsMembers{etcdA, etcdB, etcdC} {
			etcd.set(membersAt(11, 12, 13))
		}
		c.awaitReady()
		time.Sleep(time.Minute)

		// It leaves, and nobody tells its daemon but its etcd, which goes away later.
		for _, etcd := range []*tellsMembers{etcdA, etcdB} {
			etcd.set(membersAt(11, 12))
		}
		time.Sleep(2 * time.Second)
		etcdC.set(Membership{Err: errNoEtcd})
		time.Sleep(time.Minute)
		if got := l.holders(theVIP); !slices.Equal(got, []string{"cp11"}) {
			t.Errorf("%v hold the VIP", got)
		}
		if got := c.status("apiserver").Reason; got != "vip-answered" {
			t.Errorf("the one that left is there for %s, want vip-answered", got)
		}
		before := discarded(b, "unknown-peer")
		l.mu.Lock()
		p := vrrp.Packet{VRID: 10, Priority: 254, Interval: 100 * time.Millisecond, Addresses: both[:1]}
		src, dst := c.own()[0].Addr(), b.own()[0].Addr()
		l.deliver(b.sockets[0], vrrp.Frame{Src: src, Dst: dst, TTL: vrrp.TTL, Payload: p.Append(nil, src, dst)})
		l.mu.Unlock()
		synctest.Wait()
		if got := discarded(b, "unknown-peer") - before; got != 1 {
			t.Errorf("%d adverts of a member that left were refused, want 1", got)
		}
		a.powerOff()
		b.awaitSeated()
	})
}

// kubeadm reset on the owner, which nobody drained: it is heard until a healthy
// node has taken over, and not a moment longer than that needs.
func TestTheOwnerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		var nodes []*node
		var etcds []*tellsMembers
		for _, last := range []byte{13, 12, 11} {
			n, etcd := l.withEtcd(last, ofEtcd, membersAt(11, 12, 13))
			n.start()
			await(t, n.name+" has a part", func() bool { return n.seated() || n.status("apiserver").Owner != "" })
			nodes, etcds = append(nodes, n), append(etcds, etcd)
		}
		owner := nodes[0]
		owner.awaitSeated()
		time.Sleep(time.Minute)
		for _, etcd := range etcds[1:] {
			etcd.set(membersAt(11, 12))
		}
		etcds[0].set(Membership{Err: errNoEtcd})
		time.Sleep(time.Minute)
		if got := l.holders(theVIP); !slices.Equal(got, []string{"cp13"}) {
			t.Errorf("%v hold the VIP while the owner is well", got)
		}
		owner.die() // its API server goes with its etcd
		await(t, "a member owns the VIP", func() bool { return nodes[1].seated() || nodes[2].seated() })
		time.Sleep(time.Minute)
		if got := l.holders(theVIP); len(got) != 1 || got[0] == "cp13" {
			t.Errorf("%v hold the VIP", got)
		}
		owner.recover()
		time.Sleep(time.Minute)
		if owner.seated() {
			t.Error("who left took the VIP back")
		}
		l.unbroken()
	})
}

// Before kubeadm init there is no etcd: the nodes find each other by multicast,
// and go on when etcd tells of them.
func TestBeforeEtcdPeersAreFoundByMulticast(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, etcdA := l.withEtcd(11, ofEtcd, Membership{Err: errNoEtcd})
		b, etcdB := l.withEtcd(12, ofEtcd, Membership{Err: errNoEtcd})
		a.start()
		a.awaitSeated()
		b.start()
		b.awaitReady()
		want := ListedPeers{From: []string{}, Addresses: []netip.Addr{}, Problem: errNoEtcd.Error()}
		if diff := cmp.Diff(want, b.advertisesTo()); diff != "" {
			t.Error(diff)
		}
		a.loggedTimes("etcd does not tell who its members are; the peers stay as they are", 1)

		etcdA.set(membersAt(11)) // kubeadm init
		time.Sleep(time.Minute)
		b.awaitReady()
		etcdA.set(membersAt(11, 12)) // kubeadm join, a moment before b's own etcd runs
		time.Sleep(time.Minute)
		b.awaitReady()
		etcdB.set(membersAt(11, 12))
		time.Sleep(time.Minute)
		b.awaitReady()
		a.loggedTimes("etcd tells who its members are again", 1)
		if !a.seated() {
			t.Error("the VIP moved")
		}
		l.unbroken()
	})
}

func TestMembersAreRememberedWithoutEtcd(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		remembered := membersAt(11, 12)
		remembered.Remembered = true
		a, _ := l.withEtcd(11, ofEtcd, remembered)
		b, etcdB := l.withEtcd(12, ofEtcd, remembered)
		a.start()
		a.awaitSeated()
		b.start()
		b.awaitReady()
		etcdB.set(Membership{Err: errNoEtcd})
		synctest.Wait()
		want := ListedPeers{
			From: []string{"remembered"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}, Problem: errNoEtcd.Error(),
		}
		if diff := cmp.Diff(want, b.advertisesTo(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		// What was remembered may be out of date, so the segment is asked first.
		a.powerOff()
		b.awaitSeated()
		b.tells("init -> backup: startup", "backup -> owner: nobody-heard")
	})
}

func TestHellosGoToMembersToo(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		const file = "hello: {peers: [etcd]}\n" + apiserver
		a, _ := l.withEtcd(11, file, membersAt(11, 12))
		b, _ := l.withEtcd(12, file, membersAt(11, 12))
		c, _ := l.withEtcd(13, file, membersAt(11, 12, 13))
		for _, n := range []*node{a, b, c} {
			n.start()
		}
		await(t, "the two know each other", func() bool { return a.knows("cp12") && b.knows("cp11") })
		time.Sleep(time.Minute)
		if a.knows("cp13") || b.knows("cp13") {
			t.Error("a node that is no member is known by its hellos")
		}
	})
}

func TestMembersThatAreElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		told := membersAt(11, 12)
		told.Members = append(told.Members, ClusterMember{Name: "cp13", URLs: []string{"https://198.51.100.13:2380", "https://cp13:2379"}})
		a, etcd := l.withEtcd(11, ofEtcd, told)
		a.start()
		a.awaitSeated()
		a.loggedTimes("members of etcd have no address on the VIP's segment; write their addresses there into vrrp.peers, beside etcd", 1)
		if got, want := a.advertisesTo().Problem, "no address on this segment: cp13 (https://198.51.100.13:2380, https://cp13:2379)"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		etcd.set(membersAt(12, 13))
		a.loggedTimes("this node is none of etcd's members; if it left the cluster, stop vipd here; if etcd is on other hosts, write the nodes' addresses into the list of peers", 1)
		if got, want := a.advertisesTo().Problem, "this node is none of etcd's members"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestMembersStayWhileAnInterfaceHasNoAddress(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, _ := l.withEtcd(11, ofEtcd, membersAt(11, 12))
		a.start()
		a.awaitSeated()
		for _, p := range a.own() {
			a.remove("eth0", p.String())
		}
		a.awaitAt(StateFault)
		if got := a.advertisesTo().Addresses; len(got) != 1 {
			t.Errorf("peers are %v", got)
		}
		a.configure("eth0", "192.0.2.11/24")
		a.awaitSeated()
		if got := a.logged("peers changed"); len(got) != 1 {
			t.Errorf("told: %v", got)
		}
	})
}

func TestReloadAsksAnotherEtcd(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, etcd := l.withEtcd(11, apiserver, membersAt(11, 12))
		a.start()
		a.awaitSeated()
		asked := func() []string {
			synctest.Wait()
			etcd.mu.Lock()
			defer etcd.mu.Unlock()
			return slices.Clone(etcd.where)
		}
		if got := asked(); len(got) > 0 {
			t.Errorf("%v was asked for nothing", got)
		}
		a.mustReload(ofEtcd)
		synctest.Wait()
		a.mustReload(ofEtcd + "\netcd: {endpoints: [\"https://192.0.2.12:2379\"]}")
		if diff := cmp.Diff([]string{"https://127.0.0.1:2379", "https://192.0.2.12:2379"}, asked()); diff != "" {
			t.Error(diff)
		}
		if got := a.advertisesTo().From; !slices.Equal(got, []string{"etcd"}) {
			t.Errorf("peers come from %v", got)
		}
		a.mustReload(apiserver)
		etcd.set(membersAt(11, 12, 13))
		synctest.Wait()
		if got := a.advertisesTo(); len(got.From) > 0 || len(got.Addresses) > 0 {
			t.Errorf("peers that are not wanted any more: %v", got)
		}
		if !a.seated() {
			t.Error("the VIP moved")
		}
		l.unbroken()
	})
}

func TestWhereAMemberIs(t *testing.T) {
	segment := Interface{Name: "eth0"}
	for _, p := range []string{"192.0.2.11/24", "192.0.2.10/32", "2001:db8::11/64", "fe80::11/64"} {
		segment.Addresses = append(segment.Addresses, Address{Prefix: netip.MustParsePrefix(p)})
	}
	for _, row := range []struct {
		name      string
		urls      []string
		four, six []string
	}{
		{"as kubeadm has it", []string{"https://192.0.2.12:2380", "https://192.0.2.12:2379"}, []string{"192.0.2.12"}, nil},
		{"over IPv6", []string{"https://[2001:db8::12]:2380", "https://[2001:db8::12]:2379"}, nil, []string{"2001:db8::12"}},
		{"members talk on a network of their own, clients on the VIP's", []string{"https://198.51.100.12:2380", "https://192.0.2.12:2379"}, []string{"192.0.2.12"}, nil},
		{"clients of both families", []string{"https://192.0.2.12:2380", "https://192.0.2.12:2379", "https://[2001:db8::12]:2379"}, []string{"192.0.2.12"}, []string{"2001:db8::12"}},
		{"on another network", []string{"https://198.51.100.12:2380"}, nil, nil},
		{"by name only", []string{"https://cp12.example.com:2380", "https://cp12.example.com:2379"}, nil, nil},
		{"by name, and clients by address", []string{"https://cp12:2380", "https://192.0.2.12:2379"}, []string{"192.0.2.12"}, nil},
		{"clients on the loopback only", []string{"https://127.0.0.1:2379", "https://[::1]:2379"}, nil, nil},
		{"an IPv4 address in IPv6 form", []string{"https://[::ffff:192.0.2.12]:2380"}, []string{"192.0.2.12"}, nil},
		{"a link-local address, which says nothing elsewhere", []string{"https://[fe80::12%25eth7]:2380"}, nil, nil},
		{"not started yet: no client URL", []string{"https://192.0.2.12:2380"}, []string{"192.0.2.12"}, nil},
		{"a socket of the host", []string{"unix:///run/etcd.sock"}, nil, nil},
		{"no URL at all", nil, nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := ClusterMember{Name: "cp12", URLs: row.urls}
			for family, want := range [][]string{row.four, row.six} {
				var got []string
				for _, addr := range m.on(segment, family == 1) {
					got = append(got, addr.String())
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
