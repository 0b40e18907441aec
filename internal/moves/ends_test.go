package moves

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
)

// withGrace is a configuration whose handovers end soon.
func withGrace(grace string) func(*lab.Host) config {
	return func(*lab.Host) config { return config{keys: []string{"handover: {grace: " + grace + "}"}} }
}

// How a handover ends, and what is left of it: nothing.
func TestHandoverEnds(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, config: withGrace("5s")})
	vips := bothVIPs

	s.part("the grace is over: clients that only wait are told, and so is the operator", func(s *stage) {
		owner := s.settle()
		pairs := []*pair{s.pair(s.Lab.Client, vips[0]), s.pair(s.Lab.Client, vips[1])}
		s.moveTo(s.others(owner)[0])
		s.keptAll(pairs...)
		for _, p := range pairs {
			s.told(p)
		}
		s.awaitEntry(owner, "of 2 connections that were carried 0 ended by themselves; 2 were reset: handover.grace is over")
		s.counts(owner, `vipd_vip_connections_reset_total{cause="grace",vip="pairs"}`, 2)
		s.counts(owner, `vipd_handovers_total{result="reset",vip="pairs"}`, 1)
		s.nothingLeft(owner)
	})
	s.part("all connections end by themselves: the handover ends before its grace", func(s *stage) {
		owner := s.settle()
		pairs := []*pair{s.pair(s.Lab.Client, vips[0]), s.pair(s.Lab.Client, vips[1])}
		s.moveTo(s.others(owner)[0])
		s.keptAll(pairs...)
		for _, p := range pairs {
			s.must(p.client.Close())
			s.must(p.server.Close())
		}
		s.awaitEntry(owner, "of 2 connections that were carried 2 ended by themselves")
		s.nothingLeft(owner)
	})
	s.part("without an open connection nothing is carried", func(s *stage) {
		owner := s.settle()
		s.moveTo(s.others(owner)[0])
		s.awaitEntry(owner, "no connection was open")
		s.nothingLeft(owner)
	})
}

// told makes sure that a client that only waits learns of the end.
func (s *stage) told(p *pair) {
	s.t.Helper()
	if err := p.hears(); err != nil {
		s.t.Error(err)
	}
}

// hears returns nil when the client, who only waits, is told of the end. A kernel
// says "aborted" to a client of its own whose connection it destroyed.
func (p *pair) hears() error {
	if err := p.client.SetReadDeadline(time.Now().Add(bound)); err != nil {
		return err
	}
	_, err := p.client.Read(make([]byte, 1))
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNABORTED) {
		return nil
	}
	if err == nil {
		err = errors.New("data")
	}
	return fmt.Errorf("the client at %s that waits gets no reset: %w", p.client.LocalAddr(), err)
}

// awaitEntry waits until the newest handover of the pairs' VIP that ended on a host
// is told in its history like this.
func (s *stage) awaitEntry(h *lab.Host, detail string) {
	s.t.Helper()
	client := control.NewClient(s.vipd.Socket(h))
	defer client.Close()
	s.await("the end of the handover in the history of "+h.Name, func() error {
		entries, err := client.History(s.ctx())
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(entries) {
			if e.VIP != pairVIP {
				continue
			}
			if e.Reason == election.HandoverEnded && e.Detail == detail {
				return nil
			}
			return fmt.Errorf("the last entry is %+v", e)
		}
		return errors.New("it is empty")
	})
}

// counts makes sure of a counter.
func (s *stage) counts(h *lab.Host, series string, want float64) {
	s.t.Helper()
	if got := s.metric(h, series); got != want {
		s.t.Errorf("%s on %s is %v, want %v", series, h, got, want)
	}
}

// nothingLeft waits until a host has nothing of the VIPs any more: no address, no
// changed setting, no element in a set.
func (s *stage) nothingLeft(h *lab.Host) {
	s.t.Helper()
	all := append(next(s.setup.vips), s.setup.vips...)
	s.await("nothing to be left on "+h.Name, func() error {
		for _, device := range []string{"lo", h.Interface} {
			held, err := h.Addresses(device)
			if err != nil {
				return err
			}
			for _, vip := range all {
				if slices.Contains(held, vip) {
					return fmt.Errorf("%s is on %s", vip, device)
				}
			}
		}
		for _, setting := range []string{"arp_ignore", "arp_announce", "accept_local"} {
			value, err := readSysctl(h, filepath.Join("net/ipv4/conf", h.Interface, setting))
			if err != nil || value != "0" {
				return fmt.Errorf("%s is %s, %w", setting, value, err)
			}
		}
		tables, err := h.Run(s.ctx(), "nft", "list", "tables")
		if err != nil {
			return err
		}
		for _, family := range []string{"ip", "ip6"} {
			if !strings.Contains(tables, "table "+family+" vipd\n") {
				continue
			}
			for _, set := range []string{"set " + family + " vipd owned", "set " + family + " vipd shadowed", "map " + family + " vipd prev", "map " + family + " vipd owners"} {
				listed, err := h.Run(s.ctx(), append([]string{"nft", "list"}, strings.Fields(set)...)...)
				if err != nil {
					return err
				}
				if strings.Contains(listed, "elements") {
					return fmt.Errorf("elements: %s", listed)
				}
			}
		}
		return nil
	})
}

func readSysctl(h *lab.Host, path string) (value string, err error) {
	err = h.Do(func() error {
		text, err := os.ReadFile(filepath.Join("/proc/sys", path))
		value = strings.TrimSpace(string(text))
		return err
	})
	return value, err
}

