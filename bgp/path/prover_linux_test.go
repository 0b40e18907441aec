package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/flow"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// asks is the word that makes the test's binary ask, on a host of a lab.
const asks = "prove"

// theDefault stands for the router of the default route.
const theDefault = "default"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asks {
		fmt.Print(proveAs(os.Args[2:]))
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == connects {
		fmt.Print(connectAs(os.Args[2], os.Args[3]))
		os.Exit(0)
	}
	labtest.Main(m)
}

// proveAs asks for the VIPs that come before "by", through the routers after it, or
// by the default route where that word is, and says what is wrong.
func proveAs(args []string) string {
	p, url := NewProver(flow.AcceptLocal), URL{Path: "/readyz"}
	var vips []netip.AddrPort
	for args[0] != "by" {
		vips = append(vips, netip.AddrPortFrom(netip.MustParseAddr(args[0]), port))
		args = args[1:]
	}
	var routers []netip.Addr
	for _, a := range args[1:] {
		if a == theDefault {
			return told(p.ProveShared(context.Background(), vips, url))
		}
		routers = append(routers, netip.MustParseAddr(a))
	}
	return told(p.Prove(context.Background(), vips, url, routers))
}

func told(err error) string {
	if err != nil {
		return err.Error()
	}
	return "served"
}

const port = 6443

func vip4() netip.Addr { return netip.MustParseAddr("198.51.100.10") }
func vip6() netip.Addr { return netip.MustParseAddr("2001:db8:100::10") }

// ground is a router with two nodes, both of which hold the VIPs on lo. The first
// one is to leave. A third host may be a second router.
type ground struct {
	*lab.Lab
	t     *testing.T
	ready *atomic.Bool
}

func newGround(t *testing.T) ground {
	t.Helper()
	l := labtest.New(t, lab.Options{Hosts: 3, Router: true})
	g := ground{l, t, new(atomic.Bool)}
	g.ready.Store(true)
	for i, h := range l.Hosts[:2] {
		g.on(h, "ip", "address", "add", vip4().String()+"/32", "dev", "lo")
		g.on(h, "ip", "address", "add", vip6().String()+"/128", "dev", "lo", "nodad")
		g.serve(h, func() bool { return i == 0 || g.ready.Load() })
	}
	return g
}

func (g ground) ctx() context.Context { return labtest.Context(g.t, 30*time.Second) }

func (g ground) on(h *lab.Host, argv ...string) {
	g.t.Helper()
	if _, err := h.Run(g.ctx(), argv...); err != nil {
		g.t.Fatal(err)
	}
}

// serve answers on a host until the test ends.
func (g ground) serve(h *lab.Host, ready func() bool) {
	g.t.Helper()
	var tcp net.Listener
	if err := h.Do(func() (err error) { tcp, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); return err }); err != nil {
		g.t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(tcp) }()
	g.t.Cleanup(func() {
		if err := errors.Join(s.Close(), ignore(<-ended, http.ErrServerClosed)); err != nil {
			g.t.Error(err)
		}
	})
}

func ignore(err, one error) error {
	if errors.Is(err, one) {
		return nil
	}
	return err
}

// lead has the router send packets for the VIPs by hosts, which may be several of
// the given weights.
func (g ground) lead(weights map[*lab.Host]int) {
	g.t.Helper()
	g.leadAt(g.Router, weights)
}

// leadAt is lead for any router.
func (g ground) leadAt(router *lab.Host, weights map[*lab.Host]int) {
	g.t.Helper()
	for _, vip := range []netip.Addr{vip4(), vip6()} {
		family := "-4"
		if vip.Is6() {
			family = "-6"
		}
		route := []string{"ip", family, "route", "replace", vip.String()}
		for h, weight := range weights {
			hop := h.Addr4
			if vip.Is6() {
				hop = h.Addr6
			}
			route = append(route, "nexthop", "via", hop.String(), "dev", router.Interface, "weight", fmt.Sprint(weight))
		}
		g.on(router, route...)
	}
}

