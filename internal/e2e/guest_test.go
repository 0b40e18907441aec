package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
)

// keepalived is a neighbour of vipd: a router with one plain priority and no
// check.
type keepalived struct {
	priority int
	preempt  bool
}

// Name implements daemon.Daemon.
func (k keepalived) Name() string { return "keepalived" }

// Start implements daemon.Daemon.
func (k keepalived) Start(h *lab.Host, s daemon.Service) (*lab.Proc, error) {
	dir := filepath.Join(h.Dir(), "keepalived")
	file := filepath.Join(dir, "keepalived.conf")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(k.text(h, s)), 0o644)); err != nil {
		return nil, fmt.Errorf("configure keepalived on %s: %w", h, err)
	}
	return h.Start("keepalived", unhurried("keepalived", "--dont-fork", "--vrrp", "--log-console", "--log-detail",
		"--use-file", file, "--pid", filepath.Join(dir, "keepalived.pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))...)
}

// text is keepalived.conf(5); the instance's name is what daemon.Keepalived
// looks for in the log.
func (k keepalived) text(h *lab.Host, s daemon.Service) string {
	stickiness := "nopreempt"
	if k.preempt {
		stickiness = ""
	}
	vip := s.VIPs[0]
	bytes := vip.AsSlice()
	return fmt.Sprintf(`global_defs {
 router_id %s
 vrrp_version 3
}
vrrp_instance vip {
 state BACKUP
 %s
 interface %s
 virtual_router_id %d
 priority %d
 advert_int 0.1
 virtual_ipaddress {
  %s/%d
 }
}
`, h, stickiness, h.Interface, bytes[len(bytes)-1], k.priority, vip, vip.BitLen())
}

// State implements daemon.Daemon.
func (k keepalived) State(ctx context.Context, p *lab.Proc) (daemon.State, error) {
	return daemon.Keepalived{}.State(ctx, p)
}
