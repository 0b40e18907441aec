// Package survey looks at this host for package doctor. It changes nothing, asks
// the segment what any station may ask, and runs no program.
//
//	files below Root ─┐   configuration, manifests, units, /proc
//	netlink, packets ─┼─► Look ──► doctor.Facts
//	the daemon       ─┘   by its control socket, where it runs
//
// What cannot be learned is told as such, with the reason.
package survey

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
)

// Options say where to look.
type Options struct {
	// Path is the configuration file's.
	Path string
	// Root is the directory that stands for /, "/" but in tests: for files of
	// programs other than vipd, and for /proc.
	Root string
	// Status asks the daemon.
	Status func(context.Context) (agent.Status, error)
	// DefaultRoute is the interface of the default route; empty: there is none.
	DefaultRoute func(ipv6 bool) string
	// Listen is for how long others are listened to.
	Listen time.Duration
}

// survey is one look at the host.
type survey struct {
	Options
	root   root
	config *config.Config
	facts  doctor.Facts
	// links are the numbers of the interfaces.
	links map[string]int
	// processes are this network namespace's.
	processes doctor.Fact[[]process]
}

// Look gathers the facts. It takes as long as Listen, and up to the time-out of
// the health checks if those are longer.
func Look(ctx context.Context, o Options) doctor.Facts {
	if path, err := filepath.Abs(o.Path); err == nil {
		o.Path = path
	}
	s := &survey{Options: o, root: root(o.Root)}
	s.facts = doctor.Facts{Path: o.Path, Now: time.Now(), Hostname: hostname()}
	s.askDaemon(ctx)
	s.listLinks()
	s.readConfiguration()
	s.processes = s.root.processes()
	s.readHost()
	// Each writes facts of its own.
	var work errgroup.Group
	work.Go(func() error { s.tryWaysOut(ctx); return nil })
	work.Go(func() error { s.tryKernel(ctx); return nil })
	work.Go(func() error { s.askEtcd(ctx); return nil })
	for i := range s.facts.Groups {
		g := &s.facts.Groups[i]
		work.Go(func() error { s.askSegment(ctx, g); return nil })
		work.Go(func() error { s.probe(ctx, g); return nil })
	}
	for at, groups := range s.seats() {
		work.Go(func() error { s.overhear(ctx, at, groups); return nil })
	}
	_ = work.Wait() // none returns an error
	return s.facts
}

// readHost reads what lies in files.
func (s *survey) readHost() {
	f := &s.facts
	f.Unit = s.root.unit()
	f.Files = s.lookAtFiles()
	f.DefaultRoutes = [2]string{s.DefaultRoute(false), s.DefaultRoute(true)}
	f.Settings = s.readSettings()
	f.Managers, f.Mentions = s.root.managers(f.Links.Value, s.links), s.root.mentions(s.vips())
	f.IPVS = s.root.ipvs()
	f.Rivals = s.findRivals()
	f.Initialised = s.root.exists("/etc/kubernetes/manifests/kube-apiserver.yaml")
	f.Kubelet = s.findKubelet()
	f.NamedBy = s.root.namedBy(f.Hostname)
	f.Flags = s.findFlags()
	f.CNI = s.findCNI()
	f.Sockets = s.findSockets()
	f.Speakers = s.findSpeakers(f.Sockets.Value)
}

func (s *survey) askDaemon(ctx context.Context) {
	status, err := s.Status(ctx)
	if err != nil {
		s.facts.Status = doctor.Unknown[agent.Status](err.Error())
		return
	}
	s.facts.Status = doctor.Known(status)
}

// pid is the daemon's; 0: it does not run, as far as is known. One that does not
// answer is known by its configuration.
func (s *survey) pid() int {
	if pid := s.facts.Status.Value.PID; pid != 0 {
		return pid
	}
	all := s.processes.Value
	i := slices.IndexFunc(all, func(p process) bool { return p.isDaemon() && p.configuration() == s.Path })
	if i < 0 {
		return 0
	}
	return all[i].pid
}

// vips are all addresses of the configuration.
func (s *survey) vips() []netip.Addr {
	var all []netip.Addr
	for _, g := range s.facts.Groups {
		all = append(all, g.Addresses...)
	}
	return all
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// root is the directory that stands for /.
type root string

func (r root) path(name string) string { return filepath.Join(string(r), name) }

// read returns a file's content; nothing where it cannot be read.
func (r root) read(name string) string {
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		return ""
	}
	return string(text)
}

// exists tells whether a file is there; one that may not be looked at is.
func (r root) exists(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// glob lists files by a pattern, sorted, without the root.
func (r root) glob(pattern string) []string {
	found, _ := filepath.Glob(r.path(pattern)) // the patterns here are good
	for i, name := range found {
		rel, err := filepath.Rel(string(r), name)
		if err == nil {
			found[i] = "/" + rel
		}
	}
	return found
}
