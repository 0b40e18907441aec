package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameOrder compares orders whole.
var sameOrder = cmp.Options{
	cmp.AllowUnexported(order{}, placed{}),
	cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(),
}

// at are addresses on an interface, written by their last number.
func at(name string, lasts ...byte) placed {
	p := placed{interfaceName: name}
	for _, last := range lasts {
		p.addrs = append(p.addrs, netip.AddrFrom4([4]byte{192, 0, 2, last}))
	}
	return p
}

func TestNewerOrderReplacesOneThatWaits(t *testing.T) {
	rows := []struct {
		name                 string
		waiting, newer, want order
	}{
		{
			"a refresh after a refresh: the newer one, with its deadline",
			order{serial: 1, hold: true, placed: at("eth0", 10), deadline: noon},
			order{serial: 2, hold: true, placed: at("eth0", 10), deadline: noon.Add(1)},
			order{serial: 2, hold: true, placed: at("eth0", 10), deadline: noon.Add(1)},
		},
		{
			"a refresh after a claim: announcement, reseating and attempt stay",
			order{hold: true, placed: at("eth0", 10), announce: true, reseat: true, attempt: 7},
			order{hold: true, placed: at("eth0", 10)},
			order{hold: true, placed: at("eth0", 10), announce: true, reseat: true, attempt: 7},
		},
		{
			"a claim after a claim: the newer attempt",
			order{hold: true, placed: at("eth0", 10), announce: true, attempt: 7},
			order{hold: true, placed: at("eth0", 10), announce: true, attempt: 8},
			order{hold: true, placed: at("eth0", 10), announce: true, attempt: 8},
		},
		{
			"a release after a claim: released, nothing of the claim stays",
			order{hold: true, placed: at("eth0", 10), announce: true, reseat: true, attempt: 7},
			order{placed: at("eth0", 10)},
			order{placed: at("eth0", 10)},
		},
		{
			"a claim after a release: held",
			order{placed: at("eth0", 10)},
			order{hold: true, placed: at("eth0", 10), announce: true, attempt: 8},
			order{hold: true, placed: at("eth0", 10), announce: true, attempt: 8},
		},
		{
			"addresses to be dropped are dropped by what comes next",
			order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}},
			order{hold: true, placed: at("eth0", 10)},
			order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}},
		},
		{
			"and so they are by a release",
			order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}},
			order{placed: at("eth0", 10), drop: []placed{at("eth0", 30)}},
			order{placed: at("eth0", 10), drop: []placed{at("eth0", 20), at("eth0", 30)}},
		},
		{
			"an address that is wanted again is not dropped",
			order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20, 30)}},
			order{hold: true, placed: at("eth0", 10, 20)},
			order{hold: true, placed: at("eth0", 10, 20), drop: []placed{at("eth0", 30)}},
		},
		{
			"nor are they all",
			order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}},
			order{hold: true, placed: at("eth0", 10, 20)},
			order{hold: true, placed: at("eth0", 10, 20)},
		},
		{
			"another interface: off the former one, and no attempt of there",
			order{placed: at("eth0", 10), attempt: 7},
			order{hold: true, placed: at("eth1", 10), announce: true, attempt: 8},
			order{hold: true, placed: at("eth1", 10), announce: true, attempt: 8, drop: []placed{at("eth0", 10)}},
		},
		{
			"a claim that waits for another interface is not carried out there",
			order{hold: true, placed: at("eth0", 10), announce: true, reseat: true, attempt: 9, drop: []placed{at("eth0", 20)}},
			order{hold: true, placed: at("eth1", 10)},
			order{hold: true, placed: at("eth1", 10), drop: []placed{at("eth0", 20), at("eth0", 10)}},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := applying(nil, nil)
			g := &group{}
			p.put(g, row.waiting)
			p.put(g, row.newer)
			taken, got, ok := p.take()
			if !ok || taken != g {
				t.Fatal("no order waits")
			}
			if diff := cmp.Diff(row.want, got, sameOrder); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if _, _, more := p.take(); more || !p.idle(g) {
				t.Error("more than one order waits")
			}
		})
	}
}

func TestOrdersOfGroupsAreServedInTurn(t *testing.T) {
	p := applying(nil, nil)
	a, b := &group{}, &group{}
	p.put(a, order{serial: 1})
	p.put(b, order{serial: 1})
	p.put(a, order{serial: 2})
	var got []*group
	for g, _, ok := p.take(); ok; g, _, ok = p.take() {
		got = append(got, g)
	}
	if !slices.Equal(got, []*group{a, b}) {
		t.Error("a group that asked again lost its turn, or had two")
	}
}

// faulty is a kernel and a segment that fail where a row says so.
type faulty struct {
	*host
	hold, reseat, release, announce error
	announced                       int
}

