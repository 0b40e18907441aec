package interop

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/adverts"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// patience is for anything that takes a few seconds on an idle machine.
const patience = 40 * time.Second

// row is a neighbour of vipd.
type row struct {
	name     string
	programs []string
	theirs   func(groups []group) program
	// vrrp are vipd's settings of the election.
	vrrp   string
	groups []group
	// preempts: the neighbour takes the VIP back when it returns.
	preempts bool
}

var (
	four  = []group{{vrid: 51, vips: []netip.Addr{lab.VIP4()}}}
	six   = []group{{vrid: 51, vips: []netip.Addr{netip.MustParseAddr("fe80::100"), lab.VIP6()}}}
	mixed = []group{{vrid: 51, vips: []netip.Addr{lab.VIP4()}, other: []netip.Addr{lab.VIP6()}}}
	two   = []group{{vrid: 51, vips: []netip.Addr{lab.VIP4()}}, {vrid: 52, vips: []netip.Addr{lab.VIP4().Next()}}}
)

const (
	version3  = "vrrp_version 3"
	version2  = "vrrp_version 2"
	nopreempt = "priority 150\n nopreempt\n advert_int 0.2\n"
	preempt   = "priority 250\n advert_int 0.2\n"
	unicast   = "unicast_src_ip 10.77.0.11\n unicast_peer {\n  10.77.0.12\n }\n"
	fast      = "advert_interval: 200ms"
	// heardFirst is for neighbours that take RFC 9568's checksum for broken.
	heardFirst = "advert_interval: 200ms, checksum: pseudo-header"
)

func keepalivedWith(global, instance string) func([]group) program {
	return func(g []group) program { return keepalived{global: global, instance: instance, groups: g} }
}

func frrWith(version int, settings ...string) func([]group) program {
	return func(g []group) program { return frr{version: version, settings: settings, groups: g} }
}

// rows has the slow ones first: version 2 counts in seconds.
func rows() []row {
	kept, free := []string{"keepalived"}, []string{"/usr/lib/frr/vrrpd", "/usr/lib/frr/zebra", "vtysh"}
	return []row{
		{"keepalived, version 2", kept, keepalivedWith(version2, "priority 150\n nopreempt\n advert_int 1\n"), "version: 2", four, false},
		{"keepalived, version 2, password", kept, keepalivedWith(version2, "priority 150\n nopreempt\n advert_int 1\n authentication {\n  auth_type PASS\n  auth_pass k8s-vip\n }\n"), "version: 2, password: k8s-vip", four, false},
		{"keepalived, version 2, unicast, preempting", kept, keepalivedWith(version2, "priority 250\n advert_int 1\n"+unicast), "version: 2, peers: [10.77.0.11]", four, true},
		{"FRR, version 2", free, frrWith(2, "priority 150", "no preempt", "advertisement-interval 1000"), "version: 2", four, false},
		{"keepalived, version 3, nopreempt", kept, keepalivedWith(version3, nopreempt), fast, four, false},
		{"keepalived, version 3, preempting", kept, keepalivedWith(version3, preempt), fast, four, true},
		{"keepalived, version 3, vipd sums as it does", kept, keepalivedWith(version3, nopreempt), heardFirst, four, false},
		{"keepalived, version 3, vipd preempts", kept, keepalivedWith(version3, nopreempt), fast + ", preempt: always, priority: 140", four, false},
		{"keepalived, version 3, unicast", kept, keepalivedWith(version3, nopreempt+unicast), fast + ", peers: [10.77.0.11]", four, false},
		{"keepalived, version 3, unicast, old checksum", kept, keepalivedWith(version3, nopreempt+unicast+" old_unicast_checksum\n"), fast + ", peers: [10.77.0.11]", four, false},
		{"keepalived, version 3, IPv6", kept, keepalivedWith(version3, nopreempt), fast, six, false},
		{"keepalived, version 3, addresses of IPv6 excluded", kept, keepalivedWith(version3, nopreempt), fast, mixed, false},
		{"keepalived, version 3, sync group of two instances", kept, keepalivedWith(version3, nopreempt), fast, two, false},
		{"FRR, version 3", free, frrWith(3, "priority 150", "no preempt", "advertisement-interval 200"), fast, four, false},
		{"FRR, version 3, preempting", free, frrWith(3, "priority 250", "advertisement-interval 200"), fast, four, true},
		{"FRR, version 3, IPv6", free, frrWith(3, "priority 150", "no preempt", "advertisement-interval 200"), fast, six, false},
	}
}

func TestMatrix(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			tell(t, r)
		})
	}
}

// stage is a row on its segment.
type stage struct {
	t       *testing.T
	lab     *lab.Lab
	row     row
	capture *lab.Capture
	theirs  *station
	ours    *station
}

// station is a program on its host.
type station struct {
	program
	name  string
	host  *lab.Host
	procs []*lab.Proc
	mend  func() error
}

