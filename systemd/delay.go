package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/login1"
	"github.com/godbus/dbus/v5"
)

// prepareForShutdown is logind's signal: true before the host goes down, false
// if it does not after all (org.freedesktop.login1(5)).
const prepareForShutdown = "PrepareForShutdown"

// ErrNotDelayed tells that logind delays no shutdown for this process.
var ErrNotDelayed = errors.New("logind does not delay a shutdown of the host for vipd")

// Leaving is what is done when the host is about to go down.
type Leaving interface {
	// Leave gives up what others can take over. The host waits for it, for
	// InhibitDelayMaxSec of logind.conf(5) at the most.
	Leave(ctx context.Context)
	// Stay undoes Leave: the host does not go down after all.
	Stay(ctx context.Context)
}

// DelayShutdown makes each shutdown of the host wait until l has left, until ctx
// ends. A process without root's rights needs polkit's permission; refused, or
// without logind, the error wraps ErrNotDelayed.
func DelayShutdown(ctx context.Context, why string, l Leaving) error {
	conn, err := login1.New()
	if err != nil {
		return fmt.Errorf("%w: reach the system bus: %w", ErrNotDelayed, err)
	}
	defer conn.Close()
	// The library's calls know no context; a closed connection ends them.
	defer context.AfterFunc(ctx, conn.Close)()
	d := delay{conn: conn, why: why}
	defer d.release()
	if err := d.serve(ctx, l); ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrNotDelayed, err)
	}
	return nil
}

// serve returns when the bus does not do its part, or its connection is closed.
func (d *delay) serve(ctx context.Context, l Leaving) error {
	signals := d.conn.Subscribe(prepareForShutdown) // before the first delay: no signal is missed
	if err := d.take(); err != nil {
		return err
	}
	for signal := range signals {
		if err := d.heard(ctx, signal, l); err != nil {
			return err
		}
	}
	return errors.New("the system bus closed the connection")
}

// delay is the right to delay a shutdown, which is a file held open.
type delay struct {
	conn *login1.Conn
	why  string
	lock *os.File
}

func (d *delay) take() error {
	if d.lock != nil {
		return nil
	}
	lock, err := d.conn.Inhibit("shutdown", "vipd", d.why, "delay")
	if err != nil {
		return err
	}
	d.lock = lock
	return nil
}

func (d *delay) release() {
	if d.lock != nil {
		_ = d.lock.Close() // a descriptor that was never written to
		d.lock = nil
	}
}

func (d *delay) heard(ctx context.Context, s *dbus.Signal, l Leaving) error {
	if s == nil || s.Name != "org.freedesktop.login1.Manager."+prepareForShutdown || len(s.Body) != 1 {
		return nil
	}
	switch goesDown, ok := s.Body[0].(bool); {
	case !ok:
		return nil
	case goesDown:
		l.Leave(ctx)
		d.release()
		return nil
	}
	l.Stay(ctx)
	return d.take()
}
