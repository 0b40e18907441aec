// Package scene puts everything on stage that shows what a VIP daemon does: a
// lab, an API server and a daemon on each host, and a client that measures. Its
// Trials are what happens to the owner of the VIP; the demo tells of them, the benchmark
// repeats them, tests judge them.
//
//	s, err := scene.Open(ctx, scene.Options{Daemon: d, Viplab: path})
//	defer s.Close()
//	outcome, err := s.Try(ctx, scene.CableCut())
//	fmt.Println(outcome.Seen.Outage)
//	err = outcome.Mend(ctx)
//	owner, err := s.Settle(ctx)
package scene

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/measure"
)

// Options of a scene.
type Options struct {
	// Daemon runs on each host.
	Daemon daemon.Daemon
	// Viplab is the path of a program with the commands of package tool.
	Viplab string
	// Hosts is their number; zero means 3.
	Hosts int
	// VIPs default to lab.VIP4 alone. The client measures the first.
	VIPs []netip.Addr
	// Every is the time between two of the client's requests; zero means 2 ms.
	Every time.Duration
	// Timeout is how long each of them may take; zero means measure's default.
	Timeout time.Duration
	// Streams is how many long streams the client keeps open, Tick the time between
	// two lines of one; zero means apiserver.DefaultTick.
	Streams int
	Tick    time.Duration
	// Routed puts the client behind a router.
	Routed bool
	// Dir keeps logs; empty means a temporary directory that Close removes.
	Dir string
}

// Scene is the running whole. It is for one goroutine.
type Scene struct {
	Lab    *lab.Lab
	Daemon daemon.Daemon
	Client *measure.Client
	// Claims are the announcements heard on the segment.
	Claims *Claims

	service daemon.Service
	servers apiserver.Program
	daemons map[*lab.Host]*lab.Proc
	apis    map[*lab.Host]*apiserver.Process
}

// Open sets everything up and returns when one host owns the VIP, all others are
// ready to take it over and the client is served. On an error nothing is left
// behind; the error then holds the daemons' logs.
func Open(ctx context.Context, opts Options) (*Scene, error) {
	s, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("set the scene for %s: %w", opts.Daemon.Name(), err), s.Logs(), s.Close())
	}
	return s, nil
}

func prepare(opts Options) (*Scene, error) {
	if len(opts.VIPs) == 0 {
		opts.VIPs = []netip.Addr{lab.VIP4()}
	}
	ca, err := apiserver.NewCA()
	if err != nil {
		return nil, err
	}
	l, err := lab.New(lab.Options{Hosts: opts.Hosts, Router: opts.Routed, Dir: opts.Dir})
	if err != nil {
		return nil, err
	}
	const port = 6443
	servers := apiserver.Program{Viplab: opts.Viplab, CA: ca, Port: port, VIPs: opts.VIPs, Tick: opts.Tick}
	return &Scene{
		Lab:     l,
		Daemon:  opts.Daemon,
		service: daemon.Service{VIPs: opts.VIPs, Port: port, CAFile: servers.CAFile},
		servers: servers,
		daemons: make(map[*lab.Host]*lab.Proc),
		apis:    make(map[*lab.Host]*apiserver.Process),
	}, nil
}

func (s *Scene) start(ctx context.Context, opts Options) error {
	var err error
	if s.Claims, err = listenClaims(s.Lab, s.service.VIPs); err != nil {
		return err
	}
	target := netip.AddrPortFrom(s.service.VIPs[0], s.service.Port)
	measuring := measure.Defaults(target)
	measuring.Streams = opts.Streams
	if opts.Every != 0 {
		measuring.Every = opts.Every
	}
	if opts.Timeout != 0 {
		measuring.Timeout = opts.Timeout
	}
	measuring.CAFile = s.servers.CAFile(s.Lab.Hosts[0])
	for _, h := range s.Lab.Hosts {
		if err := s.StartAPIServer(ctx, h); err != nil {
			return err
		}
		if err := s.StartDaemon(h); err != nil {
			return err
		}
		measuring.Controls = append(measuring.Controls, netip.AddrPortFrom(sameFamily(h, target.Addr()), s.service.Port))
	}
	from := s.Lab.Client
	if opts.Routed {
		from = s.Lab.Remote
	}
	if s.Client, err = measure.Start(ctx, from, opts.Viplab, measuring); err != nil {
		return err
	}
	_, err = s.Settle(ctx)
	return err
}

// sameFamily is the host's own address of the VIP's family.
func sameFamily(h *lab.Host, vip netip.Addr) netip.Addr {
	if vip.Is4() {
		return h.Addr4
	}
	return h.Addr6
}

