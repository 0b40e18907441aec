package fabric

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

// bfdOf is the session with a host as the router's bfdd has it.
func (s *stage) bfdOf(h *lab.Host) router.BFDSession {
	s.t.Helper()
	all, err := s.Router.(*router.FRR).BFDSessions(s.ctx())
	s.must(err)
	return all[s.own(h, s.opts.IPv6Sessions)]
}

// frames wants a capture to have frames of a kind, or to have none.
func (s *stage) frames(c *lab.Capture, what, filter string, want bool) {
	s.t.Helper()
	got, err := c.Frames(s.ctx(), filter)
	s.must(err)
	if want != (len(got) > 0) {
		s.t.Errorf("%s: %d frames, %q", what, len(got), filter)
	}
}

func (s *stage) wellFormed(c *lab.Capture) {
	s.t.Helper()
	bad, err := c.Malformed(s.ctx(), "bfd")
	s.must(err)
	for _, frame := range bad {
		s.t.Errorf("malformed: %s", frame)
	}
}

// RFC 5880 6.8.3: a change of intervals is agreed on by a poll, and loses
// nothing.
func TestIntervalsChangeAtRunTime(t *testing.T) {
	for name, ipv6 := range map[string]bool{"over IPv4": false, "over IPv6": true} {
		t.Run(name, func(t *testing.T) {
			opts := watched(50 * time.Millisecond)
			opts.Hosts, opts.BGP, opts.IPv6Sessions = 2, []string{quick}, ipv6
			if ipv6 {
				opts.VIPs = append(opts.VIPs, VIP6())
			}
			s := open(t, opts, "tshark", "tcpdump")
			host := s.Lab.Hosts[0]
			s.awaitBFD(host, bgp.BFDUp)
			before := s.bfdOf(host)
			seen, err := s.Lab.Switch.Capture(s.ctx(), "udp port 3784")
			s.must(err)

			s.must(s.Router.(*router.FRR).ConfigureBFD(s.ctx(), "transmit-interval 200", "receive-interval 200"))
			s.Change(func(o *Options) { o.Neighbor = watched(100 * time.Millisecond).Neighbor })
			s.must(s.Configure(host))
			_, err = s.Vipd.Command(s.ctx(), host, "reload")
			s.must(err)
			s.await("the router to know the new intervals", func() error {
				if b := s.bfdOf(host); b.Transmit != 100*time.Millisecond || b.Receive != 100*time.Millisecond {
					return fmt.Errorf("%+v", b)
				}
				return nil
			})
			s.await("packets at the new pace", func() error {
				if n := s.bfdOf(host).Packets; n < before.Packets+20 {
					return fmt.Errorf("%d packets", n-before.Packets)
				}
				return nil
			})
			if after := s.bfdOf(host); after.State != "up" || after.Downs != before.Downs {
				t.Errorf("before: %+v, after: %+v", before, after)
			}
			s.must(seen.Stop())
			s.wellFormed(seen)
			ours, theirs := "ip.src == 10.77.0.11 && ip.dst == 10.77.0.1", "ip.src == 10.77.0.1 && ip.dst == 10.77.0.11"
			if ipv6 {
				ours = fmt.Sprintf("ipv6.src == %v && ipv6.hlim == 255", host.Addr6)
				theirs = fmt.Sprintf("ipv6.dst == %v", host.Addr6)
			}
			s.frames(seen, "our poll", ours+" && bfd.flags.p == 1 && bfd.desired_min_tx_interval == 100000", true)
			s.frames(seen, "the router's answer", theirs+" && bfd.flags.f == 1", true)
			s.frames(seen, "the router's poll", theirs+" && bfd.flags.p == 1 && bfd.desired_min_tx_interval == 200000", true)
			s.frames(seen, "our answer", ours+" && bfd.flags.f == 1", true)
			s.frames(seen, "an offer of echo", ours+" && bfd.required_min_echo_interval > 0", false)
			s.frames(seen, "demand or authentication", ours+" && (bfd.flags.d == 1 || bfd.flags.a == 1)", false)
		})
	}
}

// BFD lives in the speaker: it keeps time while the daemon is busy, and ends when
// it is frozen.
func TestBFDOutlivesABusyDaemonAndNotAFrozenOne(t *testing.T) {
	opts := watched(50 * time.Millisecond)
	opts.Hosts, opts.BGP = 2, []string{quick}
	s := open(t, opts)
	hosts := s.Lab.Hosts
	s.awaitBFD(hosts[0], bgp.BFDUp)
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
	before := s.bfdOf(hosts[0])
	s.must(s.stopLoop(hosts[0], syscall.SIGSTOP))
	s.await("BFD to go on beyond the detection time", func() error {
		if n := s.bfdOf(hosts[0]).Packets - before.Packets; n < 8 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
	if now := s.bfdOf(hosts[0]); now.Downs != before.Downs {
		t.Errorf("before: %+v, after: %+v", before, now)
	}
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts[1]))
	s.await("BFD to end", func() error {
		if now := s.bfdOf(hosts[0]); now.State == "up" {
			return errors.New("it is up")
		}
		return nil
	})
	s.must(s.stopLoop(hosts[0], syscall.SIGCONT))
	s.awaitBFD(hosts[0], bgp.BFDUp)
	s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
}

// stopLoop signals the daemon and not its speaker.
func (s *stage) stopLoop(h *lab.Host, sig syscall.Signal) error {
	return syscall.Kill(s.Daemon(h).Pid(), sig)
}

// RFC 5882 4.2: what the router's operator takes down is no loss.
func TestBFDThatTheRouterTakesDownEndsNoSession(t *testing.T) {
	opts := watched(50 * time.Millisecond)
	opts.Hosts, opts.BGP = 2, []string{quick}
	s := open(t, opts)
	host := s.Lab.Hosts[0]
	s.must(s.ready(s.ctx()))
	s.awaitBFD(host, bgp.BFDUp)
	before := s.neighbours(host)[0]
	frr := s.Router.(*router.FRR)
	s.must(frr.ConfigureBFD(s.ctx(), "shutdown"))
	s.awaitBFD(host, bgp.BFDDown)
	if n := s.neighbours(host)[0]; n.State != bgp.Established || n.Flaps != before.Flaps {
		t.Errorf("before: %+v, after: %+v", before, n)
	}
	s.must(frr.ConfigureBFD(s.ctx(), "no shutdown"))
	s.awaitBFD(host, bgp.BFDUp)
}
