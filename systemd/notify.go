package systemd

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Supervised tells whether a service manager wants to be told of this process
// (NOTIFY_SOCKET, sd_notify(3)).
func Supervised() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// WatchdogInterval is how long the service manager waits for a sign of life
// before it restarts this process; 0: it does not watch (sd_watchdog_enabled(3)).
func WatchdogInterval() (time.Duration, error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("learn the watchdog's interval: %w", err)
	}
	return interval, nil
}

// Notifier tells the service manager how its service does. Without one it says
// nothing. A call may wait for the service manager, so it is not for the loop.
type Notifier struct{}

// Ready ends a start or a reload.
func (Notifier) Ready() error { return notify(daemon.SdNotifyReady) }

// Reloading begins a reload, which Ready ends.
func (Notifier) Reloading() error {
	return notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Stopping begins the end of the service, which may take as long as budget
// although the unit's own limit is shorter.
func (Notifier) Stopping(budget time.Duration) error {
	return notify(daemon.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", budget.Microseconds()))
}

// Status sets the line that `systemctl status` shows.
func (Notifier) Status(line string) error {
	return notify("STATUS=" + strings.ReplaceAll(line, "\n", " "))
}

// Alive feeds the watchdog.
func (Notifier) Alive() error { return notify(daemon.SdNotifyWatchdog) }

func notify(assignments ...string) error {
	text := strings.Join(assignments, "\n")
	if _, err := daemon.SdNotify(false, text); err != nil {
		return fmt.Errorf("tell the service manager %q: %w", text, err)
	}
	return nil
}
