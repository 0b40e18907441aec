package moves

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/flow"
	"github.com/vipd/vipd/internal/lab"
)

var bothVIPs = []netip.Addr{lab.VIP4(), lab.VIP6()}

// sysctls is a setup's before that sets sysctls; paths have slashes.
func (s sysctls) before(h *lab.Host) error { return s.set(h) }

type sysctls []string

func (s sysctls) set(h *lab.Host) error {
	for _, setting := range s {
		path, value, _ := strings.Cut(setting, "=")
		if err := h.Do(func() error { return writeSysctl(path, value) }); err != nil {
			return fmt.Errorf("on %s: %w", h, err)
		}
	}
	return nil
}

// strictReturnPath has a host drop what comes from where it would not answer to.
var strictReturnPath = sysctls{"net/ipv4/conf/all/rp_filter=1", "net/ipv4/conf/default/rp_filter=1", "net/ipv4/conf/eth0/rp_filter=1"}

// The network between clients and nodes is as awkward as networks are.
func TestAwkwardPaths(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, streams: 40, requests: 100, routed: true, before: strictReturnPath.before})
	s.must(strictReturnPath.set(s.Lab.Router))

	s.part("clients behind a router, strict reverse path filters everywhere", func(s *stage) {
		owner := s.anew()
		s.lossless(func() { s.exits(0, owner, "drain") })
		s.lossless(func() { s.moveTo(owner) })
		s.lossless(func() { s.moveTo(s.others(owner)[0]) })
	})
	s.part("the path's MTU is lowered in the grace: downloads go on", func(s *stage) {
		owner := s.anew()
		var pairs []*pair
		for _, vip := range bothVIPs {
			pairs = append(pairs, s.pair(s.Lab.Remote, vip))
		}
		s.lossless(func() {
			s.moveTo(s.others(owner)[0])
			s.run(s.Lab.Router, "ip", "link", "set", "eth1", "mtu", "1300")
			const download = 8 << 20
			for _, p := range pairs {
				s.transfer(p.server, p.client, download, func() {})
			}
		})
		s.run(s.Lab.Router, "ip", "link", "set", "eth1", "mtu", "1500")
	})
	s.part("all neighbour caches are flushed in the grace", func(s *stage) {
		owner := s.anew()
		s.lossless(func() {
			s.moveTo(s.others(owner)[0])
			for range 3 {
				for _, h := range append([]*lab.Host{s.Lab.Router}, s.Lab.Hosts...) {
					s.run(h, "ip", "neighbour", "flush", "all")
				}
				s.servedBesides(owner)
			}
		})
	})
	s.part("the router's cache is pinned to the old owner: it leads everything to the new one", func(s *stage) {
		owner := s.anew()
		s.pin(s.Lab.Router, owner)
		s.lossless(func() {
			s.moveTo(s.others(owner)[0])
			s.servedBesides(owner)
		})
		s.unpin(s.Lab.Router)
	})
}

// pin makes a host's neighbour entries of all VIPs permanent; they lead to owner.
func (s *stage) pin(h, owner *lab.Host) {
	s.t.Helper()
	for _, vip := range append(next(s.setup.vips), s.setup.vips...) {
		s.run(h, "ip", "neighbour", "replace", vip.String(), "lladdr", owner.MAC.String(), "dev", h.Interface, "nud", "permanent")
	}
}

// unpin lets them follow announcements again.
func (s *stage) unpin(h *lab.Host) {
	s.t.Helper()
	for _, vip := range append(next(s.setup.vips), s.setup.vips...) {
		s.run(h, "ip", "neighbour", "delete", vip.String(), "dev", h.Interface)
	}
}

// Every new connection lives in a SYN cookie only until its first acknowledgement.
func TestSYNCookies(t *testing.T) {
	cookies := sysctls{"net/ipv4/tcp_syncookies=2"}
	s := open(t, setup{vips: bothVIPs, streams: 100, requests: 500, before: cookies.before})
	owner := s.anew()
	for _, to := range []*lab.Host{s.others(owner)[0], owner, s.others(owner)[1], s.others(owner)[0]} {
		s.lossless(func() { s.moveTo(to) })
	}
	for _, h := range s.Lab.Hosts {
		if sent := s.run(h, "nstat", "-asz", "TcpExtSyncookiesSent"); strings.Contains(sent, " 0 ") {
			s.t.Errorf("%s sent no cookie: %s", h, sent)
		}
	}
}

