package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/router"
)

// status is what a host's vipd says of itself.
func (s *stage) status(h *lab.Host) agent.Status {
	s.t.Helper()
	client := control.NewClient(s.Vipd.Socket(h))
	defer client.Close()
	status, err := client.Status(s.ctx())
	s.must(err)
	return status
}

// owner is the one host that the router sends packets for the VIP to.
func (s *stage) owner() *lab.Host {
	s.t.Helper()
	var found *lab.Host
	s.await("one path", func() error {
		hops, err := s.Router.Routes(s.ctx(), netip.PrefixFrom(VIP4(), 32))
		if err == nil && len(hops) != 1 {
			err = fmt.Errorf("next hops: %v", hops)
		}
		if err == nil {
			i := slices.IndexFunc(s.Lab.Hosts, func(h *lab.Host) bool { return h.Addr4 == hops[0] })
			found = s.Lab.Hosts[i]
		}
		return err
	})
	return found
}

// elected is a fabric where the owner alone is announced.
func elected(election ...string) Options {
	return Options{
		BGP: []string{quick, "leaving: {wait: 500ms}"}, Neighbor: []string{"hold_time: 3s"},
		Peering: router.Peering{Hold: 3 * time.Second},
		Group:   append(election, "interface: eth0", "vrrp: {vrid: 51}"),
	}
}

// Active and standby.
func TestTheElectedOwnerIsAnnounced(t *testing.T) {
	t.Run("by VRRP", func(t *testing.T) {
		s := open(t, elected("election: vrrp"))
		s.ownerMoves()
	})
	t.Run("by etcd", func(t *testing.T) {
		opts := elected("election: etcd", "etcd: {ttl: 3s}")
		opts.Etcd = true
		s := open(t, opts, "etcd")
		s.ownerMoves()
		t.Run("and who loses its etcd is left", func(t *testing.T) {
			s := stage{s.Fabric, t}
			alone := s.owner()
			s.must(s.Etcd.Freeze(alone))
			s.otherThan(alone)
			s.served(settled)
			if held, err := alone.Addresses("lo"); err != nil || slices.Contains(held, VIP4()) {
				t.Errorf("without etcd the former owner holds %v (%v)", held, err)
			}
			s.must(s.Etcd.Thaw(alone))
		})
	})
}

// ownerMoves has the owner drained, and the next one killed.
func (s *stage) ownerMoves() {
	first := s.owner()
	s.t.Run("a drain moves it without a failed request", func(t *testing.T) {
		s := stage{s.Fabric, t}
		routes, since := s.routes(), s.served(settled)
		_, err := s.Vipd.Command(s.ctx(), first, "drain")
		s.must(err)
		if next := s.owner(); next == first {
			t.Errorf("%s is still the owner", first)
		}
		s.unharmed(since, routes)
		if held, err := first.Addresses("lo"); err != nil || slices.Contains(held, VIP4()) {
			t.Errorf("the drained node holds %v (%v)", held, err)
		}
		_, err = s.Vipd.Command(s.ctx(), first, "undrain")
		s.must(err)
	})
	s.t.Run("a crash moves it", func(t *testing.T) {
		s := stage{s.Fabric, t}
		crashed := s.owner()
		s.must(s.Daemon(crashed).Kill())
		s.otherThan(crashed)
		s.served(settled)
		s.must(s.StartDaemon(crashed))
		s.must(s.AwaitSessions(s.ctx(), s.Lab.Hosts...))
	})
}

// otherThan waits until the router sends packets for the VIP to another host.
func (s *stage) otherThan(h *lab.Host) {
	s.t.Helper()
	s.await("another owner than "+h.Name, func() error {
		if s.owner() == h {
			return errors.New("it is still that one")
		}
		return nil
	})
}

