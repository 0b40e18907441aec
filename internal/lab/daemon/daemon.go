// Package daemon is what demo, benchmarks and tests need to know of the VIP
// daemons that they run on the hosts of a lab: how one is configured and started, and
// what it says of itself. Values are plain settings; all state is in the
// processes.
package daemon

import (
	"context"
	"net/netip"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// Service is what the daemons hold and watch.
type Service struct {
	// VIPs move together; the first one's family carries the adverts.
	VIPs []netip.Addr
	// Port of the API server, on each host.
	Port uint16
	// CAFile is the path of the API server's CA on a host.
	CAFile func(h *lab.Host) string
}

// Daemon is a VIP daemon with its settings.
type Daemon interface {
	// Name is for tables: "vipd, adverts each 100ms".
	Name() string
	// Start configures the daemon for a host and starts it there. It does not wait until it works.
	Start(h *lab.Host, s Service) (*lab.Proc, error)
	// State asks a process that Start returned what it takes itself for. An
	// error means that it does not say, for example since it has ended.
	State(ctx context.Context, p *lab.Proc) (State, error)
}

// Drainer is a Daemon that can be told to give the VIPs up while it runs on.
type Drainer interface {
	// Drain returns when a healthy successor serves; on an error nothing has changed.
	Drain(ctx context.Context, h *lab.Host) error
	// Undrain lets the host hold VIPs again.
	Undrain(ctx context.Context, h *lab.Host) error
}

// Historian is a Daemon that knows why it did what it did.
type Historian interface {
	// History returns the host's transitions, oldest first.
	History(ctx context.Context, h *lab.Host) ([]Transition, error)
}

// State is what a daemon takes itself for.
type State int

const (
	// Unready can not take the VIP over now.
	Unready State = iota
	// Ready is a healthy backup.
	Ready
	// Owner answers for the VIP.
	Owner
)

func (s State) String() string {
	switch s {
	case Unready:
		return "unready"
	case Ready:
		return "ready"
	case Owner:
		return "owner"
	}
	panic("unhandled state")
}

// Transition is one change of a host's state, as `vipd history --json` tells it.
type Transition struct {
	Time   time.Time `json:"time"`
	VIP    string    `json:"vip"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	Owner  string    `json:"owner"`
	// Duration is how long the host had been in From, in seconds.
	Duration float64 `json:"duration_seconds"`
}
