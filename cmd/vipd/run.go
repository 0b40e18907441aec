package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/election/lease/etcd"
	"github.com/vipd/vipd/internal/alarm"
	"github.com/vipd/vipd/internal/drainmark"
	"github.com/vipd/vipd/internal/follow"
	"github.com/vipd/vipd/internal/instance"
	"github.com/vipd/vipd/internal/lasting"
	"github.com/vipd/vipd/metrics"
	"github.com/vipd/vipd/peer"
	"github.com/vipd/vipd/readiness"
	"github.com/vipd/vipd/systemd"
	"github.com/vipd/vipd/vip"
)

func newRunCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: "Run the daemon in the foreground. SIGTERM and SIGINT hand the VIPs over and stop it,\n" +
			"SIGHUP reloads the configuration, SIGUSR1 logs the status.",
		RunE: func(c *cobra.Command, _ []string) error {
			// A panic, and the watchdog's SIGABRT, would end with 2, which tells the
			// service manager that the configuration is wrong and a restart of no use.
			debug.SetTraceback("crash")
			// A reader of standard error that is gone, as a journald that restarts, is no
			// reason to end (os/signal, SIGPIPE). Ignoring the signal instead would be
			// inherited by commands.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
			loaded, host, err := g.loadWithHost()
			if err != nil {
				return err
			}
			log, level, end := newLog(g.stderr, loaded.Log)
			defer end()
			for _, warning := range config.Warnings(loaded, host) {
				log.Warn(warning)
			}
			keys, err := readKeys(loaded)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			etcd.Quiet()
			useProcessors(loaded)
			d := daemon{config: loaded, keys: keys, path: g.configPath, load: g.loadForRun, log: log, level: level, stderr: g.stderr}
			return d.run(c.Context())
		},
	}
}

// daemon is what `vipd run` runs.
type daemon struct {
	config *config.Config
	// keys authenticate hellos; nil: none do.
	keys *peer.Keyring
	// path is the configuration file's; load reads it anew.
	path  string
	load  func() (*config.Config, error)
	log   *slog.Logger
	level *slog.LevelVar
	// stderr takes the speaker's log.
	stderr io.Writer
}

// run runs until ctx ends, and hands the VIPs over before it returns.
func (d daemon) run(ctx context.Context) (err error) {
	lock, err := instance.Acquire(d.config.StateDir)
	if errors.Is(err, instance.ErrRunning) {
		return fmt.Errorf("%w; see vipd status", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	holder, err := vip.NewHolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, holder.Close()) }()
	announcer, err := vip.NewAnnouncer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, announcer.Close()) }()
	clock, err := alarm.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clock.Close()) }()

	flows, closeFlows := openFlows(d.log, memoryOf(d.config))
	defer func() { err = errors.Join(err, closeFlows()) }()

	store := &leases{notes: lasting.Directory(d.config.DataDir)}
	defer func() { err = errors.Join(err, store.Close()) }()

	// Edges and surfaces live until the agent has handed over, longer than ctx.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, inner := errgroup.WithContext(inner)
	options := agent.Options{
		Config: d.config, Path: d.path, Version: version(), PID: os.Getpid(), Load: d.load, Keys: d.keys,
		Edges: agent.Edges{
			Sockets: sockets{ctx: inner, group: g}, Hellos: helloSockets{ctx: inner, group: g, log: d.log}, Addresses: holder, Announcer: announcer,
			Prober: prober{}, Claims: claims{}, Health: healthProber{},
			Files: follow.Follower{}, Mark: drainmark.In(d.config.StateDir), Flows: flows, Alarm: clock,
			Programs: programs{}, Members: members{notes: lasting.Directory(d.config.DataDir)}, Leases: store,
		},
		Log: d.log, LogLevel: d.level,
	}
	_, _ = rand.Read(options.Boot[:]) // it never fails: without randomness the program ends
	_, _ = rand.Read(options.Secret[:])
	var a *agent.Agent
	client := d.speakerOf(
		func(ev agent.SpeakerChanged) { a.Post(inner, ev) },
		func() time.Duration { return a.TimeLeft() }, // a is made below
	)
	options.Edges.Speaker, options.Edges.Paths = client, pathsBeside(flows)
	a = agent.New(options)
	g.Go(func() error { return client.Run(inner) })
	g.Go(func() error { return watchInterfaces(inner, a) })
	g.Go(func() error { return d.signals(inner, a) })
	g.Go(func() error { d.supervise(inner, a); return nil })
	g.Go(func() error { d.delayShutdown(inner, a); return nil })
	if err := d.serve(inner, g, a); err != nil {
		return err
	}
	g.Go(func() error {
		defer cancel()
		stop, failed := context.WithCancel(ctx)
		defer failed()
		context.AfterFunc(inner, failed) // an edge that fails stops the agent in order
		context.AfterFunc(stop, d.sayStopping)
		return a.Run(stop)
	})
	return g.Wait()
}

// serve starts the control socket and the listeners for metrics and readiness.
// Only the socket is needed to live: without the others the VIP is served all the
// same.
func (d daemon) serve(ctx context.Context, g *errgroup.Group, a *agent.Agent) error {
	listener, err := control.Listen(ctx, d.config.Control.Socket, d.config.Control.Group, d.log)
	if err != nil {
		return err
	}
	server := control.NewServer(a, d.config.Control.Group, d.log)
	g.Go(func() error { return server.Serve(ctx, listener) })
	if d.config.Readiness.Listen != "" {
		r := readiness.Server{Address: d.config.Readiness.Listen, Node: a, Log: d.log}
		g.Go(func() error { r.Serve(ctx); return nil })
	}
	if d.config.Metrics.Listen == "" {
		return nil
	}
	m := metrics.Server{
		Address: d.config.Metrics.Listen, WebConfig: d.config.Metrics.WebConfig,
		Gatherer: metrics.NewRegistry(a), Pulse: a, Log: d.log,
	}
	g.Go(func() error { m.Serve(ctx); return nil })
	return nil
}

// signals serves SIGHUP and SIGUSR1.
func (d daemon) signals(ctx context.Context, a *agent.Agent) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(c)
	for {
		select {
		case s := <-c:
			if s == syscall.SIGUSR1 {
				d.tell(a.Status())
				continue
			}
			d.reload(ctx, a)
		case <-ctx.Done():
			return nil
		}
	}
}

// reload makes a SIGHUP's reload known to the service manager too: `systemctl
// reload` is over when it is.
func (d daemon) reload(ctx context.Context, a *agent.Agent) {
	d.notify(systemd.Notifier.Reloading)
	if err := a.Reload(ctx); err != nil && !errors.Is(err, context.Canceled) {
		d.log.Error("the configuration was not reloaded", "error", err)
	}
	d.notify(systemd.Notifier.Ready)
}

// tell logs the status, a line for each VIP.
func (d daemon) tell(s agent.Status) {
	for _, v := range s.VIPs {
		d.log.Info("status", "vip", v.Name, "state", string(v.State), "reason", string(v.Reason), "detail", v.Detail,
			"since", v.Since, "owner", v.Owner, "healthy", v.Healthy, "drained", s.Drained, "duplicate_owner", v.DuplicateOwner)
	}
}
