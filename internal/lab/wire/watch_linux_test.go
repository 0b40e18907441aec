package wire

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// The watch sees nobody, one, two and again one.
func TestWatch(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2})
	for _, vip := range []string{"10.77.0.100", "fd77::100"} {
		t.Run(vip, func(t *testing.T) { testWatch(t, l, netip.MustParseAddr(vip)) })
	}
}

func testWatch(t *testing.T, l *lab.Lab, vip netip.Addr) {
	ctx := labtest.Context(t, 30*time.Second)
	w, err := Watch(l, l.Client, vip)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.PrefixFrom(vip, vip.BitLen()).String()
	change := func(h *lab.Host, verb string) {
		t.Helper()
		argv := []string{"ip", "address", verb, address, "dev", h.Interface}
		if verb == "add" && vip.Is6() {
			argv = append(argv, "nodad")
		}
		if _, err := h.Run(ctx, argv...); err != nil {
			t.Fatal(err)
		}
	}
	await := func(by ...string) {
		t.Helper()
		from := w.asked()
		err := lab.Await(ctx, "an answer", func() error { return w.seen(from, by) })
		if err != nil {
			t.Fatalf("%v: %v", by, err)
		}
	}
	await()
	change(l.Hosts[0], "add")
	await("cp1")
	change(l.Hosts[1], "add")
	await("cp1", "cp2")
	change(l.Hosts[0], "del")
	await("cp2")
	report, err := w.Stop()
	if err != nil {
		t.Fatal(err)
	}
	var seen [][]string
	for _, i := range report.All {
		seen = append(seen, i.By)
	}
	want := [][]string{nil, {"cp1"}, {"cp1", "cp2"}, {"cp2"}}
	if !slices.EqualFunc(want, seen, slices.Equal[[]string]) {
		t.Errorf("got %v, want %v", seen, want)
	}
	if len(report.Two) != 1 || len(report.None) != 1 || report.Two[0].Questions < 2 {
		t.Errorf("got %v and %v, want one interval of each", report.Two, report.None)
	}
}

// A station that has the VIP where nobody is told of it is found by who knocks.
func TestWatchPort(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 3})
	ctx := labtest.Context(t, 30*time.Second)
	run := func(h *lab.Host, argv ...string) {
		t.Helper()
		if _, err := h.Run(ctx, argv...); err != nil {
			t.Fatal(err)
		}
	}
	open, silent := l.Hosts[0], l.Hosts[1]
	run(silent, "sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=1")
	for _, address := range []string{"10.77.0.100", "fd77::100"} {
		t.Run(address, func(t *testing.T) {
			vip := netip.MustParseAddr(address)
			whole := netip.PrefixFrom(vip, vip.BitLen()).String()
			run(open, "ip", "address", "add", whole, "dev", open.Interface)
			run(silent, "ip", "address", "add", whole, "dev", "lo")
			for _, row := range []struct {
				name  string
				watch func() (*Watcher, error)
				want  []string
			}{
				{"asked only", func() (*Watcher, error) { return Watch(l, l.Client, vip) }, []string{"cp1"}},
				{"knocked at", func() (*Watcher, error) { return WatchPort(l, l.Client, vip, 6443) }, []string{"cp1", "cp2"}},
			} {
				w, err := row.watch()
				if err != nil {
					t.Fatal(err)
				}
				if err := lab.Await(ctx, "an answer", func() error { return w.seen(0, row.want) }); err != nil {
					t.Errorf("%s: %v", row.name, err)
				}
				if report, err := w.Stop(); err != nil || (len(report.Two) > 0) != (len(row.want) > 1) {
					t.Errorf("%s: two are %v (%v), want %v", row.name, report.Two, err, row.want)
				}
			}
		})
	}
}

// asked is how many questions were asked.
func (w *Watcher) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// seen tells whether some question since from, whose time is over, was answered by
// these.
func (w *Watcher) seen(from int, by []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.all[from:] {
		if time.Since(q.At) > patience && slices.Equal(q.By, by) {
			return nil
		}
	}
	return errors.New("none yet")
}
