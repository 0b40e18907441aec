package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bfd"
	"github.com/vipd/vipd/bgp/bfd/udp"
	"github.com/vipd/vipd/bgp/gobgp"
	"github.com/vipd/vipd/bgp/process"
	"github.com/vipd/vipd/bgp/speaker"
	"github.com/vipd/vipd/config"
)

const (
	// speakerSocket is the file descriptor of the daemon's socket in the speaker.
	speakerSocket = 3
	// lastResort ends a speaker whose daemon is dead and that does not find an
	// end by itself.
	lastResort = 5 * time.Second
)

func newSpeakerCommand(g *globals) *cobra.Command {
	var log config.Log
	c := &cobra.Command{
		Use:    "speaker",
		Short:  "Internal: the BGP and BFD process that 'vipd run' starts",
		Long:   "The BGP and BFD process. 'vipd run' starts it when bgp.neighbors are configured, and it dies\nwith the daemon; it is of no use by itself.",
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			logger, _, end := newLog(g.stderr, log)
			defer end()
			return speak(c.Context(), logger)
		},
	}
	c.Flags().TextVar(&log.Level, "log-level", slog.LevelInfo, "least `level` of log lines")
	c.Flags().StringVar((*string)(&log.Format), "log-format", string(config.LogText), "`form` of log lines: text or json")
	return c
}

// speak serves the daemon at the other end of the socket until that is closed.
func speak(ctx context.Context, log *slog.Logger) error {
	file := os.NewFile(speakerSocket, "daemon")
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeSocket == 0 {
		return &exitError{exitUsage, errors.New("the speaker is started by 'vipd run', with a socket as file descriptor 3")}
	}
	// What is sent to a daemon may reach every process of it: Ctrl-C, systemctl kill,
	// a terminal that closes. The daemon hands over first, and then closes the socket.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	// A daemon that was killed reads no log any more, and its speaker still has to
	// tell the neighbours; see run.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, orphaned := signal.NotifyContext(context.WithoutCancel(ctx), process.Orphaned)
	defer orphaned()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastResort, func() { os.Exit(1) }) })

	if err := bearLittle(); err != nil {
		log.Warn("a host without memory may spare the speaker", "error", err)
	}

	var s *speaker.Speaker
	watcher := &watcher{sources: map[netip.Addr]netip.Addr{}}
	engine, err := udp.Open(log, func(p bfd.Path, now udp.Status) {
		s.Saw(p.Remote, speaker.Sight{State: now.State, Remote: now.Remote, Diagnostic: now.Diagnostic, Err: now.Err})
	})
	if err != nil {
		return err
	}
	watcher.engine = engine
	s = speaker.New(speaker.Edges{Open: openSession(log), Watcher: watcher, Memory: hasMemory, Collapse: collapse}, log)
	watcher.unwatched = func(n netip.Addr, err error) { s.Saw(n, speaker.Sight{State: bfd.Down, Err: err}) }
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	g, inner := errgroup.WithContext(inner)
	g.Go(func() error { return engine.Run(inner) })
	g.Go(func() error {
		defer end()
		s.Run(ctx, file)
		return nil
	})
	return g.Wait()
}

func openSession(log *slog.Logger) func(uint32, netip.Addr, bgp.Neighbor, func()) (speaker.Session, error) {
	return func(asn uint32, routerID netip.Addr, n bgp.Neighbor, changed func()) (speaker.Session, error) {
		return gobgp.Open(gobgp.Local{ASN: asn, RouterID: routerID}, n, log, changed)
	}
}

// watcher puts the speaker's ways into the terms of package udp.
type watcher struct {
	engine *udp.Engine
	// sources are the addresses from which neighbours were reached last.
	sources map[netip.Addr]netip.Addr
	// unwatched tells of a way that cannot be watched.
	unwatched func(neighbor netip.Addr, err error)
}

func (w *watcher) Configure(ways []speaker.Way) {
	peers := make([]udp.Peer, 0, len(ways))
	for _, way := range ways {
		if !way.Source.IsValid() {
			local, err := udp.LocalAddress(way.Neighbor)
			switch former, known := w.sources[way.Neighbor]; {
			case err == nil:
				w.sources[way.Neighbor] = local
			case known: // a session that has no way finds that out by itself
				local = former
			default:
				w.unwatched(way.Neighbor, err)
				continue
			}
			way.Source = local
		}
		peers = append(peers, udp.Peer{
			Path:   bfd.Path{Source: way.Source, Remote: way.Neighbor, Multihop: way.Multihop},
			Config: way.Config,
		})
	}
	w.engine.Configure(peers)
}

func (w *watcher) Lateness() time.Duration { return w.engine.Lateness() }
func (w *watcher) Refused() uint64         { return w.engine.Refused() }

// speakerOf is the client of a speaker process of this program. timeLeft is how
// long that may take to end.
func (d daemon) speakerOf(changed func(agent.SpeakerChanged), timeLeft func() time.Duration) *process.Client {
	return process.New(process.Options{
		// The program that runs, even if its file was replaced since.
		Command: []string{"/proc/self/exe", "speaker", fmt.Sprintf("--log-level=%s", d.config.Log.Level), "--log-format=" + string(d.config.Log.Format)},
		Stderr:  d.stderr, Log: d.log,
		Changed: func(s process.State) {
			changed(agent.SpeakerChanged{Running: s.Running, Restarts: s.Restarts, Error: s.Error, Report: s.Report})
		},
		TimeLeft: timeLeft,
	})
}
