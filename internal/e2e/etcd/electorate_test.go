package etcd

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
	"github.com/vipd/vipd/internal/lab/relay"
	"github.com/vipd/vipd/internal/lab/wire"
)

// relayPort is where vipd finds etcd in these stories: behind a relay.
const relayPort = 12379

// ttl is the lease's unless a configuration says otherwise.
const ttl = 5 * time.Second

// electorate is three hosts that elect by etcd, each with a relay between vipd and
// its member. They have two groups, one of which has a VIP of each family.
type electorate struct {
	*stage
	relays map[*lab.Host]*relay.Relay
}

// elect builds one and waits for its owner.
func elect(t *testing.T) *electorate {
	t.Helper()
	e := &electorate{stage: open(t, 3, "election: etcd"), relays: map[*lab.Host]*relay.Relay{}}
	e.groups[0].addresses = append(e.groups[0].addresses, theVIP6)
	e.groups = append(e.groups, group{"second", []netip.Addr{anotherVIP}, []string{"election: etcd"}})
	e.endpoints = func(*lab.Host) []string { return []string{fmt.Sprintf("https://127.0.0.1:%d", relayPort)} }
	e.must(e.etcd.Start(e.ctx, e.Hosts...))
	for _, h := range e.Hosts {
		r, err := relay.Open(h, fmt.Sprintf("127.0.0.1:%d", relayPort), fmt.Sprintf("127.0.0.1:%d", etcdcluster.ClientPort))
		e.must(err)
		t.Cleanup(func() { _ = r.Close() }) // its lab ends with it
		e.relays[h] = r
		e.open(h)
		e.vipd(h)
	}
	e.together()
	return e
}

// open has a host take connections to the VIPs' port, and end them: a drain asks
// whether its successor does.
func (e *electorate) open(h *lab.Host) {
	e.t.Helper()
	var listener net.Listener
	e.must(h.Do(func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}))
	e.t.Cleanup(func() { _ = listener.Close() }) // its lab ends with it
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			_ = conn.Close() // nothing was said
		}
	}()
}

// in is the electorate for a subtest.
func (e *electorate) in(t *testing.T) *electorate {
	return &electorate{stage: e.stage.in(t), relays: e.relays}
}

// together waits until all groups are settled, and brings them to one host if they
// are not on one: so each has what may disturb it beside it.
func (e *electorate) together() (owner *lab.Host) {
	e.t.Helper()
	first, second := e.groups[0], e.groups[1]
	for {
		owner = e.settled(first)
		at := e.settled(second)
		if at == owner {
			return owner
		}
		others := e.others(owner)
		for _, h := range others {
			e.command(h, "drain", "--vip", second.name)
		}
		for _, h := range others {
			e.command(h, "undrain", "--vip", second.name)
		}
	}
}

// slow delays what daemons and etcd say to each other, in each direction.
func (e *electorate) slow(d time.Duration, on ...*lab.Host) (mend func() error) {
	for _, h := range on {
		e.relays[h].Delay(d)
	}
	return func() error {
		for _, h := range on {
			e.relays[h].Delay(0)
		}
		return nil
	}
}

// watches are looks at VIPs, by their addresses.
type watches map[netip.Addr]*wire.Watcher

// watchAll asks for all VIPs from now on, and knocks at each host in their name.
// Nothing moves on purpose in these stories, so no new connection may find two
// hosts, either.
func (s *stage) watchAll() watches {
	s.t.Helper()
	all := watches{}
	for _, g := range s.groups {
		for _, vip := range g.addresses {
			w, err := wire.WatchPort(s.Lab, s.Client, vip, port)
			s.must(err)
			all[vip] = w
		}
	}
	return all
}

// awaitAnswer waits until the wire says of all VIPs what is wanted.
func (s *stage) awaitAnswer(all watches, what string, wanted func(by []string) bool) {
	s.t.Helper()
	s.must(lab.AwaitEvery(s.ctx, 20*time.Millisecond, what, func() error {
		for vip, w := range all {
			if by := w.Latest(); !wanted(by) {
				return fmt.Errorf("for %v it is %v", vip, by)
			}
		}
		return nil
	}))
}

// awaitAnswerOf waits until one host answers for all VIPs.
func (s *stage) awaitAnswerOf(all watches, h *lab.Host) {
	s.t.Helper()
	s.awaitAnswer(all, h.Name+" to answer", func(by []string) bool { return slices.Equal(by, []string{h.Name}) })
}

// judgeAll ends watches, and fails the test if two stations answered for one VIP at
// one time.
func (s *stage) judgeAll(all watches) map[netip.Addr]wire.Report {
	s.t.Helper()
	reports := map[netip.Addr]wire.Report{}
	var mu sync.Mutex
	var stopping sync.WaitGroup
	for vip, w := range all {
		stopping.Go(func() {
			report, err := w.Stop()
			mu.Lock()
			defer mu.Unlock()
			reports[vip] = report
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	stopping.Wait()
	for vip, report := range reports {
		for _, i := range report.All {
			s.t.Log(vip, i)
		}
		for _, two := range report.Two {
			s.t.Errorf("two answered for %v: %v", vip, two)
		}
	}
	return reports
}

// stayed judges watches, and fails the test unless one host alone answered for all
// VIPs all the time.
func (s *stage) stayed(all watches, on *lab.Host) {
	s.t.Helper()
	for vip, report := range s.judgeAll(all) {
		if len(report.All) != 1 || !slices.Equal(report.All[0].By, []string{on.Name}) {
			s.t.Errorf("%v was to stay with %v: %v", vip, on, report.All)
		}
	}
}
