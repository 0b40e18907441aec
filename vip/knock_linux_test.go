package vip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The node's own addresses, from which it knocks.
var (
	node4 = netip.MustParseAddr("192.0.2.11")
	node6 = netip.MustParseAddr("2001:db8::11")
)

// knockPort is the VIPs' port in these tests.
const knockPort = 6443

// knock knocks at a VIP from the host's eth0.
func (h host) knock(ctx context.Context, addr netip.Addr) (service Service, err error) {
	h.t.Helper()
	src := node4
	if addr.Is6() {
		src = node6
	}
	h.do(func() { service, err = Knocker{}.Knock(ctx, "eth0", src, netip.AddrPortFrom(addr, knockPort)) })
	return service, err
}

// serve takes connections on the port, at all addresses, until the test ends.
func (h host) serve() {
	h.t.Helper()
	h.do(func() {
		// Each family by itself: package net looks only once what there is, and may
		// have looked in a namespace without IPv6.
		for _, network := range []string{"tcp4", "tcp6"} {
			listener, err := net.Listen(network, ":"+strconv.Itoa(knockPort))
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { listener.Close() })
		}
	})
}

// shadow puts the VIPs on lo of a host that serves them too, silently.
func (h host) shadow() {
	h.t.Helper()
	h.sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
	h.sysctl("net/ipv4/conf/eth0/arp_announce", "2")
	h.has("lo")
	h.serve()
}

// has puts the VIPs on an interface.
func (h host) has(ifname string) {
	h.t.Helper()
	h.ip("link", "set", ifname, "up")
	h.ip("addr", "add", vip4.String()+"/32", "dev", ifname)
	h.ip("addr", "add", vip6.String()+"/128", "dev", ifname, "nodad")
}

// firewall loads nftables rules on the host.
func (h host) firewall(rules string) {
	h.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", h.name, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			h.t.Skip("nft is not installed")
		}
		h.t.Fatalf("nft: %v: %s", err, out)
	}
}

// halfOpen tells how many connections to the port wait for their last packet.
func (h host) halfOpen() int {
	h.t.Helper()
	return strings.Count(run(h.t, "ip", "netns", "exec", h.name, "ss", "-Htn", "state", "syn-recv", "sport", "=", ":"+strconv.Itoa(knockPort)), "\n")
}

const dropAll = `table inet wall {
	chain in { type filter hook input priority 0; policy drop; }
	chain out { type filter hook output priority 0; policy drop; }
}`

func TestKnock(t *testing.T) {
	open, closed := Service{MAC: macB, Open: true}, Service{MAC: macB}
	serving := func(t *testing.T, _, peer host) {
		mustHold(t, peer.holder(), 0)
		peer.serve()
	}
	rows := []struct {
		name   string
		before func(t *testing.T, node, peer host)
		want   Service
	}{
		{"the peer serves it", serving, open},
		{"the peer has it and its server is not there", func(t *testing.T, _, peer host) {
			mustHold(t, peer.holder(), 0)
		}, closed},
		{"this node still has it as a shadow, with a server of its own", func(t *testing.T, node, peer host) {
			node.shadow()
			serving(t, node, peer)
		}, open},
		{"a shadow here, and nobody's server there", func(t *testing.T, node, peer host) {
			node.shadow()
			mustHold(t, peer.holder(), 0)
		}, closed},
		{"a shadow that takes packets from its own address, as during a handover", func(t *testing.T, node, peer host) {
			node.shadow()
			node.sysctl("net/ipv4/conf/eth0/accept_local", "1")
			serving(t, node, peer)
		}, open},
		{"this node's firewall drops everything", func(t *testing.T, node, peer host) {
			node.shadow()
			serving(t, node, peer)
			node.firewall(dropAll)
		}, open},
		{"the peer answers with SYN cookies", func(t *testing.T, node, peer host) {
			serving(t, node, peer)
			peer.sysctl("net/ipv4/tcp_syncookies", "2")
		}, open},
		{"questions are answered by one MAC, packets leave from another (virtual MACs, bonds)", func(t *testing.T, _, peer host) {
			peer.ip("link", "add", "virtual", "link", "eth0", "address", macOther.String(), "type", "macvlan", "mode", "bridge")
			peer.sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
			peer.sysctl("net/ipv4/conf/virtual/rp_filter", "0")
			peer.has("virtual")
			peer.serve()
		}, Service{MAC: macOther, Open: true}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node, peer := newSegment(t)
			row.before(t, node, peer)
			for _, addr := range group {
				got, err := node.knock(t.Context(), addr)
				if err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", addr, diff)
				}
			}
			await(t, "no half-open connection to be left", func() bool { return peer.halfOpen() == 0 })
		})
	}
}

func TestKnockInVain(t *testing.T) {
	rows := []struct {
		name   string
		before func(t *testing.T, node, peer host)
		want   string
	}{
		{"nobody has it", func(*testing.T, host, host) {}, "nobody on the segment answers for"},
		{"only this node has it, and serves it", func(_ *testing.T, node, _ host) {
			node.shadow()
		}, "nobody on the segment answers for"},
		{"a proxy answers for any address", func(_ *testing.T, _, peer host) {
			peer.proxy(macOther)
		}, "it answers for any address"},
		{"the peer has it and drops TCP", func(t *testing.T, _, peer host) {
			mustHold(t, peer.holder(), 0)
			peer.serve()
			peer.firewall(`table inet wall { chain in { type filter hook input priority 0; tcp dport 6443 drop; }; }`)
		}, "TCP port 6443 does not answer"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node, peer := newSegment(t)
			row.before(t, node, peer)
			for _, addr := range group {
				got, err := node.knock(t.Context(), addr)
				if !errors.Is(err, ErrNotServed) {
					t.Errorf("%s: %+v, %v", addr, got, err)
					continue
				}
				for _, want := range []string{addr.String(), "eth0", row.want} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			}
		})
	}
}

