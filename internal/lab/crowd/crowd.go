// Package crowd measures VIP daemons where there is much to do: with hundreds of
// VIP groups on one interface, and on a machine whose processors are all busy.
// What happened is read from the adverts that passed the switch.
package crowd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/adverts"
)

// Subject is a daemon in one configuration.
type Subject struct {
	Name string
	// Vipd is the path of vipd; empty: keepalived.
	Vipd     string
	Interval time.Duration
	// RealTime starts the daemon with the real-time policy SCHED_RR at the lowest
	// priority, as vipd's systemd unit does (CPUSchedulingPolicy=rr).
	RealTime bool
}

// vip is the VIP of group number n, from 1; its VRID is n.
func vip(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, byte(n)}) }

// start starts the daemon on a host with so many groups.
func (s Subject) start(h *lab.Host, groups int) (*lab.Proc, error) {
	dir := filepath.Join(h.Dir(), "crowd")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("configure %s on %s: %w", s.Name, h, err)
	}
	file := filepath.Join(dir, "config")
	text, argv := s.keepalived(h, groups), []string{"keepalived", "--dont-fork", "--vrrp", "--log-console",
		"--use-file", file, "--pid", filepath.Join(dir, "main.pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid")}
	if s.Vipd != "" {
		text, argv = s.vipd(h, groups, dir), []string{s.Vipd, "run", "--config", file}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("configure %s on %s: %w", s.Name, h, err)
	}
	if s.RealTime {
		argv = append([]string{"chrt", "--rr", "1"}, argv...)
	}
	return h.Start("daemon", argv...)
}

// priority is higher on the first host, so that it owns.
func priority(h *lab.Host) int {
	const first = 11 // last byte of the first host's address
	return max(130, 250-20*(int(h.Addr4.As4()[3])-first))
}

func (s Subject) vipd(h *lab.Host, groups int, dir string) string {
	var b strings.Builder
	b.WriteString("vips:\n")
	for n := range groups {
		fmt.Fprintf(&b, "  - {addresses: [%s], interface: %s, health: [], vrrp: {vrid: %d, priority: %d, advert_interval: %v}}\n",
			vip(n+1), h.Interface, n+1, priority(h), s.Interval)
	}
	fmt.Fprintf(&b, "control: {socket: %q}\nstate_dir: %q\n", filepath.Join(dir, "vipd.sock"), filepath.Join(dir, "state"))
	return b.String()
}

func (s Subject) keepalived(h *lab.Host, groups int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n vrrp_version 3\n}\n", h)
	for n := range groups {
		fmt.Fprintf(&b, "vrrp_instance g%d {\n state BACKUP\n nopreempt\n interface %s\n virtual_router_id %d\n priority %d\n advert_int %g\n virtual_ipaddress {\n  %s/32\n }\n}\n",
			n+1, h.Interface, n+1, priority(h), s.Interval.Seconds(), vip(n+1))
	}
	return b.String()
}

// segment is a lab on which the daemon runs and the switch captures adverts.
type segment struct {
	*lab.Lab
	capture *lab.Capture
	procs   []*lab.Proc
}

// open starts the daemon on each of so many hosts, the one that is to own first,
// and returns when it owns all groups.
func open(ctx context.Context, s Subject, hosts, groups int) (*segment, error) {
	l, err := lab.New(lab.Options{Hosts: hosts})
	if err != nil {
		return nil, err
	}
	seg := &segment{Lab: l}
	if seg.capture, err = l.Switch.Capture(ctx, adverts.Filter); err != nil {
		return seg, err
	}
	for _, h := range l.Hosts {
		p, err := s.start(h, groups)
		if err != nil {
			return seg, err
		}
		seg.procs = append(seg.procs, p)
		if h != l.Hosts[0] {
			continue
		}
		if _, err := seg.awaitOwner(ctx, h, time.Time{}, groups); err != nil {
			return seg, fmt.Errorf("%w: %s", err, p.Log())
		}
	}
	return seg, nil
}

// awaitOwner waits until a host has advertised each group since a time, and
// returns when each of them was first.
func (s *segment) awaitOwner(ctx context.Context, h *lab.Host, since time.Time, groups int) (first map[uint8]time.Time, err error) {
	err = lab.AwaitEvery(ctx, 100*time.Millisecond, fmt.Sprintf("%s to own %d groups", h, groups), func() error {
		all, err := adverts.Read(s.capture.File)
		if err != nil {
			return err
		}
		first = map[uint8]time.Time{}
		for _, a := range all {
			if _, known := first[a.VRID]; !known && a.From(h.MAC) && a.Priority > 0 && !a.At.Before(since) {
				first[a.VRID] = a.At
			}
		}
		if len(first) < groups {
			return fmt.Errorf("it owns %d", len(first))
		}
		return nil
	})
	return first, err
}

// pause lets a measurement go on.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// quantiles are the middle and the largest of some times.
func quantiles(all []time.Duration) (median, most time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2], sorted[len(sorted)-1]
}
