package flow

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Clients that only wait are told when their connections end.
func TestResetTellsAllClients(t *testing.T) {
	const n = 20
	c := newCluster(t, "a", "b")
	var conns []*net.TCPConn
	for _, vip := range vips {
		for range n {
			conns = append(conns, c.client.must(vip, c.port, "a"))
		}
	}
	c.move("b")
	a := c.nodes["a"]
	want := Connections{Count: 2 * n, Remote: 2 * n, Idle: 2 * n, ByState: map[State]int{Established: 2 * n}}
	await(t, "all to be idle", func() bool { return a.count(vips, c.port).Idle == 2*n })
	if diff := cmp.Diff(want, a.count(vips, c.port)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := a.flow.Reset(t.Context(), vips, c.port, true); got != 2*n || err != nil {
		t.Errorf("%d reset, %v", got, err)
	}
	if err := a.flow.ReleaseShadow(t.Context(), "eth0", vips); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("a waiting client: %v", err)
		}
	}
	if diff := cmp.Diff(Connections{ByState: map[State]int{}}, a.count(vips, c.port)); diff != "" {
		t.Errorf("after the reset (-want +got):\n%s", diff)
	}
}

// A connection in the middle of something waits for an idle moment.
func TestResetOfIdleConnectionsOnly(t *testing.T) {
	c := newCluster(t, "a")
	a := c.nodes["a"]
	idle, _ := c.rawConnection(vip4, "a")
	busy, server := c.rawConnection(vip6, "a")
	if _, err := busy.Write([]byte("not read")); err != nil {
		t.Fatal(err)
	}
	await(t, "one to be idle and one not", func() bool {
		now := a.count(vips, c.port)
		return now.Count == 2 && now.Idle == 1
	})
	if n, err := a.flow.Reset(t.Context(), vips, c.port, true); n != 1 || err != nil {
		t.Errorf("%d reset, %v", n, err)
	}
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the idle one: %v", err)
	}
	if _, err := io.ReadFull(server, make([]byte, 8)); err != nil {
		t.Errorf("the busy one: %v", err)
	}
	if n, err := a.flow.Reset(t.Context(), vips, c.port, false); n != 1 || err != nil {
		t.Errorf("%d reset, %v", n, err)
	}
}

// Only connections to the VIPs and the port are counted and reset; listeners
// and TIME_WAIT never.
func TestResetLeavesOthersAlone(t *testing.T) {
	c := newCluster(t, "a")
	a := c.nodes["a"]
	a.serve("other", 7443)
	kept := []*net.TCPConn{
		c.client.must(vip4, 7443, "other"),
		c.client.must(a.addr4, c.port, "a"),
		c.client.must(a.addr6, c.port, "a"),
	}
	if n, err := a.flow.Reset(t.Context(), vips, c.port, false); n != 0 || err != nil {
		t.Errorf("%d reset, %v", n, err)
	}
	for _, conn := range kept {
		if err := echo(conn, "still there"); err != nil {
			t.Error(err)
		}
	}
	c.client.must(vip4, c.port, "a")
	got, err := a.flow.Listeners(t.Context(), c.port)
	if diff := cmp.Diff([]netip.Addr{netip.IPv6Unspecified()}, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("listeners, %v (-want +got):\n%s", err, diff)
	}
}

// Clients on the old owner's host are told apart, and told before the shadow
// goes.
func TestClientsOnTheOldOwner(t *testing.T) {
	c := newCluster(t, "a", "b")
	a := c.nodes["a"]
	var conns []*net.TCPConn
	for _, vip := range vips {
		conns = append(conns, a.must(vip, c.port, "a"))
	}
	c.client.must(vip4, c.port, "a")
	c.move("b")
	for _, conn := range conns {
		if err := echo(conn, "still there"); err != nil {
			t.Error(err)
		}
	}
	if got := a.count(vips, c.port); got.Local != 2 || got.Remote != 1 {
		t.Errorf("%d local and %d remote connections, want 2 and 1", got.Local, got.Remote)
	}
	if n, err := a.flow.Reset(t.Context(), vips, c.port, false); n != 3 || err != nil {
		t.Errorf("%d reset, %v", n, err)
	}
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("a client on the host: %v", err)
		}
	}
}

// Clients on the new owner's host keep their connections.
func TestClientsOnTheNewOwner(t *testing.T) {
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			c := newCluster(t, "a", "b")
			b := c.nodes["b"]
			b.sysctl("net/ipv4/conf/all/rp_filter", "1")
			conn := b.must(vip, c.port, "a")
			c.move("b")
			if err := echo(conn, "still there"); err != nil {
				t.Error(err)
			}
			if by := b.must(vip, c.port, "b"); echo(by, "new") != nil {
				t.Error("a new connection does not work")
			}
			// accept_local is taken back with the predecessor, and who then would
			// wait for ever is told.
			c.order = c.order[:1]
			c.apply(b)
			if value := b.readSysctl("net/ipv4/conf/eth0/accept_local"); value != "0" {
				t.Errorf("accept_local is %s at the end", value)
			}
			if n, err := b.flow.ResetClients(t.Context(), vips, c.port); n != 1 || err != nil {
				t.Errorf("%d reset, %v", n, err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNABORTED) {
				t.Errorf("the client: %v", err)
			}
		})
	}
}

// accept_local lets nobody on the segment pass for this host.
func TestAcceptLocalIsBounded(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.move("b")
	b := c.nodes["b"]
	if value := b.readSysctl("net/ipv4/conf/eth0/accept_local"); value != "1" {
		t.Fatalf("accept_local is %s, so nothing is tested", value)
	}
	b.nft(`table ip watch { counter forged { }; chain in { type filter hook input priority 0;
		ip saddr { ` + b.addr4.String() + `, 127.0.0.1 } iif eth0 counter name forged; }; }`)
	// The forger uses the node's address as its own.
	c.client.ip("addr", "add", b.addr4.String()+"/32", "dev", "lo")
	c.client.ip("neigh", "replace", vip4.String(), "lladdr", b.mac(), "dev", "eth0")
	forger := c.client
	forger.addr4 = b.addr4
	forger.strays(vip4, c.port, 5)
	// One from its own address, behind them, proves that packets arrive.
	if _, _, err := c.client.dial(vip4, c.port); err != nil {
		t.Fatal(err)
	}
	if got := b.run("nft", "list", "counter", "ip", "watch", "forged"); !strings.Contains(got, "packets 0") {
		t.Errorf("forged packets came in: %s", got)
	}
	// Without the rule they would.
	c.order = c.order[:1]
	if err := b.flow.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sysctl("net/ipv4/conf/eth0/accept_local", "1")
	forger.strays(vip4, c.port, 5)
	await(t, "forged packets to come in without the rule", func() bool {
		return strings.Contains(b.run("nft", "list", "counter", "ip", "watch", "forged"), "packets 5")
	})
}