// A second interface on the same segment answers for addresses on lo, unless its
// own arp_ignore forbids it. That is no other station.
func TestKnockIsNotAnsweredByThisHost(t *testing.T) {
	node, peer := newSegment(t)
	node.shadow()
	peer.ip("link", "add", "segment", "type", "bridge", "forward_delay", "0")
	peer.ip("link", "set", "segment", "up")
	node.ip("link", "add", "eth1", "address", macOther.String(), "type", "veth", "peer", "name", "port1", "netns", peer.name)
	node.ip("link", "set", "eth1", "up")
	for _, port := range []string{"eth0", "port1"} {
		peer.ip("link", "set", port, "master", "segment")
		peer.ip("link", "set", port, "up")
	}
	await(t, "the ports to forward", func() bool {
		return strings.Count(peer.ip("-d", "link", "show", "master", "segment"), "state forwarding") == 2
	})
	_, err := node.knock(t.Context(), vip4)
	if !errors.Is(err, ErrNotServed) || !strings.Contains(err.Error(), "this host's own interface eth1") {
		t.Errorf("this host answered itself: %v", err)
	}
}

func TestKnockErrors(t *testing.T) {
	node, peer := newSegment(t)
	mustHold(t, peer.holder(), 0)
	at := netip.AddrPortFrom(vip4, knockPort)
	knock := func(ctx context.Context, ifname string, src netip.Addr) (err error) {
		node.do(func() { _, err = Knocker{}.Knock(ctx, ifname, src, at) })
		return err
	}
	if err := knock(t.Context(), "eth9", node4); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such interface: %v", err)
	}
	if err := knock(t.Context(), "eth0", node6); err == nil || errors.Is(err, ErrNotServed) {
		t.Errorf("a source of the other family: %v", err)
	}
	if err := knock(t.Context(), "eth0", vip4); err == nil || errors.Is(err, ErrNotServed) {
		t.Errorf("the VIP as source: %v", err)
	}
	if err := knock(t.Context(), "eth0", netip.MustParseAddr("192.0.2.99")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("a source that is not this host's: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := knock(cancelled, "eth0", node4); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A caller that ends the wait learns what was known by then.
func TestKnockEndsWithItsContext(t *testing.T) {
	node, peer := newSegment(t)
	mustHold(t, peer.holder(), 0)
	peer.firewall(`table inet wall {
		counter knocks { }
		chain in { type filter hook input priority 0; tcp dport 6443 counter name knocks drop; }
	}`)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() {
		_, err := node.knock(ctx, vip4)
		ended <- err
	}()
	await(t, "the first knock", func() bool {
		return !strings.Contains(run(t, "ip", "netns", "exec", peer.name, "nft", "list", "counters"), "packets 0")
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotServed) || !strings.Contains(err.Error(), macB.String()) {
		t.Errorf("ended: %v", err)
	}
}

// The link-local address of an interface is a source, too.
func TestKnockFromALinkLocalAddress(t *testing.T) {
	node, peer := newSegment(t)
	mustHold(t, peer.holder(), 0)
	peer.serve()
	src := netip.MustParseAddr("fe80::ff:fe00:a")
	for _, src := range []netip.Addr{src, src.WithZone("eth0")} {
		node.do(func() {
			got, err := Knocker{}.Knock(t.Context(), "eth0", src, netip.AddrPortFrom(vip6, knockPort))
			if diff := cmp.Diff(Service{MAC: macB, Open: true}, got); diff != "" || err != nil {
				t.Errorf("from %s: %v (-want +got):\n%s", src, err, diff)
			}
		})
	}
}

// Every packet of a knock and of its answer, as tshark finds them on the wire.
func TestKnockOnTheWire(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	node, peer := newSegment(t)
	node.shadow()
	mustHold(t, peer.holder(), 0)
	peer.serve()
	// A virtual cable carries packets with a checksum that is still to be filled in.
	if _, err := exec.LookPath("ethtool"); err == nil {
		run(t, "ip", "netns", "exec", peer.name, "ethtool", "-K", "eth0", "tx", "off")
	}
	file := filepath.Join(t.TempDir(), "knock.pcap")
	capture := exec.Command("ip", "netns", "exec", peer.name, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-Q", "in", "-i", "eth0", "-w", file, "tcp")
	said, err := capture.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := capture.Start(); err != nil {
		t.Skipf("tcpdump: %v", err)
	}
	buffer := make([]byte, 256)
	if _, err := said.Read(buffer); err != nil {
		t.Fatal(err)
	}
	for _, addr := range group {
		if got, err := node.knock(t.Context(), addr); err != nil || !got.Open {
			t.Errorf("%s: %+v, %v", addr, got, err)
		}
	}
	await(t, "the last reset", func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() >= 24+2*(16+60)+2*(16+74)
	})
	if err := capture.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = capture.Wait() // by the signal
	got := tshark(t, "-n", "-r", file, "-T", "fields", "-e", "ip.ttl", "-e", "ipv6.hlim", "-e", "tcp.flags.str", "-e", "tcp.seq")
	want := "64\t\t··········S·\t0\n64\t\t·········R··\t1\n\t64\t··········S·\t0\n\t64\t·········R··\t1\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const bad = "_ws.malformed || ip.checksum.status == Bad || tcp.checksum.status == Bad || eth.fcs.status == Bad || tcp.analysis.flags"
	if got := tshark(t, "-n", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y", bad); got != "" {
		t.Errorf("tshark complains about:\n%s", got)
	}
}
