package moves

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

// The VIP groups of each host. The second one's server is the test itself.
const (
	mainVIP  = "apiserver"
	pairVIP  = "pairs"
	pairPort = 7443
	// firstVRID is the main group's; some addresses' last byte is 0.
	firstVRID = 100
)

// group is a VIP group in a configuration.
type group struct {
	name string
	vips []netip.Addr
	port uint16
}

// config is what a host's configuration says beyond the least that works in a
// lab.
type config struct {
	// vrrp are further keys of both groups' vrrp, keys further lines of both
	// groups, top lines of the file: YAML.
	vrrp, keys, top []string
}

// vipd is the daemon under test, with a configuration of its own on each host.
type vipd struct {
	daemon.Vipd
	config  func(h *lab.Host) config // nil for nothing special
	changed map[*lab.Host]config
	// service is what the scene wants held and watched, noted at each start.
	service daemon.Service
	// before runs on a host ahead of the first start of its daemon; nil for nothing.
	before   func(h *lab.Host) error
	prepared map[*lab.Host]bool
	first    *lab.Proc
	// guests are the hosts, by name, that run another daemon; pairless leaves the
	// pairs' group out, which that does not know.
	guests   map[string]daemon.Daemon
	pairless bool
}

// Name implements daemon.Daemon.
func (v *vipd) Name() string { return "vipd" }

// Start implements daemon.Daemon. The daemon gets the processor when it needs it,
// whatever else the machine does: one that is not let run is another test's story.
func (v *vipd) Start(h *lab.Host, s daemon.Service) (*lab.Proc, error) {
	v.service = s
	if guest, ok := v.guests[h.Name]; ok {
		return guest.Start(h, s)
	}
	if v.before != nil && !v.prepared[h] {
		if err := v.before(h); err != nil {
			return nil, err
		}
		v.prepared[h] = true
	}
	if err := v.configure(h); err != nil {
		return nil, err
	}
	p, err := h.Start("vipd", "nice", "-n", "-15", v.Binary, "run", "--config", v.ConfigFile(h))
	if err != nil || v.first != nil {
		return p, err
	}
	v.first = p
	return p, v.awaitOwner(p)
}

// awaitOwner lets the first daemon have both groups before others start, so that
// one node has them all.
func (v *vipd) awaitOwner(p *lab.Proc) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return lab.Await(ctx, "the first owner", func() error {
		state, err := v.State(ctx, p)
		if err == nil && state != daemon.Owner {
			err = fmt.Errorf("it is %s", state)
		}
		return err
	})
}

// configure writes the host's configuration.
func (v *vipd) configure(h *lab.Host) error {
	if err := os.MkdirAll(filepath.Dir(v.ConfigFile(h)), 0o750); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	if err := os.WriteFile(v.ConfigFile(h), []byte(v.text(h)), 0o600); err != nil {
		return fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	return nil
}

func (v *vipd) text(h *lab.Host) string {
	c, changed := v.changed[h]
	if !changed && v.config != nil {
		c = v.config(h)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\nvips:\n", h)
	groups := []group{{mainVIP, v.service.VIPs, v.service.Port}, {pairVIP, next(v.service.VIPs), pairPort}}
	if v.pairless {
		groups = groups[:1]
	}
	for n, g := range groups {
		fmt.Fprintf(&b, "  - name: %s\n    addresses: [%s]\n    port: %d\n", g.name, quoted(g.vips), g.port)
		fmt.Fprintf(&b, "    vrrp: {%s}\n", strings.Join(append([]string{fmt.Sprintf("vrid: %d", firstVRID+n)}, c.vrrp...), ", "))
		fmt.Fprintf(&b, "    health:\n      - {type: https, name: apiserver, url: \"https://127.0.0.1:%[1]d/readyz\", "+
			"liveness_url: \"https://127.0.0.1:%[1]d/livez\", ca_file: %[2]s}\n", v.service.Port, v.service.CAFile(h))
		for _, key := range c.keys {
			fmt.Fprintf(&b, "    %s\n", key)
		}
	}
	for _, line := range c.top {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "control: {socket: %s}\nstate_dir: %s\n", v.Socket(h), filepath.Join(filepath.Dir(v.ConfigFile(h)), "state"))
	return b.String()
}

// next are the addresses behind these.
func next(addrs []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		all[i] = a.Next()
	}
	return all
}

func quoted(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = fmt.Sprintf("%q", a)
	}
	return strings.Join(words, ", ")
}

// State implements daemon.Daemon: the owner of both groups is the owner. A drained
// node is as ready as it is meant to be, and so is one that still carries
// connections.
func (v *vipd) State(ctx context.Context, p *lab.Proc) (daemon.State, error) {
	if guest, ok := v.guests[p.Host.Name]; ok {
		return guest.State(ctx, p)
	}
	status, err := v.status(ctx, p.Host)
	if err != nil {
		return daemon.Unready, err
	}
	owned := 0
	for _, vip := range status.VIPs {
		switch groupState(vip) {
		case daemon.Owner:
			owned++
		case daemon.Ready:
		case daemon.Unready:
			return daemon.Unready, nil
		}
	}
	switch owned {
	case 0:
		return daemon.Ready, nil
	case len(status.VIPs):
		return daemon.Owner, nil
	}
	return daemon.Unready, nil // the groups are not together
}

// groupState is State for one group.
func groupState(v agent.VIPStatus) daemon.State {
	switch {
	case v.State == agent.StateOwner:
		return daemon.Owner
	case v.State == agent.StateDrained, v.Healthy && (v.State == agent.StateBackup || v.State == agent.StateHandover):
		return daemon.Ready
	}
	return daemon.Unready
}

// status asks the daemon on a host.
func (v *vipd) status(ctx context.Context, h *lab.Host) (agent.Status, error) {
	client := control.NewClient(v.Socket(h))
	defer client.Close()
	return client.Status(ctx)
}
