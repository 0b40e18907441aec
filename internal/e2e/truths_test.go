package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

// holders are the hosts that have an address in the kernel's eyes.
func (s *stage) holders(addr netip.Addr) ([]*lab.Host, error) {
	var holders []*lab.Host
	for _, h := range s.Lab.Hosts {
		all, err := h.Addresses(h.Interface)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, addr) {
			holders = append(holders, h)
		}
	}
	return holders, nil
}

// heldBy tells whether exactly these hosts have an address.
func (s *stage) heldBy(addr netip.Addr, want ...*lab.Host) error {
	got, err := s.holders(addr)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("%v is held by %v, want %v", addr, got, want)
	}
	return err
}

// held makes sure of heldBy.
func (s *stage) held(addr netip.Addr, want ...*lab.Host) {
	s.t.Helper()
	s.must(s.heldBy(addr, want...))
}

// awaitHeld waits for heldBy.
func (s *stage) awaitHeld(addr netip.Addr, want ...*lab.Host) {
	s.t.Helper()
	s.await("the VIP's holder", func() error { return s.heldBy(addr, want...) })
}

// awaitOneHolder waits until exactly one host has an address, and returns it.
func (s *stage) awaitOneHolder(addr netip.Addr) (holder *lab.Host) {
	s.t.Helper()
	s.await(fmt.Sprintf("one holder of %s", addr), func() error {
		holders, err := s.holders(addr)
		if err != nil {
			return err
		}
		if len(holders) != 1 {
			return fmt.Errorf("held by %v", holders)
		}
		holder = holders[0]
		return nil
	})
	return holder
}

// firstClaim is when the client first heard a host announce the VIP after since.
func (s *stage) firstClaim(by *lab.Host, since time.Time) time.Time {
	s.t.Helper()
	claims, err := s.Claims.Since(since)
	s.must(err)
	for _, c := range claims {
		if c.Host == by && c.VIP == s.VIP().Addr() {
			return c.At
		}
	}
	s.t.Fatalf("%s was not heard to announce the VIP", by)
	return time.Time{}
}

// awaitAnswer waits until the host answers the client by an address.
func (s *stage) awaitAnswer(addr netip.Addr, by *lab.Host) {
	s.t.Helper()
	target := netip.AddrPortFrom(addr, s.VIP().Port())
	s.await(fmt.Sprintf("%s to answer by %s", by, addr), func() error {
		answer, err := s.get(s.Lab.Client, "http://"+target.String()+"/whoami")
		if err == nil && (len(answer) != 1 || answer[0] != by.Name) {
			err = fmt.Errorf("answered by %v", answer)
		}
		return err
	})
}

// status asks the daemon on a host.
func (s *stage) status(h *lab.Host) (agent.Status, error) {
	client := control.NewClient(s.vipd.Socket(h))
	defer client.Close()
	return client.Status(s.ctx())
}

// group asks the daemon on a host about a group.
func (s *stage) group(h *lab.Host, name string) agent.VIPStatus {
	s.t.Helper()
	status, err := s.status(h)
	s.must(err)
	v, err := groupOf(status, name)
	s.must(err)
	return v
}

// awaitGroup waits for something to be true of the main group on a host; want is
// how a failure words it.
func (s *stage) awaitGroup(h *lab.Host, want string, holds func(v agent.VIPStatus) bool) {
	s.t.Helper()
	s.await(fmt.Sprintf("%s to be %s", h, want), func() error {
		status, err := s.status(h)
		if err != nil {
			return err
		}
		v, err := groupOf(status, mainVIP)
		if err == nil && !holds(v) {
			err = fmt.Errorf("it is %s (%s: %s), priority %d, owner %q, healthy %t", v.State, v.Reason, v.Detail, v.Election.Priority, v.Owner, v.Healthy)
		}
		return err
	})
}

// awaitState waits for a state and its reason.
func (s *stage) awaitState(h *lab.Host, state agent.State, reason election.Reason) {
	s.t.Helper()
	s.awaitGroup(h, fmt.Sprintf("%s (%s)", state, reason), func(v agent.VIPStatus) bool { return v.State == state && v.Reason == reason })
}

// histories are the transitions of all vipd by host; those of one that does not
// run are empty.
func (s *stage) histories() map[string][]agent.Entry {
	s.t.Helper()
	all := map[string][]agent.Entry{}
	for _, h := range s.Lab.Hosts {
		client := control.NewClient(s.vipd.Socket(h))
		entries, err := client.History(s.ctx())
		client.Close()
		if !errors.Is(err, control.ErrNotRunning) {
			s.must(err)
		}
		all[h.Name] = entries
	}
	return all
}

// moved waits until both sides tell why the VIP moved; taken are the reasons that
// the successor may have had.
func (s *stage) moved(o scene.Outcome, left agent.State, because election.Reason, taken ...election.Reason) {
	s.t.Helper()
	if left == agent.StateFault {
		s.awaitState(o.Owner, left, because)
	} else {
		s.gaveUp(o.Owner, left, because)
	}
	s.awaitGroup(o.Successor, fmt.Sprintf("owner (%v)", taken), func(v agent.VIPStatus) bool {
		return v.State == agent.StateOwner && slices.Contains(taken, v.Reason)
	})
}

// gaveUp waits until a former owner carries no connections any more, and wants it
// to have given the VIP up for a reason.
func (s *stage) gaveUp(h *lab.Host, left agent.State, because election.Reason) {
	s.t.Helper()
	s.awaitState(h, left, election.HandoverEnded)
	past := s.histories()[h.Name]
	last := len(past) - 1
	for last >= 0 && past[last].From != agent.StateOwner {
		last--
	}
	if last < 0 || past[last].To != agent.StateHandover || past[last].Reason != because {
		s.t.Errorf("%s gave the VIP up otherwise than by %s: %+v", h, because, past)
	}
}
