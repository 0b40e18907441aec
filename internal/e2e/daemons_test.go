package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
)

// mainVIP names the group that the client measures.
const mainVIP = "apiserver"

// config is what a host's configuration says beyond the least that works in a
// lab. Lines of YAML are without the indentation of the place they go to.
type config struct {
	// keys of the main VIP group: "vrrp: {priority: 220}".
	keys []string
	// others are further groups; they have the main one's health check.
	others []group
	// sections are further top-level keys: "readiness: {drain_wait: 1s}".
	sections []string
	// controlGroup is control.group; empty leaves vipd's default.
	controlGroup string
}

// withVRID is for a VIP whose last byte makes no VRID.
func withVRID(*lab.Host) config { return config{keys: []string{"vrrp: {vrid: 100}"}} }

// group is a further VIP group.
type group struct {
	name      string
	addresses []netip.Addr
	keys      []string // as in config
}

// vipd is the daemon under test, with a configuration of its own on each host.
type vipd struct {
	daemon.Vipd
	config func(h *lab.Host) config // nil for nothing special
	// configs are those of hosts, by name, that got another one since.
	configs map[string]config
}

// Name implements daemon.Daemon.
func (v *vipd) Name() string { return "vipd" }

// Start implements daemon.Daemon.
func (v *vipd) Start(h *lab.Host, s daemon.Service) (*lab.Proc, error) {
	if err := v.configure(h, s); err != nil {
		return nil, err
	}
	return h.Start("vipd", unhurried(v.Binary, "run", "--config", v.ConfigFile(h))...)
}

// configure writes the host's configuration.
func (v *vipd) configure(h *lab.Host, s daemon.Service) error {
	if err := os.MkdirAll(filepath.Dir(v.ConfigFile(h)), 0o755); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	if err := os.WriteFile(v.ConfigFile(h), []byte(v.text(h, s)), 0o644); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	return nil
}

func (v *vipd) text(h *lab.Host, s daemon.Service) string {
	c, changed := v.configs[h.Name]
	if !changed && v.config != nil {
		c = v.config(h)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\nvips:\n", h)
	for _, g := range append([]group{{mainVIP, s.VIPs, c.keys}}, c.others...) {
		fmt.Fprintf(&b, "  - name: %s\n    addresses: [%s]\n    port: %d\n", g.name, quoted(g.addresses), s.Port)
		fmt.Fprintf(&b, "    health:\n      - {type: https, name: apiserver, url: \"https://127.0.0.1:%[1]d/readyz\", "+
			"liveness_url: \"https://127.0.0.1:%[1]d/livez\", ca_file: %[2]s}\n", s.Port, s.CAFile(h))
		for _, key := range g.keys {
			fmt.Fprintf(&b, "    %s\n", key)
		}
	}
	for _, section := range c.sections {
		fmt.Fprintln(&b, section)
	}
	fmt.Fprintf(&b, "control: {socket: %s", v.Socket(h))
	if c.controlGroup != "" {
		fmt.Fprintf(&b, ", group: %s", c.controlGroup)
	}
	fmt.Fprintf(&b, "}\nstate_dir: %s\n", filepath.Join(filepath.Dir(v.ConfigFile(h)), "state"))
	return b.String()
}

// unhurried is a command that gets the processor when it needs it, whatever else the
// machine does meanwhile: a daemon that is not let run loses the VIP, and tests that
// want that stop it.
func unhurried(argv ...string) []string { return append([]string{"nice", "-n", "-15"}, argv...) }

func quoted(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(words, ", ")
}

// State implements daemon.Daemon by the main group's state. A drained node is as
// ready as it is meant to be.
func (v *vipd) State(ctx context.Context, p *lab.Proc) (daemon.State, error) {
	client := control.NewClient(v.Socket(p.Host))
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return daemon.Unready, err
	}
	main, err := groupOf(status, mainVIP)
	if err != nil {
		return daemon.Unready, err
	}
	switch {
	case main.State == agent.StateOwner:
		return daemon.Owner, nil
	case main.State == agent.StateBackup && main.Healthy, main.State == agent.StateDrained:
		return daemon.Ready, nil
	}
	return daemon.Unready, nil
}

// groupOf finds a group in a status.
func groupOf(s agent.Status, name string) (agent.VIPStatus, error) {
	for _, v := range s.VIPs {
		if v.Name == name {
			return v, nil
		}
	}
	return agent.VIPStatus{}, fmt.Errorf("%s has no VIP %s", s.Node, name)
}

// cast is who runs where: vipd, unless a host is given to keepalived.
type cast struct {
	*vipd
	guests map[string]keepalived
	// before runs on a host ahead of the first start of its daemon; nil for nothing.
	before   func(h *lab.Host) error
	prepared map[*lab.Host]bool
	// service is what the scene wants held and watched, noted at each start.
	service daemon.Service
}

// Start implements daemon.Daemon.
func (c *cast) Start(h *lab.Host, s daemon.Service) (*lab.Proc, error) {
	c.service = s
	if c.before != nil && !c.prepared[h] {
		if err := c.before(h); err != nil {
			return nil, err
		}
		c.prepared[h] = true
	}
	if k, ok := c.guests[h.Name]; ok {
		return k.Start(h, s)
	}
	return c.vipd.Start(h, s)
}

// State implements daemon.Daemon.
func (c *cast) State(ctx context.Context, p *lab.Proc) (daemon.State, error) {
	if k, ok := c.guests[p.Host.Name]; ok {
		return k.State(ctx, p)
	}
	return c.vipd.State(ctx, p)
}