// tell is the story of a row.
func tell(t *testing.T, r row) {
	s := open(t, r)
	back := ours // whom a neighbour that returns leaves the VIP to
	if r.preempts {
		back = theirs
	}
	s.step("the neighbour starts first and owns", func() { s.start(s.theirs); s.settles(theirs) })
	s.step("vipd starts beside it and is its backup", func() { s.start(s.ours); s.settles(theirs) })
	s.step("the neighbour crashes: vipd takes over", func() { s.crash(s.theirs); s.settles(ours) })
	s.step("the neighbour comes back", func() { s.comeBack(s.theirs); s.settles(back) })
	if r.preempts {
		s.step("the neighbour resigns: vipd takes over", func() { s.resign(s.theirs); s.settles(ours) })
		s.step("it returns and takes the VIP", func() { s.start(s.theirs); s.settles(theirs) })
	} else {
		s.step("vipd resigns: the neighbour takes over", func() { s.resign(s.ours); s.settles(theirs) })
		s.step("vipd comes back as a backup", func() { s.start(s.ours); s.settles(theirs) })
		s.step("the neighbour resigns: vipd takes over", func() { s.resign(s.theirs); s.settles(ours) })
		s.step("the neighbour comes back as a backup", func() { s.start(s.theirs); s.settles(ours) })
		s.step("vipd crashes: the neighbour takes over", func() { s.crash(s.ours); s.settles(theirs) })
		s.step("vipd comes back as a backup once more", func() { s.comeBack(s.ours); s.settles(theirs) })
	}
	s.must(s.capture.Stop())
	for _, g := range r.groups {
		for _, wrong := range judge(s.adverts(g), s.ours.host.MAC) {
			t.Errorf("virtual router %d: %s", g.vrid, wrong)
		}
	}
}

func open(t *testing.T, r row) *stage {
	labtest.Require(t, append([]string{"tcpdump"}, r.programs...)...)
	l := labtest.New(t, lab.Options{Hosts: 2, Dir: shortDirectory(t)})
	s := &stage{
		t: t, lab: l, row: r,
		theirs: &station{program: r.theirs(r.groups), name: "the neighbour", host: l.Hosts[0]},
		ours:   &station{program: vipd{vrrp: r.vrrp, groups: r.groups}, name: "vipd", host: l.Hosts[1]},
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(runDirectory(s.theirs.host)); err != nil {
			t.Error(err)
		}
	})
	var err error
	s.capture, err = l.Switch.Capture(s.ctx(), adverts.Filter)
	s.must(err)
	return s
}

// shortDirectory is for paths of sockets, which must be short; t.TempDir has the
// test's name in it.
func shortDirectory(t *testing.T) string {
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (s *stage) ctx() context.Context { return labtest.Context(s.t, patience) }

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// step does one step of the story and names it if it fails.
func (s *stage) step(name string, do func()) {
	done := false
	defer func() {
		if !done {
			s.t.Logf("this failed: %s\nthe last adverts:\n%s", name, s.lastAdverts())
		}
	}()
	do()
	done = true
}

// adverts are those of a virtual router so far.
func (s *stage) adverts(g group) []adverts.Advert {
	s.t.Helper()
	all, err := adverts.Read(s.capture.File)
	s.must(err)
	return slices.DeleteFunc(all, func(a adverts.Advert) bool { return a.VRID != g.vrid })
}

func (s *stage) lastAdverts() string {
	const shown = 30
	all, err := adverts.Read(s.capture.File)
	var b strings.Builder
	for _, a := range all[max(0, len(all)-shown):] {
		fmt.Fprintf(&b, "%s %v: VRID %d, priority %d\n", a.At.Format("05.000"), sideOf(a, s.ours.host.MAC), a.VRID, a.Priority)
	}
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String()
}

// settles waits until one side alone owns all virtual routers.
func (s *stage) settles(on side) {
	s.t.Helper()
	from := time.Now()
	s.must(lab.AwaitEvery(s.ctx(), 20*time.Millisecond, fmt.Sprintf("%v to own alone", on), func() error {
		for _, g := range s.row.groups {
			all := slices.DeleteFunc(s.adverts(g), func(a adverts.Advert) bool { return a.At.Before(from) })
			if err := settled(all, s.ours.host.MAC, on); err != nil {
				return fmt.Errorf("virtual router %d: %w", g.vrid, err)
			}
		}
		return nil
	}))
}

// start starts a program and waits until it takes part.
func (s *stage) start(p *station) {
	s.t.Helper()
	var err error
	p.procs, err = p.start(p.host)
	s.must(err)
	ctx := s.ctx()
	s.must(lab.AwaitEvery(ctx, 100*time.Millisecond, p.name+" to be ready", func() error { return p.ready(ctx, p.host, p.procs) }))
}

// resign ends a program as systemd does.
func (s *stage) resign(p *station) {
	s.t.Helper()
	for _, proc := range p.procs {
		s.must(proc.Signal(syscall.SIGTERM))
		_, err := proc.Wait(s.ctx())
		s.must(err)
	}
}

// crash is a host that loses its power.
func (s *stage) crash(p *station) {
	s.t.Helper()
	var err error
	p.mend, err = s.lab.Break(lab.CableCut(p.host))
	s.must(err)
	for _, proc := range p.procs {
		s.must(proc.Kill())
		_, err := proc.Wait(s.ctx())
		s.must(err)
	}
}

// comeBack is the same host, booted.
func (s *stage) comeBack(p *station) {
	s.t.Helper()
	held, err := p.host.Addresses(p.host.Interface)
	s.must(err)
	for _, g := range s.row.groups {
		for _, v := range slices.Concat(g.vips, g.other) {
			if slices.Contains(held, v) {
				_, err := p.host.Run(s.ctx(), "ip", "address", "delete", fmt.Sprintf("%s/%d", v, v.BitLen()), "dev", p.host.Interface)
				s.must(err)
			}
		}
	}
	s.must(p.mend())
	s.start(p)
}
