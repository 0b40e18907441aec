package moves

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// The pre-drain hook, as operators and scripts meet it.
func TestDrain(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, streams: 4})

	s.part("--json: each line is an object, the last one has the result", func(s *stage) {
		owner := s.settle()
		code, out, _ := s.command(owner, "drain", "--json")
		if code != 0 {
			s.t.Errorf("exit code %d", code)
		}
		var results []agent.DrainResult
		for line := range strings.Lines(out) {
			var p agent.DrainProgress
			s.must(json.Unmarshal([]byte(line), &p))
			results = append(results, p.Result)
		}
		want := make([]agent.DrainResult, len(results))
		want[len(want)-1] = agent.DrainDone
		if diff := cmp.Diff(want, results); diff != "" {
			s.t.Errorf("results (-want +got):\n%s", diff)
		}
		s.exits(0, owner, "undrain")
	})
	s.part("twice: the second one has nothing to do", func(s *stage) {
		owner := s.settle()
		s.exits(0, owner, "drain")
		s.lossless(func() { s.exits(0, owner, "drain") })
		s.exits(0, owner, "undrain")
	})
	s.part("--vip: the other VIP stays", func(s *stage) {
		owner := s.settle()
		p := s.pair(s.Lab.Client, lab.VIP4())
		s.exits(0, owner, "drain", "--vip", pairVIP)
		s.keptAll(p)
		if q := s.pair(s.Lab.Client, lab.VIP4()); q.on == owner {
			s.t.Errorf("a new connection to the drained VIP is answered by %s", q.on)
		}
		s.awaitGroup(owner, "owner of the other VIP", func(v agent.VIPStatus) bool { return v.State == agent.StateOwner })
		s.rejoin(owner)
	})
	s.part("--wait-connections: 0 when they have ended by themselves", func(s *stage) {
		owner := s.settle()
		p := s.pair(s.Lab.Client, lab.VIP4())
		drain := s.begin(owner, "drain", "--wait-connections", "--vip", pairVIP)
		s.must(drain.AwaitLog(s.ctx(), "waiting for open connections to end"))
		s.keptAll(p)
		s.must(p.client.Close())
		s.must(p.server.Close())
		s.ends(drain, 0)
		s.rejoin(owner)
	})
	s.part("--wait-connections=2s: 4, and the client that stays is told", func(s *stage) {
		owner := s.settle()
		p := s.pair(s.Lab.Client, lab.VIP6())
		s.exits(4, owner, "drain", "--wait-connections=2s", "--vip", pairVIP)
		s.told(p)
		s.rejoin(owner)
	})
	s.part("Ctrl-C while nobody takes over: nothing has changed", func(s *stage) {
		owner := s.anew()
		for _, h := range s.others(owner) {
			s.must(s.Process(h).Signal(syscall.SIGSTOP))
		}
		drain := s.begin(owner, "drain")
		s.must(drain.AwaitLog(s.ctx(), "priority 0"))
		s.must(drain.Signal(syscall.SIGINT))
		s.ends(drain, 1)
		s.must(drain.AwaitLog(s.ctx(), "interrupted"))
		s.awaitGroup(owner, "a healthy owner", func(v agent.VIPStatus) bool {
			return v.State == agent.StateOwner && v.Election.Band == "healthy"
		})
		s.lossless(func() {
			for _, h := range s.others(owner) {
				s.must(s.Process(h).Signal(syscall.SIGCONT))
			}
		})
	})
}

// rejoin makes both VIPs one node's again, after one of them was drained.
func (s *stage) rejoin(drained *lab.Host) {
	s.t.Helper()
	s.exits(0, drained, "undrain")
	s.settle()
}

// begin starts a command of vipd and does not wait for it.
func (s *stage) begin(h *lab.Host, argv ...string) *lab.Proc {
	s.t.Helper()
	p, err := h.Start("command", append(append([]string{s.vipd.Binary}, argv...), "--socket", s.vipd.Socket(h))...)
	s.must(err)
	return p
}

// ends waits for a command's end.
func (s *stage) ends(p *lab.Proc, want int) {
	s.t.Helper()
	code, err := p.Wait(s.ctx())
	s.must(err)
	if code != want {
		s.t.Errorf("exit code %d, want %d:\n%s", code, want, p.Log())
	}
}

