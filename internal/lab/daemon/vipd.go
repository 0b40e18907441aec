package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Vipd is vipd with a configuration as small as the lab allows.
type Vipd struct {
	// Binary is its path.
	Binary string
	// Interval between adverts; zero leaves vipd's default.
	Interval time.Duration
	// Settings returns further lines of YAML for the entry of the VIPs on a host,
	// such as "unhealthy_delay: 1s"; none when nil.
	Settings func(h *lab.Host) []string
	// Top returns further lines of YAML for the file on a host; none when nil.
	Top func(h *lab.Host) []string
}

// Name implements Daemon.
func (v Vipd) Name() string {
	if v.Interval == 0 {
		return "vipd, as it comes"
	}
	return fmt.Sprintf("vipd, adverts each %v", v.Interval)
}

// Start implements Daemon.
func (v Vipd) Start(h *lab.Host, s Service) (*lab.Proc, error) {
	if err := os.MkdirAll(vipdDir(h), 0o750); err != nil {
		return nil, fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	if err := os.WriteFile(v.ConfigFile(h), []byte(v.config(h, s)), 0o600); err != nil {
		return nil, fmt.Errorf("configure vipd on %s: %w", h, err)
	}
	return h.Start("vipd", v.Binary, "run", "--config", v.ConfigFile(h))
}

func vipdDir(h *lab.Host) string { return filepath.Join(h.Dir(), "vipd") }

// ConfigFile is the path of the host's configuration.
func (v Vipd) ConfigFile(h *lab.Host) string { return filepath.Join(vipdDir(h), "vipd.yaml") }

// Socket is the path of the host's control socket.
func (v Vipd) Socket(h *lab.Host) string { return filepath.Join(vipdDir(h), "vipd.sock") }

// config needs more than vipd's one line, as the hosts of a lab share one file
// system.
func (v Vipd) config(h *lab.Host, s Service) string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\nvips:\n  - addresses: [", h)
	for i, addr := range s.VIPs {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", addr)
	}
	fmt.Fprintf(&b, "]\n    port: %d\n", s.Port)
	if v.Interval != 0 {
		fmt.Fprintf(&b, "    vrrp: {advert_interval: %v}\n", v.Interval)
	}
	fmt.Fprintf(&b, "    health:\n      - type: https\n        name: apiserver\n        url: https://127.0.0.1:%[1]d/readyz\n"+
		"        liveness_url: https://127.0.0.1:%[1]d/livez\n        ca_file: %[2]s\n", s.Port, s.CAFile(h))
	if v.Settings != nil {
		for _, line := range v.Settings(h) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	fmt.Fprintf(&b, "control: {socket: %s}\nstate_dir: %s\n", v.Socket(h), filepath.Join(vipdDir(h), "state"))
	if v.Top != nil {
		for _, line := range v.Top(h) {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// Command runs a subcommand of vipd against the daemon on a host and returns
// its standard output.
func (v Vipd) Command(ctx context.Context, h *lab.Host, argv ...string) (string, error) {
	return h.Run(ctx, append(append([]string{v.Binary}, argv...), "--socket", v.Socket(h))...)
}

// Drain implements Drainer.
func (v Vipd) Drain(ctx context.Context, h *lab.Host) error {
	_, err := v.Command(ctx, h, "drain")
	return err
}

// Undrain implements Drainer.
func (v Vipd) Undrain(ctx context.Context, h *lab.Host) error {
	_, err := v.Command(ctx, h, "undrain")
	return err
}

// History implements Historian.
func (v Vipd) History(ctx context.Context, h *lab.Host) ([]Transition, error) {
	out, err := v.Command(ctx, h, "history", "--json")
	if err != nil {
		return nil, err
	}
	var history []Transition
	if err := json.Unmarshal([]byte(out), &history); err != nil {
		return nil, fmt.Errorf("read history of vipd on %s: %w", h, err)
	}
	return history, nil
}

// Status is the part of vipd's status that a lab looks at.
type Status struct {
	Drained bool `json:"drained"`
	VIPs    []struct {
		State   string `json:"state"`
		Reason  string `json:"reason"`
		Detail  string `json:"detail"`
		Owner   string `json:"owner"`
		Healthy bool   `json:"healthy"`
	} `json:"vips"`
}

// Status asks by the control socket: a command for each poll would cost more
// than the daemons themselves.
func (v Vipd) Status(ctx context.Context, h *lab.Host) (Status, error) {
	var status Status
	var dialer net.Dialer
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", v.Socket(h))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vipd/v1/status", nil)
	if err != nil {
		return status, fmt.Errorf("ask vipd on %s: %w", h, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return status, fmt.Errorf("ask vipd on %s: %w", h, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return status, fmt.Errorf("ask vipd on %s: %s", h, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return status, fmt.Errorf("ask vipd on %s: %w", h, err)
	}
	return status, nil
}

// State implements Daemon.
func (v Vipd) State(ctx context.Context, p *lab.Proc) (State, error) {
	status, err := v.Status(ctx, p.Host)
	if err != nil {
		return Unready, err
	}
	return vipdState(status), nil
}

// vipdState is Owner or Ready only if it is so for each VIP.
func vipdState(s Status) State {
	if len(s.VIPs) == 0 {
		return Unready
	}
	state := Owner
	for _, vip := range s.VIPs {
		switch {
		case vip.State == "owner":
		case (vip.State == "backup" || vip.State == "handover") && vip.Healthy && !s.Drained:
			state = min(state, Ready)
		default:
			return Unready
		}
	}
	return state
}