// Close ends everything.
func (s *Scene) Close() error {
	var err error
	if s.Claims != nil {
		err = s.Claims.close()
	}
	return errors.Join(err, s.Lab.Close())
}

// Logs returns the end of each daemon's log, to be joined to the error that it
// explains.
func (s *Scene) Logs() error {
	const shown = 2000
	var errs []error
	for _, h := range s.Lab.Hosts {
		if p := s.daemons[h]; p != nil {
			log := p.Log()
			errs = append(errs, fmt.Errorf("log of %s:\n%s", h, log[max(0, len(log)-shown):]))
		}
	}
	return errors.Join(errs...)
}

// VIP is the address that the client measures.
func (s *Scene) VIP() netip.AddrPort {
	return netip.AddrPortFrom(s.service.VIPs[0], s.service.Port)
}

// Process is the daemon on a host, or the last one that ran there.
func (s *Scene) Process(h *lab.Host) *lab.Proc { return s.daemons[h] }

// APIServer is the API server on a host, or the last one that ran there.
func (s *Scene) APIServer(h *lab.Host) *apiserver.Process { return s.apis[h] }

// StartDaemon starts the daemon on a host where none runs.
func (s *Scene) StartDaemon(h *lab.Host) error {
	p, err := s.Daemon.Start(h, s.service)
	if err != nil {
		return err
	}
	s.daemons[h] = p
	return nil
}

// StartAPIServer starts the API server on a host where none runs.
func (s *Scene) StartAPIServer(ctx context.Context, h *lab.Host) error {
	p, err := s.servers.Start(ctx, h)
	if err != nil {
		return err
	}
	s.apis[h] = p
	return nil
}

// Holders returns the hosts that have the VIP on their interface in the
// kernel's eyes, whatever the daemons say.
func (s *Scene) Holders() ([]*lab.Host, error) {
	var holders []*lab.Host
	for _, h := range s.Lab.Hosts {
		held, err := h.Addresses(h.Interface)
		if err != nil {
			return nil, err
		}
		if slices.Contains(held, s.service.VIPs[0]) {
			holders = append(holders, h)
		}
	}
	return holders, nil
}

// pollEvery is the time between two polls of the daemons. They must not disturb
// those that count in units of 10 ms.
const pollEvery = 25 * time.Millisecond

// Settle waits until the daemons agree and the client is served by the owner,
// streams included. It returns the owner. If the VIP moves on meanwhile, that is
// the new one.
func (s *Scene) Settle(ctx context.Context) (owner *lab.Host, err error) {
	const answers = 50
	since := time.Now()
	err = lab.AwaitEvery(ctx, pollEvery, "one owner that serves the client, and ready backups", func() (err error) {
		if owner, err = s.owner(ctx); err == nil {
			_, err = s.Client.Served(since, answers, func(node string) bool { return node == owner.Name })
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return owner, s.Client.AwaitStreams(ctx, since)
}

// Agree waits until exactly one host owns the VIP, in its daemon's words and in
// its kernel, and all others are ready to take it over. It returns the owner.
func (s *Scene) Agree(ctx context.Context) (owner *lab.Host, err error) {
	err = lab.AwaitEvery(ctx, pollEvery, "one owner and ready backups", func() (err error) {
		owner, err = s.owner(ctx)
		return err
	})
	return owner, err
}

// owner returns the one owner, or an error that says why there is none yet.
func (s *Scene) owner(ctx context.Context) (*lab.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // a frozen daemon does not answer
	defer cancel()
	var owners []*lab.Host
	for _, h := range s.Lab.Hosts {
		state, err := s.Daemon.State(ctx, s.daemons[h])
		if err != nil {
			return nil, err
		}
		switch state {
		case daemon.Owner:
			owners = append(owners, h)
		case daemon.Ready:
		case daemon.Unready:
			return nil, fmt.Errorf("%s is not ready", h)
		}
	}
	if len(owners) != 1 {
		return nil, fmt.Errorf("owners: %v", owners)
	}
	holders, err := s.Holders()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(owners, holders) {
		return nil, fmt.Errorf("%v owns the VIP, but %v hold it", owners, holders)
	}
	return owners[0], nil
}

// ForgetNeighbours empties the client's neighbour cache. A benchmark does so
// when the daemons agree again, because a keepalived that wins a duel does not
// announce itself and would be unreachable until the entry ages.
func (s *Scene) ForgetNeighbours(ctx context.Context) error {
	_, err := s.Lab.Client.Run(ctx, "ip", "neighbour", "flush", "all")
	return err
}