// Two nodes, and both are told to go.
func TestTwoDrainsOfTwoNodes(t *testing.T) {
	s := open(t, setup{hosts: 2, vips: bothVIPs, streams: 40})
	s.anew()
	s.lossless(func() {
		first, second := s.begin(s.Lab.Hosts[0], "drain", "--timeout", "2s"), s.begin(s.Lab.Hosts[1], "drain", "--timeout", "2s")
		var codes []int
		for _, p := range []*lab.Proc{first, second} {
			code, err := p.Wait(s.ctx())
			s.must(err)
			codes = append(codes, code)
		}
		if codes[0] != 3 && codes[1] != 3 || codes[0] != 0 && codes[0] != 3 || codes[1] != 0 && codes[1] != 3 {
			s.t.Errorf("exit codes %v, want 3 from at least one and 0 or 3 from the other", codes)
		}
	})
}

// A successor that answers for the address, but not for its port, is none.
func TestSuccessorThatDoesNotServe(t *testing.T) {
	s := open(t, setup{hosts: 2, vips: bothVIPs})
	owner := s.settle()
	deaf := s.others(owner)[0]
	s.must(apply(deaf, fmt.Sprintf("table inet deaf { chain in { type filter hook input priority 0; iifname eth0 tcp dport { 6443, %d } tcp flags syn drop; }; }", pairPort)))
	report := s.exits(3, owner, "drain", "--timeout", "3s")
	if !strings.Contains(report, "not proven to serve") {
		s.t.Errorf("the report does not say why:\n%s", report)
	}
	s.awaitGroup(owner, "in its band again", func(v agent.VIPStatus) bool { return v.Election.Band == "healthy" && v.State != agent.StateDrained })
	s.run(deaf, "nft", "delete", "table", "inet", "deaf")
	s.settle()
}

// Where connections cannot be carried the VIP moves all the same, and the clients
// are told.
func TestNothingIsCarried(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config config
		why    string
	}{
		{"handover.preserve is false", config{keys: []string{"handover: {preserve: false}"}}, "handover.preserve is false"},
		{"no hellos", config{top: []string{"hello: {enabled: false}"}}, "hello.enabled is false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, setup{vips: bothVIPs, config: func(*lab.Host) config { return tt.config }})
			owner := s.settle()
			idle := []*pair{s.pair(s.Lab.Client, lab.VIP4()), s.pair(s.Lab.Client, lab.VIP6())}
			s.lossless(func() { s.moveTo(s.others(owner)[0]) })
			for _, p := range idle {
				s.told(p)
			}
			for _, h := range s.Lab.Hosts {
				v, err := s.group(h, mainVIP)
				s.must(err)
				if v.Handover.Supported || !strings.Contains(v.Handover.Reason, tt.why) {
					s.t.Errorf("%s says %+v", h, v.Handover)
				}
			}
			s.counts(owner, `vipd_vip_connections_reset_total{cause="unkept",vip="pairs"}`, 2)
			s.counts(owner, "vipd_handover_supported", 0)
			s.nothingLeft(owner)
		})
	}
}

// keepalived takes the VIP over and knows nothing of open connections: the clients
// are told, and need not wait for anything.
func TestKeepalivedAsSuccessor(t *testing.T) {
	labtest.Require(t, "keepalived")
	const guest = "cp2"
	s := open(t, setup{
		hosts:  2,
		guests: map[string]daemon.Daemon{guest: daemon.Keepalived{Interval: 100 * time.Millisecond, VRID: firstVRID}},
		config: func(*lab.Host) config { return config{vrrp: []string{"checksum: pseudo-header"}} }, // or keepalived, which knows no other, would take over
	})
	owner := s.Lab.Hosts[0]
	idle := s.stream(lab.VIP4())
	s.exits(0, owner, "drain")
	s.settle()
	s.must(idle.SetReadDeadline(time.Now().Add(bound)))
	if _, err := io.Copy(io.Discard, idle); !errors.Is(err, syscall.ECONNRESET) {
		s.t.Errorf("the client gets %v, want a reset", err)
	}
}

// stream opens a stream to the API server behind a VIP and returns when it flows.
func (s *stage) stream(vip netip.Addr) *net.TCPConn {
	s.t.Helper()
	conn, err := dialFrom(s.ctx(), s.Lab.Client, netip.AddrPortFrom(vip, s.VIP().Port()), 0)
	s.must(err)
	s.t.Cleanup(func() { _ = conn.Close() }) // closed already, or its end does not matter
	_, err = io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: vip\r\n\r\n")
	s.must(err)
	_, err = conn.Read(make([]byte, 1))
	s.must(err)
	return conn
}
