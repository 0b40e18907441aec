package flow

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// node is a host that may own the VIPs, with a server behind them.
type node struct {
	host
	flow   *Flow
	server *server
}

// cluster is nodes on a segment, and who owned the VIPs in which order.
type cluster struct {
	t       *testing.T
	segment *segment
	nodes   map[string]*node
	order   []*node // the owner first, then the former ones, newest first
	client  host
	router  host
	port    uint16
	byMAC   bool // next hops are known by their MAC alone
}

// newCluster makes nodes, of which the first owns the VIPs, and a client.
func newCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("several hosts in network namespaces")
	}
	c := &cluster{t: t, segment: newSegment(t), nodes: map[string]*node{}, port: testPort}
	for _, name := range names {
		h := c.segment.host(name)
		c.nodes[name] = &node{h, h.flow(), h.serve(name, c.port)}
	}
	c.client = c.segment.host("client")
	c.order = []*node{c.nodes[names[0]]}
	c.apply(c.order[0])
	c.order[0].take()
	return c
}

// state is what a node is to the VIPs by the order of owners.
func (c *cluster) state(n *node) []Group {
	at := slices.Index(c.order, n)
	if at < 0 {
		return nil
	}
	g := Group{Name: "apiserver", Interface: "eth0", Addresses: vips, Port: c.port, Role: Owner, Lifetime: time.Minute}
	if at > 0 {
		g.Role, g.Owner = Shadow, c.hop(c.order[0])
	}
	if at+1 < len(c.order) {
		g.Prev = c.hop(c.order[at+1])
	}
	return []Group{g}
}

// hop is what is known of a node.
func (c *cluster) hop(n *node) Node {
	if !c.byMAC {
		return n.node()
	}
	mac, err := net.ParseMAC(n.mac())
	if err != nil {
		c.t.Fatal(err)
	}
	return Node{V4: NextHop{MAC: mac}, V6: NextHop{MAC: mac}}
}

func (c *cluster) apply(n *node) {
	c.t.Helper()
	n.do(func() {
		if err := n.flow.Apply(c.t.Context(), c.state(n)); err != nil {
			c.t.Fatalf("%s: %v", n.name, err)
		}
	})
}

// move makes a node the owner: its rules first, then its address and its
// announcement, then the old owner's silence, then the others' rules.
func (c *cluster) move(name string) {
	c.t.Helper()
	next, old := c.nodes[name], c.order[0]
	c.order = slices.DeleteFunc(c.order, func(n *node) bool { return n == next })
	c.order = slices.Insert(c.order, 0, next)
	c.apply(next)
	next.take()
	if err := next.flow.ReleaseShadow(c.t.Context(), "eth0", vips); err != nil {
		c.t.Fatal(err)
	}
	old.mute()
	for _, n := range c.order[1:] {
		c.apply(n)
	}
}

// take puts the VIPs on eth0 and announces them.
func (n *node) take() {
	n.t.Helper()
	n.ip("addr", "add", vip4.String()+"/32", "dev", "eth0", "noprefixroute")
	n.ip("addr", "add", vip6.String()+"/128", "dev", "eth0", "nodad", "noprefixroute", "preferred_lft", "0")
	n.announce()
}

// mute makes a shadow of an owner.
func (n *node) mute() {
	n.t.Helper()
	if _, err := n.flow.HoldShadow(n.t.Context(), "eth0", vips, time.Minute, time.Time{}); err != nil {
		n.t.Fatal(err)
	}
	n.drop()
}

// drop takes the VIPs off eth0.
func (n *node) drop() {
	n.t.Helper()
	n.ip("addr", "del", vip4.String()+"/32", "dev", "eth0")
	n.ip("addr", "del", vip6.String()+"/128", "dev", "eth0")
}

// announce tells the segment that this host has the VIPs.
func (n *node) announce() {
	n.t.Helper()
	n.do(func() {
		eth0, err := net.InterfaceByName("eth0")
		if err == nil {
			err = errors.Join(announce4(eth0), announce6(eth0))
		}
		if err != nil {
			n.t.Fatal(err)
		}
	})
}

// announce4 sends a gratuitous ARP request and reply (RFC 5227 3).
func announce4(eth0 *net.Interface) error {
	c, err := arp.Dial(eth0)
	if err != nil {
		return err
	}
	defer c.Close()
	broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for _, kind := range []arp.Operation{arp.OperationRequest, arp.OperationReply} {
		p, err := arp.NewPacket(kind, eth0.HardwareAddr, vip4, broadcast, vip4)
		if err == nil {
			err = c.WriteTo(p, broadcast)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// announce6 sends an unsolicited neighbour advertisement (RFC 4861 7.2.6).
func announce6(eth0 *net.Interface) error {
	c, _, err := ndp.Listen(eth0, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.WriteTo(&ndp.NeighborAdvertisement{
		Override: true, TargetAddress: vip6,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: eth0.HardwareAddr}},
	}, nil, netip.MustParseAddr("ff02::1"))
}

// server is what stands behind the VIPs on a node.
type server struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*net.TCPConn // by client
	// silent connections are left to the test after the first line.
	silent atomic.Bool
}

// serve runs a server behind the VIPs. It says its name on a line, and then
// sends back what it gets.
func (h host) serve(name string, port uint16) *server {
	h.t.Helper()
	var listener *net.TCPListener
	h.do(func() {
		var err error
		if listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)}); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { listener.Close() })
	s := &server{conns: map[netip.AddrPort]*net.TCPConn{}}
	go func() {
		for {
			conn, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			go s.answer(conn, name)
		}
	}()
	return s
}

func (s *server) answer(conn *net.TCPConn, name string) {
	client := clientOf(conn)
	s.note(client, conn)
	if s.silent.Load() {
		_, _ = conn.Write([]byte(name + "\n"))
		return
	}
	defer conn.Close()
	defer s.note(client, nil)
	if _, err := io.Copy(conn, io.MultiReader(strings.NewReader(name+"\n"), conn)); err == nil {
		// The client has finished and waits for our end.
		_ = conn.CloseWrite()
	}
}

func (s *server) note(client netip.AddrPort, conn *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn == nil {
		delete(s.conns, client)
		return
	}
	s.conns[client] = conn
}

// of returns the server's end of a client's connection.
func (s *server) of(client *net.TCPConn) *net.TCPConn {
	local := client.LocalAddr().(*net.TCPAddr).AddrPort()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[netip.AddrPortFrom(local.Addr().Unmap(), local.Port())]
}

func clientOf(conn *net.TCPConn) netip.AddrPort {
	remote := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}