// What happens to the nodes in the grace.
func TestGraceIsDisturbed(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, streams: 40, requests: 100})
	vips := bothVIPs

	s.part("kill -9 of the former owner's daemon, which starts again: what is carried lives", func(s *stage) {
		owner := s.anew()
		pairs := []*pair{s.pair(s.Lab.Client, vips[0]), s.pair(s.Lab.Client, vips[1])}
		s.lossless(func() {
			s.moveTo(s.others(owner)[0])
			s.stop(owner, syscall.SIGKILL)
			s.must(s.StartDaemon(owner))
			s.awaitCarrying(owner)
		})
		s.keptAll(pairs...)
	})
	s.part("the former owner's daemon is stopped and stays down for longer than anything unrenewed lives", func(s *stage) {
		owner := s.anew()
		pairs := []*pair{s.pair(s.Lab.Client, vips[0]), s.pair(s.Lab.Client, vips[1])}
		s.lossless(func() {
			successor := s.others(owner)[0]
			s.moveTo(successor)
			s.stop(owner, syscall.SIGTERM)
			s.passesOnFor(successor, 5)
			s.must(s.StartDaemon(owner))
			s.awaitCarrying(owner)
		})
		s.keptAll(pairs...)
	})
	s.part("a former owner loses power: its clients are told, those of one before it are carried past it", func(s *stage) {
		first := s.anew()
		middle, last := s.others(first)[0], s.others(first)[1]
		var older, newer []*pair
		for _, vip := range vips {
			older = append(older, s.pair(s.Lab.Client, vip))
		}
		s.moveTo(middle)
		for _, vip := range vips {
			newer = append(newer, s.pair(s.Lab.Client, vip))
		}
		s.lossless(func() { s.moveTo(last) })
		s.keptAll(append(newer, older...)...)
		_, err := s.Lab.Break(lab.CableCut(middle))
		s.must(err)
		s.must(s.Process(middle).Kill())
		fates := s.fates(append(slices.Clone(newer), older...))
		for i, p := range append(newer, older...) {
			if want := map[bool]fate{true: wasReset, false: kept}[p.on == middle]; fates[i] != want {
				s.t.Errorf("connection to %s, of which %s lost power: %s, want %s", p.on, middle, fates[i], want)
			}
		}
	})
}

// awaitCarrying waits until a former owner's daemon knows what it carries.
func (s *stage) awaitCarrying(h *lab.Host) {
	s.t.Helper()
	s.awaitGroup(h, "carrying", func(v agent.VIPStatus) bool {
		return v.State == agent.StateHandover && v.Handover.Connections >= s.streams()
	})
}

// passesOnFor waits until a node has passed packets on in so many seconds of its
// own count of them.
func (s *stage) passesOnFor(h *lab.Host, seconds int) {
	s.t.Helper()
	const series = `vipd_handover_forwarded_packets_total{vip="apiserver"}`
	for until := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(until); {
		before := s.metric(h, series)
		s.await(h.Name+" to pass packets on", func() error {
			if n := s.metric(h, series); n <= before {
				return fmt.Errorf("%v so far", n)
			}
			return nil
		})
	}
}

// What the end of an API server means to its open connections.
func TestAPIServerEnds(t *testing.T) {
	s := open(t, setup{vips: bothVIPs, streams: 40})
	s.part("SIGTERM: it serves what is open to the end, and so does the node", func(s *stage) {
		owner := s.anew()
		from := time.Now()
		s.must(s.APIServer(owner).Signal(syscall.SIGTERM))
		s.servedBesides(owner)
		s.flowing(from)
		s.awaitCarryingUnhealthy(owner)
		s.must(s.APIServer(owner).Kill())
		_, err := s.APIServer(owner).Wait(s.ctx())
		s.must(err)
		s.must(s.StartAPIServer(s.ctx(), owner))
		s.settle()
	})
	s.part("hung: its connections are ended, so that clients look for another", func(s *stage) {
		owner := s.anew()
		pairs := []*pair{s.pair(s.Lab.Client, s.setup.vips[0]), s.pair(s.Lab.Client, s.setup.vips[1])}
		s.must(s.APIServer(owner).Signal(syscall.SIGSTOP))
		for _, p := range pairs {
			s.told(p)
		}
		s.servedBesides(owner)
		s.await("the metric to tell", func() error {
			if n := s.metric(owner, `vipd_vip_connections_reset_total{cause="hung",vip="pairs"}`); n != 2 {
				return fmt.Errorf("%v", n)
			}
			return nil
		})
		s.must(s.APIServer(owner).Signal(syscall.SIGCONT))
		s.settle()
	})
}

// flowing makes sure that no stream broke since a time.
func (s *stage) flowing(from time.Time) {
	s.t.Helper()
	for i, c := range s.clients {
		s.must(c.AwaitStreams(s.ctx(), time.Now()))
		seen, err := c.Report(s.ctx(), from, time.Now())
		s.must(err)
		if seen.Streams != s.streams() || seen.Broken != 0 {
			s.t.Errorf("client %d: %d of %d streams broke", i, seen.Broken, seen.Streams)
		}
	}
}

func (s *stage) awaitCarryingUnhealthy(h *lab.Host) {
	s.t.Helper()
	s.awaitGroup(h, "carrying although unhealthy", func(v agent.VIPStatus) bool {
		return v.State == agent.StateHandover && !v.Healthy && v.Handover.Connections >= s.streams()
	})
}