// A BIRD on the host announces what vipd holds.
func TestAnotherDaemonAnnouncesWhatIsHeld(t *testing.T) {
	guests := []router.Node{{Address: netip.MustParseAddr("10.77.0.51"), ASN: 64951}, {Address: netip.MustParseAddr("10.77.0.52"), ASN: 64952}}
	s := open(t, Options{
		Hosts: 2, Group: []string{"announce: local"}, Peering: router.Peering{Guests: guests}, Unsettled: true,
	}, "bird")
	for i, h := range s.Lab.Hosts {
		_, err := h.Run(s.ctx(), "ip", "address", "add", guests[i].Address.String()+"/24", "dev", h.Interface)
		s.must(err)
		_, err = router.StartBIRD(s.ctx(), h, router.Peering{
			ASN: guests[i].ASN, Source: guests[i].Address, Connects: true, OfLo: true,
			Nodes: []router.Node{{Address: s.Lab.Router.Addr4, ASN: RouterASN}},
		})
		s.must(err)
	}
	s.awaitHops(VIP4(), guests[0].Address, guests[1].Address)
	s.served(settled)
	_, err := s.Vipd.Command(s.ctx(), s.Lab.Hosts[0], "drain")
	s.must(err)
	s.awaitHops(VIP4(), guests[1].Address)
	s.served(settled)
	if out, err := s.Vipd.Command(s.ctx(), s.Lab.Hosts[1], "drain", "--timeout", "3s"); err == nil || !strings.Contains(out+err.Error(), "all requests came back to this node") {
		t.Errorf("a drain of the last node: %v %s", err, out)
	}
	s.served(settled)
	_, err = s.Vipd.Command(s.ctx(), s.Lab.Hosts[0], "undrain")
	s.must(err)
	s.awaitHops(VIP4(), guests[0].Address, guests[1].Address)
}

// awaitHops waits until the router sends packets for an address to exactly these.
func (s *stage) awaitHops(to netip.Addr, want ...netip.Addr) {
	s.t.Helper()
	s.await(fmt.Sprintf("the router's ways to %v", to), func() error {
		hops, err := s.Router.Routes(s.ctx(), netip.PrefixFrom(to, to.BitLen()))
		if err == nil && !slices.Equal(hops, want) {
			err = fmt.Errorf("in use: %v, not %v", hops, want)
		}
		return err
	})
}

// A VIP of the segment is none of the speaker's business, whatever befalls it.
func TestASegmentsVIPOutlivesTheSpeaker(t *testing.T) {
	opts := watched(100 * time.Millisecond)
	opts.Hosts, opts.BGP = 2, []string{quick}
	opts.Groups = []string{segmentGroup()}
	s := open(t, opts)
	hosts := s.Lab.Hosts
	s.must(s.ready(s.ctx()))
	holder := s.segmentsOwner()
	others := s.without(holder)
	for name, harm := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			s := stage{s.Fabric, t}
			s.must(s.ready(s.ctx()))
			before := s.segment(holder)
			first := s.speaker(holder)
			s.must(syscall.Kill(first, harm))
			s.must(s.AwaitPaths(s.ctx(), VIP4(), others...)) // a frozen one: by BFD
			s.await("another speaker", func() error {
				if s.speaker(holder) == first {
					return errors.New("it is still the first")
				}
				return nil
			})
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
			if after := s.segment(holder); after != before {
				t.Errorf("the segment's VIP: %s, and before %s", after, before)
			}
			if held, err := holder.Addresses("lo"); err != nil || !slices.Contains(held, VIP4()) {
				t.Errorf("lo has %v (%v)", held, err)
			}
		})
	}
	t.Run("the routed one moves by its own drain", func(t *testing.T) {
		s := stage{s.Fabric, t}
		before := s.segment(holder)
		_, err := s.Vipd.Command(s.ctx(), holder, "drain", "--vip", "apiserver")
		s.must(err)
		s.must(s.AwaitPaths(s.ctx(), VIP4(), others...))
		if after := s.segment(holder); after != before {
			t.Errorf("the segment's VIP: %s, and before %s", after, before)
		}
		_, err = s.Vipd.Command(s.ctx(), holder, "undrain", "--vip", "apiserver")
		s.must(err)
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	})
	t.Run("and the segment's by its own", func(t *testing.T) {
		s := stage{s.Fabric, t}
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...)) // the former part ended with an undrain
		routes := s.routes()
		before := s.status(holder).VIPs[0].Since
		_, err := s.Vipd.Command(s.ctx(), holder, "drain", "--vip", "segment")
		s.must(err)
		if held, err := others[0].Addresses(others[0].Interface); err != nil || !slices.Contains(held, lab.VIP4()) {
			t.Errorf("%s holds %v (%v)", others[0], held, err)
		}
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
		if now := s.status(holder).VIPs[0].Since; !now.Equal(before) || routes.any() {
			t.Errorf("the routed VIP's state is since %v, and was since %v; its routes changed: %v", now, before, routes.any())
		}
	})
}