func (f *faulty) Hold(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (bool, error) {
	if f.hold != nil {
		return false, f.hold
	}
	return f.host.Hold(ctx, name, addrs, lifetime, deadline)
}

func (f *faulty) Reseat(ctx context.Context, name string, addrs []netip.Addr, lifetime time.Duration, deadline time.Time) (bool, error) {
	if f.reseat != nil {
		return false, f.reseat
	}
	return f.host.Reseat(ctx, name, addrs, lifetime, deadline)
}

func (f *faulty) Release(ctx context.Context, name string, addrs []netip.Addr) error {
	if f.release != nil {
		return f.release
	}
	return f.host.Release(ctx, name, addrs)
}

func (f *faulty) Announce(string, []netip.Addr) error {
	f.announced++
	return f.announce
}

// A successor has announced itself by the time that a release waits.
func TestWhatIsToBeReleasedIsNotAnnouncedAnyMore(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		edges := faulty{host: l.host(11)}
		edges.host.configure("eth0", "192.0.2.20/32")
		p, g := applying(&edges, &edges), &group{}
		p.put(g, order{placed: at("eth0", 10)})
		p.apply(t.Context(), g, order{hold: true, placed: at("eth0", 10), announce: true})
		if edges.announced != 0 {
			t.Errorf("announced %d times, want 0", edges.announced)
		}
	})
}

func TestOrdersAreCarriedOut(t *testing.T) {
	broken := errors.New("broken")
	claim := order{hold: true, placed: at("eth0", 10), announce: true, reseat: true}
	rows := []struct {
		name  string
		order order
		edges faulty
		want  applied
		// vips are on the interface afterwards; .20 was there before.
		vips      []string
		announced int
	}{
		{"a claim: held and announced", claim, faulty{}, applied{created: true}, []string{"192.0.2.10/32", "192.0.2.20/32"}, 1},
		{"a refresh of what was not there: announced too", order{hold: true, placed: at("eth0", 10)}, faulty{}, applied{created: true}, []string{"192.0.2.10/32", "192.0.2.20/32"}, 1},
		{"a refresh of what was there: not announced", order{hold: true, placed: at("eth0", 20)}, faulty{}, applied{}, []string{"192.0.2.20/32"}, 0},
		{"the kernel refuses: not announced", claim, faulty{hold: broken}, applied{err: broken}, []string{"192.0.2.20/32"}, 0},
		{"reseating fails: that is not held", claim, faulty{reseat: broken}, applied{created: true, err: broken}, []string{"192.0.2.10/32", "192.0.2.20/32"}, 0},
		{"announcing fails: held", claim, faulty{announce: broken}, applied{created: true, unannounced: broken}, []string{"192.0.2.10/32", "192.0.2.20/32"}, 1},
		{"a release", order{placed: at("eth0", 20)}, faulty{}, applied{}, nil, 0},
		{"a release that fails", order{placed: at("eth0", 20)}, faulty{release: broken}, applied{err: broken}, []string{"192.0.2.20/32"}, 0},
		{"what is dropped goes first", order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}}, faulty{}, applied{created: true}, []string{"192.0.2.10/32"}, 1},
		{"what cannot be dropped does not keep the rest from being held", order{hold: true, placed: at("eth0", 10), drop: []placed{at("eth0", 20)}}, faulty{release: broken}, applied{created: true, undropped: broken}, []string{"192.0.2.10/32", "192.0.2.20/32"}, 1},
		{"after the deadline nothing is done", order{hold: true, placed: at("eth0", 10), deadline: noon.AddDate(-50, 0, 0), announce: true}, faulty{}, applied{err: errLate}, []string{"192.0.2.20/32"}, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				h := l.host(11)
				h.configure("eth0", "192.0.2.20/32")
				row.edges.host = h
				got := applying(&row.edges, &row.edges).apply(t.Context(), &group{}, row.order)
				if got.created != row.want.created {
					t.Errorf("created %v", got.created)
				}
				for _, pair := range [][2]error{{got.err, row.want.err}, {got.undropped, row.want.undropped}, {got.unannounced, row.want.unannounced}} {
					if !errors.Is(pair[0], pair[1]) {
						t.Errorf("error %v, want %v", pair[0], pair[1])
					}
				}
				has(t, h, row.vips...)
				if row.edges.announced != row.announced {
					t.Errorf("announced %d times, want %d", row.edges.announced, row.announced)
				}
			})
		})
	}
}

func TestApplierEndsWhenNothingWaitsAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		h := l.host(11)
		p := applying(h, &faulty{})
		ctx, cancel := context.WithCancel(t.Context())
		var reported int
		ended := make(chan error)
		go func() { ended <- p.run(ctx, func(applied) { reported++ }) }()
		synctest.Wait()
		h.lan.mu.Lock()
		h.stall = time.Second
		h.lan.mu.Unlock()
		g := &group{}
		p.put(g, order{hold: true, placed: at("eth0", 10)})
		synctest.Wait()
		p.put(g, order{placed: at("eth0", 10)})
		cancel()
		if err := <-ended; err != nil || reported != 2 {
			t.Errorf("error %v, %d orders carried out, want 2", err, reported)
		}
		has(t, h)
	})
}

// applying is an applier on a host that carries no connections.
func applying(addresses Addresses, announcer Announcer) *applier {
	return newApplier(Edges{Addresses: addresses, Announcer: announcer, Flows: oldKernel{}}, newCarrier(oldKernel{}))
}
