package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Keepalived is keepalived, as keepalived.conf(5) describes it, in
// the settings that serve it best here: no preemption, and a check each second, the shortest
// interval it knows, whose first failure counts.
type Keepalived struct {
	// Viplab is the path of a program with the subcommand check; without it the
	// API server is not checked.
	Viplab string
	// Version of the adverts; 0 means 3.
	Version int
	// Interval between adverts, in steps of 10 ms; version 2: whole seconds.
	Interval time.Duration
	// Priority of a host, 1 to 254; nil gives 250, 190, 130 and so on: far enough
	// apart that even at 10 ms two hosts do not take over at once. The winner of
	// such a duel does not announce itself for 5 s.
	Priority func(h *lab.Host) int
	// VRID is 1 to 255; 0 means the last byte of the first VIP, as vipd has it.
	VRID int
	// Peers are other hosts' addresses for adverts by unicast; multicast without.
	Peers func(h *lab.Host) []netip.Addr
}

// keepalivedInstance names the VRRP instance in configuration and log.
const keepalivedInstance = "vip"

// Name implements Daemon.
func (k Keepalived) Name() string {
	return fmt.Sprintf("keepalived, adverts each %v", k.Interval)
}

// Start implements Daemon. VIPs of the first one's family are held by VRRP, others
// are excluded from the adverts as keepalived demands.
func (k Keepalived) Start(h *lab.Host, s Service) (*lab.Proc, error) {
	dir := filepath.Join(h.Dir(), "keepalived")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("configure keepalived on %s: %w", h, err)
	}
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(k.config(h, s)), 0o600); err != nil {
		return nil, fmt.Errorf("configure keepalived on %s: %w", h, err)
	}
	// A reboot would empty /run: a killed daemon's files keep the next one from starting
	// as long as nobody has reaped the processes they name.
	pids := []string{filepath.Join(dir, "keepalived.pid"), filepath.Join(dir, "vrrp.pid")}
	for _, path := range pids {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("configure keepalived on %s: %w", h, err)
		}
	}
	return h.Start("keepalived", "keepalived", "--dont-fork", "--vrrp", "--log-console", "--log-detail",
		"--use-file", file, "--pid", pids[0], "--vrrp_pid", pids[1])
}

func (k Keepalived) config(h *lab.Host, s Service) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n vrrp_version %d\n script_user root\n}\n", h, cmp.Or(k.Version, 3))
	if k.Viplab != "" {
		fmt.Fprintf(&b, "vrrp_script apiserver {\n script \"%s check --ca %s https://127.0.0.1:%d/readyz\"\n", k.Viplab, s.CAFile(h), s.Port)
		b.WriteString(" interval 1\n timeout 1\n rise 1\n fall 1\n}\n")
	}
	fmt.Fprintf(&b, "vrrp_instance %s {\n state BACKUP\n nopreempt\n interface %s\n", keepalivedInstance, h.Interface)
	fmt.Fprintf(&b, " virtual_router_id %d\n priority %d\n advert_int %g\n", k.vrid(s), k.priority(h), k.Interval.Seconds())
	if k.Peers != nil {
		b.WriteString(" unicast_peer {\n")
		for _, peer := range k.Peers(h) {
			fmt.Fprintf(&b, "  %s\n", peer)
		}
		b.WriteString(" }\n")
	}
	own, other := split(s.VIPs)
	block(&b, "virtual_ipaddress", own)
	block(&b, "virtual_ipaddress_excluded", other)
	if k.Viplab != "" {
		b.WriteString(" track_script {\n  apiserver\n }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// split parts the VIPs of the first one's family from the others.
func split(vips []netip.Addr) (own, other []netip.Addr) {
	for _, v := range vips {
		if v.Is4() == vips[0].Is4() {
			own = append(own, v)
		} else {
			other = append(other, v)
		}
	}
	return own, other
}

func block(b *strings.Builder, name string, vips []netip.Addr) {
	if len(vips) == 0 {
		return
	}
	fmt.Fprintf(b, " %s {\n", name)
	for _, v := range vips {
		fmt.Fprintf(b, "  %s/%d\n", v, v.BitLen())
	}
	b.WriteString(" }\n")
}

func (k Keepalived) vrid(s Service) int {
	if k.VRID != 0 {
		return k.VRID
	}
	bytes := s.VIPs[0].AsSlice()
	return int(bytes[len(bytes)-1])
}

func (k Keepalived) priority(h *lab.Host) int {
	if k.Priority != nil {
		return k.Priority(h)
	}
	const first = 11 // last byte of the first host's address
	return max(1, 250-60*(int(h.Addr4.As4()[3])-first))
}

// State implements Daemon by the last state that the log tells.
func (k Keepalived) State(_ context.Context, p *lab.Proc) (State, error) {
	select {
	case <-p.Done():
		return Unready, fmt.Errorf("keepalived on %s has ended", p.Host)
	default:
	}
	return keepalivedState(p.Log()), nil
}

// keepalivedState reads a log such as "(vip) Entering MASTER STATE".
func keepalivedState(log string) State {
	_, last, found := cutLast(log, "("+keepalivedInstance+") Entering ")
	if !found {
		return Unready
	}
	switch word, _, _ := strings.Cut(last, " "); word {
	case "MASTER":
		return Owner
	case "BACKUP":
		return Ready
	}
	return Unready // FAULT
}

// cutLast is strings.Cut around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