// stateful is a firewall that drops what it does not know, in and out.
const stateful = `table inet fw {
	chain in {
		type filter hook input priority 0; policy drop;
		ct state invalid counter drop
		ct state established,related accept
		iif lo accept
		tcp dport { 6443, 7443 } ct state new tcp flags syn / syn,rst,ack accept
		udp dport 9651 accept
		meta l4proto { 112, icmp, icmpv6 } accept
	}
	chain out {
		type filter hook output priority 0; policy drop;
		ct state invalid counter drop
		ct state established,related accept
		oif lo accept
		ct state new accept
		meta l4proto icmpv6 accept
		ACCEPT
	}
}
`

// firewall is stateful with further rules at the end of output.
func firewall(rules ...string) string {
	return strings.Replace(stateful, "ACCEPT", strings.Join(rules, "\n\t\t"), 1)
}

// load is a setup's before that loads rules of nft(8).
func load(rules string) func(h *lab.Host) error {
	return func(h *lab.Host) error { return apply(h, rules) }
}

// Rules of others stand beside vipd's, and a move loses nothing.
func TestBesideOtherRules(t *testing.T) {
	for _, tt := range []struct{ name, rules string }{
		{"a stateful firewall, in and out, with the documented rule", firewall(flow.AcceptRule(6443), flow.AcceptRule(pairPort))},
		{"rules as kube-proxy and its firewall have them by iptables-nft", kubeProxy},
		{"raw rules that keep the VIP's port from conntrack, as Cilium's", cilium},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, setup{vips: bothVIPs, streams: 40, requests: 100, before: load(tt.rules)})
			owner := s.anew()
			pairs := []*pair{s.pair(s.Lab.Client, lab.VIP4()), s.pair(s.Lab.Client, lab.VIP6())}
			for _, to := range []*lab.Host{s.others(owner)[0], s.others(owner)[1], owner} {
				s.lossless(func() { s.moveTo(to) })
				s.keptAll(pairs...)
			}
			for _, h := range s.Lab.Hosts {
				if v, err := s.group(h, mainVIP); err != nil || !v.Handover.Supported {
					s.t.Errorf("%s: %+v, %v", h, v.Handover, err)
				}
			}
		})
	}
}

// A firewall that drops what is passed on is found out: clients are told, and so
// is the operator, with the rule that is missing.
func TestFirewallWithoutTheRule(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, before: load(firewall())})
	owner := s.anew()
	successor := s.others(owner)[0]
	pairs := []*pair{s.pair(s.Lab.Client, lab.VIP4()), s.pair(s.Lab.Client, lab.VIP6())}
	s.moveTo(successor)
	for _, p := range pairs {
		s.becomes(wasReset, p)
	}
	rule := flow.AcceptRule(pairPort)
	s.await("the new owner to tell the rule that is missing", func() error {
		v, err := s.group(successor, pairVIP)
		if err == nil && (v.Handover.Supported || !strings.Contains(v.Handover.Reason, rule)) {
			err = fmt.Errorf("it says %+v", v.Handover)
		}
		return err
	})
	s.must(s.Process(successor).AwaitLog(s.ctx(), rule))
	if supported := s.metric(successor, "vipd_handover_supported"); supported != 0 {
		s.t.Errorf("vipd_handover_supported is %v, want 0", supported)
	}
}

// Somebody's `nft flush ruleset`, as each reload of a firewall does, on either node
// and while packets are passed on.
func TestFlushOfAllRules(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, streams: 40, requests: 100})
	owner := s.anew()
	successor := s.others(owner)[0]
	s.lossless(func() { s.moveTo(successor) })
	for _, h := range []*lab.Host{successor, owner} {
		s.part("on "+map[*lab.Host]string{successor: "the new owner", owner: "the former owner"}[h], func(s *stage) {
			s.lossless(func() {
				for range 3 {
					s.run(h, "nft", "flush", "ruleset")
				}
			})
			s.awaitGroup(owner, "carrying", func(v agent.VIPStatus) bool { return v.Handover.Connections >= s.streams() })
		})
	}
}