// segmentGroup is a VIP of the segment, elected by VRRP.
func segmentGroup() string {
	return fmt.Sprintf("name: segment, addresses: [%v], vrrp: {vrid: 77}, health: []", lab.VIP4())
}

// segmentsOwner waits until one host owns the VIP segment, and the others hear it.
func (s *stage) segmentsOwner() (owner *lab.Host) {
	s.t.Helper()
	s.await("an owner of the segment's VIP", func() error {
		owner = nil
		for _, h := range s.Lab.Hosts {
			switch state := s.segmentStatus(h).State; {
			case state == agent.StateOwner && owner == nil:
				owner = h
			case state != agent.StateBackup:
				return fmt.Errorf("%s is %s", h, state)
			}
		}
		if owner == nil {
			return errors.New("nobody has it")
		}
		return nil
	})
	return owner
}

func (s *stage) segmentStatus(h *lab.Host) agent.VIPStatus {
	s.t.Helper()
	vips := s.status(h).VIPs
	return vips[slices.IndexFunc(vips, func(v agent.VIPStatus) bool { return v.Name == "segment" })]
}

// segment tells a host's state of the VIP segment, and since when.
func (s *stage) segment(h *lab.Host) string {
	s.t.Helper()
	v := s.segmentStatus(h)
	return fmt.Sprint(v.State, " since ", v.Since)
}

// Each time that a node flaps its path stays out of use for twice as long. Only
// that it is not too short is judged.
func TestANodeThatFlapsIsTrustedLater(t *testing.T) {
	const delay = time.Second
	s := open(t, Options{Hosts: 2, BGP: []string{"return_delay: 1s"}})
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	for flaps := 1; flaps <= 2; flaps++ {
		s.must(s.APIServer(hosts[0]).SetMode(s.ctx(), apiserver.Unready))
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1]))
		s.must(s.APIServer(hosts[0]).SetMode(s.ctx(), apiserver.Ready))
		s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
		used := time.Now()
		v := s.status(hosts[0]).VIPs[0]
		if lasted := used.Sub(v.Health[0].Since); !v.Healthy || lasted < delay<<flaps {
			t.Errorf("flap %d: trusted %v after it was well again", flaps, lasted)
		}
	}
}

// The router uses the paths of a speaker that died until the next one is there:
// nothing is hashed anew, so no stream breaks.
func TestGracefulRestartBreaksNoStream(t *testing.T) {
	s := open(t, Options{
		BGP: []string{quick}, Neighbor: []string{"graceful_restart: 20s"}, Peering: router.Peering{GracefulRestart: true}, Streams: 30,
	})
	hosts := s.Lab.Hosts
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	since := s.served(settled)
	s.must(s.Client.AwaitStreams(s.ctx(), since))
	s.must(syscall.Kill(s.speaker(hosts[0]), syscall.SIGKILL))
	s.await("the session of another speaker", func() error {
		st := s.status(hosts[0]).BGP
		if st.Restarts != 1 || len(st.Neighbors) == 0 || len(st.Neighbors[0].Announced) == 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	back := time.Now()
	s.must(s.Client.AwaitStreams(s.ctx(), back))
	report, err := s.Client.Report(s.ctx(), since, s.served(settled))
	s.must(err)
	if report.Failed > 0 || report.Broken > 0 || report.Streams != 30 {
		t.Errorf("%d requests failed; %d of %d streams broke", report.Failed, report.Broken, report.Streams)
	}
	for i, h := range hosts {
		restarted, err := s.Router.(*router.FRR).Restarted(s.ctx(), h.Addr4)
		s.must(err)
		if want := (router.Restarted{R: i == 0, F: i == 0}); restarted != want {
			t.Errorf("%s told the router %+v, not %+v", h, restarted, want)
		}
	}
}
