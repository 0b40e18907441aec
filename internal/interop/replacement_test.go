package interop

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/scene"
)

// crew is keepalived on the hosts that were not replaced yet, and vipd on the
// others.
type crew struct {
	old daemon.Keepalived
	new daemon.Vipd
	// replaced are the hosts that run vipd.
	replaced map[*lab.Host]bool
}

func (c *crew) Name() string { return "keepalived, being replaced" }

func (c *crew) on(h *lab.Host) daemon.Daemon {
	if c.replaced[h] {
		return c.new
	}
	return c.old
}

func (c *crew) Start(h *lab.Host, s daemon.Service) (*lab.Proc, error) { return c.on(h).Start(h, s) }

func (c *crew) State(ctx context.Context, p *lab.Proc) (daemon.State, error) {
	return c.on(p.Host).State(ctx, p)
}

// TestRollingReplacement replaces keepalived by vipd on three hosts, one after
// the other, the owner last or first, while a client opens a connection each
// 2 ms. docs/migration.md has what it prints.
func TestRollingReplacement(t *testing.T) {
	rows := []struct {
		name string
		old  daemon.Keepalived
		vrrp string
		// ownerFirst replaces the owner before the backups.
		ownerFirst bool
	}{
		{"version 3, 100 ms, backups first", daemon.Keepalived{Interval: 100 * time.Millisecond}, "checksum: pseudo-header", false},
		{"version 3, 100 ms, owner first", daemon.Keepalived{Interval: 100 * time.Millisecond}, "checksum: pseudo-header", true},
		{"version 2, 1 s, backups first", daemon.Keepalived{Version: 2, Interval: time.Second}, "version: 2", false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			labtest.Require(t, "keepalived")
			c := &crew{old: r.old, replaced: map[*lab.Host]bool{}}
			c.old.Priority = func(h *lab.Host) int { return 140 + 10*int(h.Addr4.As4()[3]-10) } // in vipd's healthy band
			c.new = daemon.Vipd{Binary: vipdBinary(), Settings: func(*lab.Host) []string { return []string{"vrrp: {" + r.vrrp + "}"} }}
			s, err := scene.Open(labtest.Context(t, patience), scene.Options{
				Daemon: c, Viplab: labtest.Self(t), VIPs: []netip.Addr{lab.VIP4()},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(s.Logs())
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			replaceAll(t, s, c, r.ownerFirst)
		})
	}
}

func replaceAll(t *testing.T, s *scene.Scene, c *crew, ownerFirst bool) {
	settle := func() *lab.Host {
		t.Helper()
		owner, err := s.Settle(labtest.Context(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		return owner
	}
	owner := settle()
	order := make([]*lab.Host, 0, len(s.Lab.Hosts))
	for _, h := range s.Lab.Hosts {
		if h != owner {
			order = append(order, h)
		}
	}
	if ownerFirst {
		order = append([]*lab.Host{owner}, order...)
	} else {
		order = append(order, owner)
	}
	for _, h := range order {
		began := time.Now()
		was := settle()
		old := s.Process(h)
		if err := old.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Wait(labtest.Context(t, patience)); err != nil {
			t.Fatal(err)
		}
		c.replaced[h] = true
		if err := s.StartDaemon(h); err != nil {
			t.Fatal(err)
		}
		now := settle()
		seen, err := s.Client.Report(labtest.Context(t, patience), began, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s replaced, owner %s before and %s after: %d of %d requests failed, the longest outage was %v",
			h, was, now, seen.Failed, seen.Requests, seen.Outage.Round(time.Millisecond))
		if was != h && (now != was || seen.Failed > 0) {
			t.Errorf("the replacement of a backup was noticed: the owner was %s, is %s, and %d requests failed", was, now, seen.Failed)
		}
	}
	if err := soleHolder(s); err != nil {
		t.Error(err)
	}
}

// soleHolder returns nil when one kernel has the VIP.
func soleHolder(s *scene.Scene) error {
	holders, err := s.Holders()
	if err == nil && len(holders) != 1 {
		err = fmt.Errorf("the VIP is on %v", holders)
	}
	return err
}