func (g ground) setting(name string) string {
	g.t.Helper()
	out, err := g.Hosts[0].Run(g.ctx(), "cat", "/proc/sys/net/ipv4/conf/"+g.Hosts[0].Interface+"/"+name)
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// left are the rules and routes of leads on the first node.
func (g ground) left() string {
	g.t.Helper()
	list := "for f in -4 -6; do ip $f rule show table %[1]d; ip $f route show table %[1]d 2>/dev/null; done; true"
	out, err := g.Hosts[0].Run(g.ctx(), "sh", "-c", fmt.Sprintf(list, leadTable))
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// leave leaves behind what leads a host's questions to a router.
func (g ground) leave(h *lab.Host, vip, router netip.Addr) {
	g.t.Helper()
	family, table := "-4", strconv.Itoa(leadTable)
	if vip.Is6() {
		family = "-6"
	}
	g.on(h, "ip", family, "route", "add", vip.String(), "via", router.String(), "dev", h.Interface, "table", table, "metric", g.index(h))
	g.on(h, "ip", family, "rule", "add", "to", vip.String(), "oif", h.Interface, "table", table, "preference", strconv.Itoa(leadPreference))
}

// index is the number of a host's interface.
func (g ground) index(h *lab.Host) string {
	g.t.Helper()
	out, err := h.Run(g.ctx(), "ip", "-oneline", "link", "show", h.Interface)
	if err != nil {
		g.t.Fatal(err)
	}
	index, _, _ := strings.Cut(out, ":")
	return index
}

// noDefault takes the default routes off a host.
func (g ground) noDefault(h *lab.Host) {
	g.t.Helper()
	g.on(h, "ip", "-4", "route", "delete", "default")
	g.on(h, "ip", "-6", "route", "delete", "default")
}

// second makes the third host a router, which sends packets for the VIPs to one
// host.
func (g ground) second(to *lab.Host) {
	g.t.Helper()
	router := g.Hosts[2]
	g.on(router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
	g.leadAt(router, map[*lab.Host]int{to: 1})
}

func TestAPathIsProvedByOtherNodesOnly(t *testing.T) {
	both := []netip.Addr{vip4(), vip6()}
	rows := []struct {
		name   string
		before func(g ground, node, other *lab.Host)
		vips   []netip.Addr
		// by are the routers to ask; nil: the one that is there, over IPv4.
		by   func(g ground) []netip.Addr
		want string
	}{
		{name: "the router sends to another node, which serves", vips: both, want: "served"},
		{
			name:   "the router still sends here",
			before: func(g ground, node, _ *lab.Host) { g.lead(map[*lab.Host]int{node: 1}) },
			vips:   []netip.Addr{vip4()}, want: "ask for 198.51.100.10:6443 by eth0 through 10.77.0.1: the router still sends to this node",
		},
		{
			name:   "the router still sends here, over IPv6",
			before: func(g ground, node, _ *lab.Host) { g.lead(map[*lab.Host]int{node: 1}) },
			vips:   []netip.Addr{vip6()}, want: "ask for [2001:db8:100::10]:6443 by eth0: the router still sends to this node",
		},
		{
			name: "the router spreads over both, and most come here",
			before: func(g ground, node, other *lab.Host) {
				g.on(g.Router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/fib_multipath_hash_policy")
				g.lead(map[*lab.Host]int{node: 9, other: 1})
			},
			vips: []netip.Addr{vip4()}, want: "the router still sends to this node",
		},
		{
			name: "the router knows no way",
			before: func(g ground, _, _ *lab.Host) {
				g.on(g.Router, "ip", "route", "replace", "unreachable", vip4().String())
			},
			vips: []netip.Addr{vip4()}, want: "no route to host",
		},
		{
			name:   "the other node is not ready",
			before: func(g ground, _, _ *lab.Host) { g.ready.Store(false) },
			vips:   both, want: "the node that answers is not ready: 503",
		},
		{
			name: "this node's own address is a single one",
			before: func(g ground, node, _ *lab.Host) {
				own := node.Addr4.String()
				g.on(node, "ip", "address", "flush", "dev", node.Interface, "scope", "global")
				g.on(node, "ip", "address", "add", own+"/32", "dev", node.Interface)
				g.on(node, "ip", "route", "add", g.Router.Addr4.String(), "dev", node.Interface)
				g.on(node, "ip", "route", "replace", "default", "via", g.Router.Addr4.String())
			},
			vips: []netip.Addr{vip4()}, want: "served",
		},
		{
			name: "this node's own address is on lo",
			before: func(g ground, node, _ *lab.Host) {
				g.on(node, "ip", "address", "add", "203.0.113.11/32", "dev", "lo")
				g.on(node, "ip", "route", "replace", "default", "via", g.Router.Addr4.String(), "src", "203.0.113.11")
				g.on(node, "ip", "route", "replace", g.Router.Addr4.String(), "dev", node.Interface, "src", "203.0.113.11")
				g.on(g.Router, "ip", "route", "add", "203.0.113.11", "via", node.Addr4.String())
				for _, h := range []*lab.Host{g.Hosts[1]} {
					g.on(h, "ip", "route", "add", "203.0.113.11", "via", g.Router.Addr4.String())
				}
			},
			vips: []netip.Addr{vip4()}, want: "served",
		},
		{
			name:   "there is no way to another router",
			before: func(g ground, node, _ *lab.Host) { g.on(node, "ip", "route", "add", "unreachable", "203.0.113.1") },
			vips:   both, by: func(g ground) []netip.Addr {
				return []netip.Addr{netip.MustParseAddr("203.0.113.1"), g.Router.Addr4}
			}, want: "served",
		},
		{
			name:   "the link to the router has no default route",
			before: func(g ground, node, _ *lab.Host) { g.noDefault(node) },
			vips:   both, by: func(g ground) []netip.Addr { return []netip.Addr{g.Router.Addr4, g.Router.Addr6} }, want: "served",
		},
		{
			name:   "nor has the router an address of the VIP's family",
			before: func(g ground, node, _ *lab.Host) { g.noDefault(node) },
			vips:   both, want: "add a default route by that router, or peer with it over the VIP's family too",
		},
		{
			name:   "a second router on the link, that of no default route, still sends here",
			before: func(g ground, node, _ *lab.Host) { g.second(node) },
			vips:   []netip.Addr{vip4()}, by: func(g ground) []netip.Addr { return []netip.Addr{g.Router.Addr4, g.Hosts[2].Addr4} },
			want: "ask for 198.51.100.10:6443 by eth0 through 10.77.0.13: the router still sends to this node",
		},
		{
			name:   "a second router on the link sends to another node too",
			before: func(g ground, _, other *lab.Host) { g.second(other) },
			vips:   both, by: func(g ground) []netip.Addr {
				return []netip.Addr{g.Router.Addr4, g.Hosts[2].Addr4, g.Router.Addr6, g.Hosts[2].Addr6}
			}, want: "served",
		},
		{
			name: "the router is behind another one",
			before: func(g ground, node, _ *lab.Host) {
				g.noDefault(node)
				g.on(node, "ip", "route", "add", "203.0.113.1", "via", g.Router.Addr4.String())
			},
			vips: []netip.Addr{vip4()}, by: func(ground) []netip.Addr { return []netip.Addr{netip.MustParseAddr("203.0.113.1")} }, want: "served",
		},
		{
			name: "a daemon was killed while it asked through another router",
			before: func(g ground, node, _ *lab.Host) {
				g.leave(node, vip4(), g.Hosts[2].Addr4)
			},
			vips: []netip.Addr{vip4()}, want: "served",
		},
		{
			name: "reverse path filtering is strict",
			before: func(g ground, node, _ *lab.Host) {
				g.on(node, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")
			},
			vips: []netip.Addr{vip4()}, want: "set net.ipv4.conf.eth0.rp_filter=2",
		},
		{
			name: "reverse path filtering is strict everywhere, and loose on the interface",
			before: func(g ground, node, _ *lab.Host) {
				g.on(node, "sh", "-c", "echo 2 > /proc/sys/net/ipv4/conf/eth0/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
			},
			vips: []netip.Addr{vip4()}, want: "served",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := newGround(t)
			node, other := g.Hosts[0], g.Hosts[1]
			g.lead(map[*lab.Host]int{other: 1})
			if row.before != nil {
				row.before(g, node, other)
			}
			argv := []string{labtest.Self(t), asks}
			for _, vip := range row.vips {
				argv = append(argv, vip.String())
			}
			routers := []netip.Addr{g.Router.Addr4}
			if row.by != nil {
				routers = row.by(g)
			}
			argv = append(argv, "by")
			for _, r := range routers {
				argv = append(argv, r.String())
			}
			got, err := node.Run(g.ctx(), argv...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, row.want) {
				t.Errorf("it says %q, and should %q", got, row.want)
			}
			if left := g.setting("accept_local"); left != "0" {
				t.Errorf("accept_local is left at %s", left)
			}
			if left := g.left(); left != "" {
				t.Errorf("the kernel is left with\n%s", left)
			}
		})
	}
}

func TestWhatAKilledDaemonLeftIsSwept(t *testing.T) {
	g := newGround(t)
	node := g.Hosts[0]
	g.leave(node, vip4(), g.Router.Addr4)
	g.leave(node, vip6(), g.Router.Addr6)
	for range 2 {
		if err := node.Do(Sweep); err != nil {
			t.Error(err)
		}
		if left := g.left(); left != "" {
			t.Errorf("there is\n%s", left)
		}
	}
}

// Another daemon announces both nodes alike, so that the router may go on sending
// here.
func TestASharedPathIsProvedByOneAnswer(t *testing.T) {
	spread := func(g ground, node, other *lab.Host) {
		for _, family := range []string{"ipv4", "ipv6"} {
			g.on(g.Router, "sh", "-c", "echo 1 > /proc/sys/net/"+family+"/fib_multipath_hash_policy")
		}
		g.lead(map[*lab.Host]int{node: 1, other: 1})
	}
	rows := []struct {
		name   string
		before func(g ground, node, other *lab.Host)
		want   string
	}{
		{"the router spreads over both", spread, "served"},
		{
			"it sends to the other one only",
			func(g ground, _, other *lab.Host) { g.lead(map[*lab.Host]int{other: 1}) }, "served",
		},
		{
			"it sends here only",
			func(g ground, node, _ *lab.Host) { g.lead(map[*lab.Host]int{node: 1}) }, "all requests came back to this node",
		},
		{
			"it spreads, and the other node is not ready",
			func(g ground, node, other *lab.Host) { spread(g, node, other); g.ready.Store(false) }, "the node that answers is not ready: 503",
		},
		{
			"there is no default route",
			func(g ground, node, other *lab.Host) {
				spread(g, node, other)
				g.on(node, "ip", "-4", "route", "delete", "default")
				g.on(node, "ip", "-6", "route", "delete", "default")
			}, "this host has no default route",
		},
		{
			"a worse default route leads nowhere",
			func(g ground, node, other *lab.Host) {
				spread(g, node, other)
				g.on(node, "ip", "route", "add", "default", "dev", "lo", "metric", "4000")
			}, "served",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := newGround(t)
			node, other := g.Hosts[0], g.Hosts[1]
			row.before(g, node, other)
			for _, vip := range []netip.Addr{vip4(), vip6()} {
				got, err := node.Run(g.ctx(), labtest.Self(t), asks, vip.String(), "by", theDefault)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(got, row.want) {
					t.Errorf("of %s it says %q, and should %q", vip, got, row.want)
				}
			}
		})
	}
}

func TestASettingIsOnWhileAnybodyNeedsIt(t *testing.T) {
	var story []string
	p := NewProver(func(link string) (func() error, error) {
		story = append(story, "on "+link)
		return func() error { story = append(story, "off "+link); return nil }, nil
	})
	for _, step := range []func(string) error{p.begin, p.begin, p.end, p.begin, p.end, p.end, p.begin, p.end} {
		if err := step("eth0"); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"on eth0", "off eth0", "on eth0", "off eth0"}, story); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
