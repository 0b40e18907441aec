package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/lease/leasetest"
)

// byLease is a group that is elected by etcd.
const byLease = `vips: [{name: apiserver, addresses: [192.0.2.10], election: etcd}]`

// etcdWay is a node's way to etcd, and what it noted of it. It implements Leases.
type etcdWay struct {
	*leasetest.Client
	node *node
	// beside are the ways to groups other than the first.
	beside map[string]*leasetest.Client
	// known: etcd was reached. unknown makes the look at that fail.
	known   bool
	unknown error
	// unnoted makes the note of it fail.
	unnoted error
	// unseen makes etcd refuse to tell its keys.
	unseen error
}

// Use implements Leases.
func (w *etcdWay) Use(config.Etcd) {}

// Call implements Leases. A frozen process neither asks nor learns the answer, a
// killed one does not ask.
func (w *etcdWay) Call(ctx context.Context, g LeaseGroup, o lease.Order) lease.Answer {
	p := w.node.process
	if p.gone() {
		return lease.Answer{Kind: o.Kind, Number: o.Number, Err: errKilled}
	}
	a := w.to(g).Call(ctx, o)
	p.pass()
	return a
}

// to is the way to a group.
func (w *etcdWay) to(g LeaseGroup) *leasetest.Client {
	if c := w.beside[g.VIP]; c != nil {
		return c
	}
	return w.Client
}

// Watch implements Leases.
func (w *etcdWay) Watch(ctx context.Context, g LeaseGroup, seen func(lease.View), trouble func(error)) {
	p := w.node.process
	for w.unseen != nil && ctx.Err() == nil {
		trouble(w.unseen)
		time.Sleep(250 * time.Millisecond)
	}
	w.to(g).Watch(ctx, func(v lease.View) { p.pass(); seen(v) }, trouble)
}

// Known implements Leases.
func (w *etcdWay) Known() (bool, error) {
	w.node.lan.mu.Lock()
	defer w.node.lan.mu.Unlock()
	return w.known, w.unknown
}

// Remember implements Leases.
func (w *etcdWay) Remember(context.Context) error {
	w.node.lan.mu.Lock()
	defer w.node.lan.mu.Unlock()
	w.known = w.unnoted == nil
	return w.unnoted
}

// voter is a node that is elected by etcd.
type voter struct {
	*node
	way *etcdWay
}

// electorate is a segment whose nodes share an etcd.
type electorate struct {
	*lan
	etcd *leasetest.Store
	all  []*voter
}

// leaseBubble runs a story of nodes that are elected by etcd, at no moment of which
// may two answer for the VIP: once where connections are carried, once where not.
func leaseBubble(t *testing.T, story func(t *testing.T, e *electorate)) {
	t.Helper()
	for name, able := range map[string]Abilities{"carrying": everything, "resetting": {}} {
		t.Run(name, func(t *testing.T) {
			helloBubble(t, func(t *testing.T, l *lan) {
				l.able, l.tardy, l.sole = able, 1100*time.Millisecond, true
				story(t, &electorate{lan: l, etcd: leasetest.NewStore()})
			})
		})
	}
}

// voter adds a host on which the daemon does not run yet.
func (e *electorate) voter(last byte, file string, known bool) *voter {
	v := &voter{node: e.bare(last, file)}
	v.way = &etcdWay{Client: e.etcd.Client(), node: v.node, known: known}
	v.edges = func(edges *Edges) { edges.Leases = v.way }
	e.all = append(e.all, v)
	return v
}

// seat starts nodes, of which the first is to own, and waits until they know each
// other.
func (e *electorate) seat(file string, lasts ...byte) []*voter {
	e.t.Helper()
	for i, last := range lasts {
		v := e.voter(last, file, true)
		v.start()
		if i == 0 {
			v.awaitSeated()
		} else {
			v.awaitReady()
		}
	}
	time.Sleep(time.Minute)
	return e.all
}

// held waits until another node than those given has the VIP.
func (e *electorate) awaitOther(than ...*voter) *voter {
	e.t.Helper()
	var found *voter
	await(e.t, "another node has the VIP", func() bool {
		for _, v := range e.all {
			if v.process != nil && !slices.Contains(than, v) && slices.Contains(e.holders(theVIP), v.name) && v.is(StateOwner) {
				found = v
			}
		}
		return found != nil
	})
	return found
}

func TestLeaseElectsOneAndStaysThere(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 13, 12)
		all[0].tells("init -> backup: startup", "backup -> owner: lease-free")
		all[1].tells("init -> backup: startup")
		time.Sleep(10 * time.Minute)
		if got := e.holders(theVIP); !slices.Equal(got, []string{"cp11"}) {
			t.Errorf("held by %v", got)
		}
		e.unbroken()
		got := all[2].status("apiserver").Election.Lease
		want := &LeaseStatus{TTLSeconds: 5, Holder: "cp11", Term: 1, Candidates: []LeaseCandidate{{"cp11", "healthy"}, {"cp12", "healthy"}, {"cp13", "healthy"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the lease on a backup (-want +got):\n%s", diff)
		}
		if s := all[0].status("apiserver").Election; !s.Lease.Held || s.Lease.RemainingSeconds < 2 || s.Lease.RemainingSeconds > 4.75 || s.Priority != lease.Priority {
			t.Errorf("on its holder: %+v %+v", s, s.Lease)
		}
		if got := len(e.etcd.History()); got != 1 {
			t.Errorf("the lease changed hands %d times", got)
		}
	})
}

func TestLeaseMovesWithoutLoss(t *testing.T) {
	for _, row := range []struct {
		name string
		move func(e *electorate, owner *voter)
		told string
	}{
		{"drain", func(e *electorate, owner *voter) {
			if got := owner.drain(DrainRequest{}).result(); got != DrainDone {
				e.t.Errorf("the drain ended with %s", got)
			}
		}, "backup -> owner: owner-draining"},
		{"SIGTERM", func(_ *electorate, owner *voter) { owner.terminate(); owner.process = nil }, "backup -> owner: owner-draining"},
		{"its API server dies", func(_ *electorate, owner *voter) { owner.die() }, "backup -> owner: owner-unhealthy"},
	} {
		t.Run(row.name, func(t *testing.T) {
			leaseBubble(t, func(t *testing.T, e *electorate) {
				all := e.seat(byLease, 11, 12, 13)
				c := e.dial(theVIP)
				row.move(e, all[0])
				next := e.awaitOther(all[0])
				if next.name != "cp13" {
					t.Errorf("%s took over, not the best", next.name)
				}
				next.tells("init -> backup: startup", row.told)
				time.Sleep(2 * time.Second)
				if e.able != (Abilities{}) {
					e.unbroken()
					c.alive(t)
				}
				if h := e.etcd.History(); h[len(h)-1].From != "cp11" || len(h) != 2 {
					t.Errorf("history %+v", h)
				}
			})
		})
	}
}

// Between the silence of a former owner and the addresses of the next one, new
// connections reach the former one, and are no business of those before it.
func TestMovesByLeaseInARowLoseNothing(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		owner := e.seat(byLease, 11, 12, 13)[0]
		var open []*connection
		for range 4 {
			open = append(open, e.dial(theVIP))
			if got := owner.drain(DrainRequest{}).result(); got != DrainDone {
				t.Fatalf("the drain ended with %s", got)
			}
			next := e.awaitOther(owner)
			if err := owner.process.agent.Undrain(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			owner = next
			time.Sleep(100 * time.Millisecond) // no operator is faster than etcd tells the others
		}
		if e.able == (Abilities{}) {
			return
		}
		e.unbroken()
		for _, c := range open {
			c.alive(t)
		}
	})
}

// The addresses are refreshed by the second: an answer of the kernel that comes when
// the owner has fallen silent is about what was before.
func TestARefreshUnderWayDoesNotEndTheSilence(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		for _, v := range all {
			v.set(func(h *host) { h.stall = 120 * time.Millisecond })
		}
		owner := all[0]
		for i := range 12 {
			c := e.dial(theVIP)
			time.Sleep(2*time.Second + time.Duration(i)*100*time.Millisecond)
			if got := owner.drain(DrainRequest{}).result(); got != DrainDone {
				t.Fatalf("the drain ended with %s", got)
			}
			next := e.awaitOther(owner)
			time.Sleep(time.Second)
			if e.able != (Abilities{}) {
				c.alive(t)
			}
			if err := owner.process.agent.Undrain(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			owner = next
		}
	})
}

// A kernel that takes no shadow is asked twice, and not as fast as it answers.
func TestAHolderThatCannotKeepItsConnectionsLeavesAllTheSame(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		all[0].set(func(h *host) { h.flows.shadeless = errors.New("no memory") })
		if got := all[0].drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("the drain ended with %s", got)
		}
		all[1].awaitSeated()
	})
}

func TestDrainOfALeaseNeedsAHealthyCandidate(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		all[1].die()
		time.Sleep(10 * time.Second)
		if got := all[0].drain(DrainRequest{Timeout: 3 * time.Second}).result(); got != DrainNoSuccessor {
			t.Errorf("the drain ended with %s", got)
		}
		if !all[0].seated() {
			t.Error("it gave the VIP up")
		}
		// At a stop somebody unhealthy is better than nobody.
		all[0].terminate()
		all[0].process = nil
		e.awaitOther(all[0])
	})
}

func TestUnhealthyHolderKeepsTheLeaseAmongUnhealthy(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12, 13)
		for _, v := range []*voter{all[2], all[1], all[0]} {
			v.die()
			time.Sleep(time.Minute)
		}
		if !all[0].seated() {
			t.Errorf("held by %v", e.holders(theVIP))
		}
		all[1].recover()
		e.awaitOther(all[0], all[2])
		all[0].recover()
		all[2].recover()
		time.Sleep(time.Minute)
		if !all[1].seated() {
			t.Errorf("it did not stay: held by %v", e.holders(theVIP))
		}
	})
}

func TestCrashOfAHolder(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12, 13)
		died := time.Now()
		all[0].powerOff()
		next := e.awaitOther(all[0])
		if took := time.Since(died); took > 5*time.Second+700*time.Millisecond {
			t.Errorf("taken over after %v", took)
		}
		next.tells("init -> backup: startup", "backup -> owner: lease-free")
		all[0].process = nil
	})
}

func TestAKilledDaemonThatReturnsHasItsLease(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		c := e.dial(theVIP)
		all[0].kill()
		time.Sleep(200 * time.Millisecond)
		all[0].start()
		all[0].awaitSeated()
		time.Sleep(time.Minute)
		all[0].tells("init -> backup: startup", "backup -> owner: lease-free")
		if e.able != (Abilities{}) {
			e.unbroken()
			c.alive(t)
		}
	})
}

func TestAHolderWithoutEtcdGivesUpBeforeAnotherTakes(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12, 13)
		for range 5 {
			owner := e.awaitOther()
			owner.way.Cut()
			e.awaitOther(owner)
			owner.way.Mend()
			time.Sleep(time.Minute + 370*time.Millisecond)
			if got := e.holders(theVIP); len(got) != 1 {
				t.Errorf("held by %v", got)
			}
		}
		all[0].logged("lease-lost")
	})
}

func TestNobodyHoldsWithoutEtcd(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		for _, v := range all {
			v.way.Cut()
		}
		time.Sleep(5 * time.Second)
		if got := e.holders(theVIP); len(got) != 0 {
			t.Errorf("held by %v", got)
		}
		all[0].tells("init -> backup: startup", "backup -> owner: lease-free", "owner -> backup: lease-lost")
		time.Sleep(time.Hour)
		for _, v := range all {
			v.way.Mend()
		}
		e.awaitOther()
		time.Sleep(time.Minute)
		if got := e.holders(theVIP); len(got) != 1 {
			t.Errorf("held by %v", got)
		}
	})
}

func TestKeepWithoutEtcd(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		const keep = `vips: [{name: apiserver, addresses: [192.0.2.10], election: etcd, etcd: {without_etcd: keep}}]`
		all := e.seat(keep, 11, 12)
		for _, v := range all {
			v.way.Cut()
		}
		time.Sleep(time.Hour)
		if !all[0].seated() {
			t.Errorf("held by %v", e.holders(theVIP))
		}
		all[0].way.Mend()
		time.Sleep(time.Minute)
		all[1].way.Mend()
		time.Sleep(time.Minute)
		if !all[0].seated() {
			t.Errorf("held by %v", e.holders(theVIP))
		}
		e.unbroken()
	})
}

func TestAFrozenHolderIsOffBeforeItsLeaseEnds(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12, 13)
		owner := all[0]
		for range 4 {
			time.Sleep(711 * time.Millisecond)
			owner.freeze()
			time.Sleep(time.Minute)
			next := e.awaitOther(owner)
			goesOn := time.Now()
			owner.thaw()
			time.Sleep(time.Minute)
			// It was frozen while it sent an advert; that one comes still.
			acts := e.since(goesOn, func(h happening) bool { return h.who == owner.name && !strings.HasPrefix(h.what, "loses") })
			if adverts := len(e.times(goesOn, owner.name, "adverts 255")); adverts > 1 || len(acts) > adverts && e.able == (Abilities{}) {
				t.Errorf("after it was frozen: %v", acts)
			}
			for _, what := range []string{"announces " + theVIP, "gets " + theVIP} {
				if n := len(e.times(goesOn, owner.name, what)); n > 0 {
					t.Errorf("after it was frozen it %s", what)
				}
			}
			if !next.seated() || len(e.holders(theVIP)) != 1 {
				t.Errorf("held by %v", e.holders(theVIP))
			}
			owner = next
		}
	})
}

func TestASlowEtcdMovesNothing(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		for _, v := range all {
			v.way.Delay(600 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		if len(e.etcd.History()) != 1 || !all[0].seated() {
			t.Errorf("it moved: %+v", e.etcd.History())
		}
		if got := all[0].drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("the drain ended with %s", got)
		}
		if e.able != (Abilities{}) {
			e.unbroken()
		}
	})
}

// The answer to the transaction that passes the key is lost: whatever became of
// it, there is one owner.
func TestAPassWhoseOutcomeIsUnknown(t *testing.T) {
	for _, done := range []bool{true, false} {
		leaseBubble(t, func(t *testing.T, e *electorate) {
			all := e.seat(byLease, 11, 12)
			all[0].way.Lose(done)
			drain := all[0].drain(DrainRequest{})
			time.Sleep(1200 * time.Millisecond)
			all[0].way.Mend()
			if got := drain.result(); got != DrainDone {
				t.Errorf("the drain ended with %s", got)
			}
			if !all[1].seated() {
				t.Errorf("held by %v", e.holders(theVIP))
			}
			if e.able != (Abilities{}) && !done {
				e.unbroken()
			}
		})
	}
}

// Before kubeadm init VRRP elects; when etcd is there, its owner takes the lease.
func TestTheOwnerByVRRPTakesTheLease(t *testing.T) {
	for _, first := range []int{0, 1} {
		leaseBubble(t, func(t *testing.T, e *electorate) {
			a, b := e.voter(11, byLease, false), e.voter(12, byLease, false)
			a.way.Cut()
			b.way.Cut()
			a.start()
			a.awaitSeated()
			b.start()
			b.awaitReady()
			c := e.dial(theVIP)
			time.Sleep(time.Minute)
			if !a.status("apiserver").Election.Lease.Bootstrapping {
				t.Error("it does not say that it bootstraps")
			}
			e.all[first].way.Mend()
			time.Sleep(time.Minute)
			if !a.seated() {
				t.Errorf("held by %v", e.holders(theVIP))
			}
			e.all[1-first].way.Mend()
			await(t, "the owner has the lease", func() bool { return a.status("apiserver").Election.Lease.Held })
			time.Sleep(time.Minute)
			if !a.seated() || e.etcd.Owner().Node != "cp11" {
				t.Errorf("held by %v, etcd says %+v", e.holders(theVIP), e.etcd.Owner())
			}
			e.unbroken()
			c.alive(t)
			if !a.way.known || !b.way.known {
				t.Error("it is not noted that etcd was reached")
			}
		})
	}
}

func TestAJoinerWithoutEtcdStaysOff(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		joiner := e.voter(200, byLease, false)
		joiner.way.Cut()
		joiner.start()
		joiner.awaitReady()
		// Neither a worse owner nor one that drains is displaced by it.
		all[1].die()
		time.Sleep(time.Minute)
		all[0].die()
		time.Sleep(time.Minute)
		if !all[0].seated() {
			t.Errorf("held by %v", e.holders(theVIP))
		}
		all[1].recover()
		e.awaitOther(all[0], joiner)
		joiner.way.Mend()
		time.Sleep(time.Minute)
		if !all[1].seated() || joiner.status("apiserver").Election.Lease.Bootstrapping {
			t.Errorf("held by %v, the joiner is %+v", e.holders(theVIP), joiner.status("apiserver").Election.Lease)
		}
	})
}

func TestAPowerOffIsNotABootstrap(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		a, b := e.voter(11, byLease, true), e.voter(12, byLease, true)
		for _, v := range e.all {
			v.way.Cut()
			v.start()
		}
		time.Sleep(time.Hour)
		if got := e.holders(theVIP); len(got) != 0 {
			t.Errorf("held by %v", got)
		}
		b.way.Mend()
		b.awaitSeated()
		a.way.Mend()
		a.awaitReady()
	})
}

func TestWithoutBootstrapNobodyHoldsBeforeEtcd(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		a := e.voter(11, `vips: [{name: apiserver, addresses: [192.0.2.10], election: etcd, etcd: {bootstrap: none}}]`, false)
		a.way.Cut()
		a.start()
		time.Sleep(time.Hour)
		if got := e.holders(theVIP); len(got) != 0 {
			t.Errorf("held by %v", got)
		}
		a.way.Mend()
		a.awaitSeated()
	})
}

func TestAnUnreadableNoteCountsAsReached(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		a := e.voter(11, byLease, false)
		a.way.unknown = errors.New("permission denied")
		a.way.Cut()
		a.start()
		time.Sleep(time.Hour)
		if got := e.holders(theVIP); len(got) != 0 {
			t.Errorf("held by %v", got)
		}
	})
}

// The holder dies while a node that never reached etcd hears it: that one is not to
// take the VIP beside whoever gets the lease.
func TestAJoinerDoesNotTakeADeadHoldersVIP(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		joiner := e.voter(200, byLease, false)
		joiner.way.Cut()
		joiner.start()
		joiner.awaitReady()
		all[0].kill()
		all[1].awaitSeated()
		time.Sleep(time.Minute)
		if got := e.holders(theVIP); !slices.Equal(got, []string{"cp12"}) {
			t.Errorf("held by %v", got)
		}
		joiner.tells("init -> backup: startup")
		all[0].process = nil
	})
}

func TestReloadsOfALease(t *testing.T) {
	const file = `vips: [{name: apiserver, addresses: [192.0.2.10], election: etcd%s}]%s`
	for _, row := range []struct {
		name, vip, rest string
		// keeps: the VIP is not off this node for a moment.
		keeps bool
	}{
		{"a longer TTL", ", etcd: {ttl: 10s}", "", true},
		{"a shorter TTL", ", etcd: {ttl: 3s}", "", true},
		{"without etcd it is kept", ", etcd: {without_etcd: keep}", "", true},
		{"a bootstrap that is over", ", etcd: {bootstrap: none}", "", true},
		{"a shorter fence", ", fence: 1s", "", true},
		{"other endpoints", "", "\netcd: {endpoints: [\"https://192.0.2.99:2379\"]}", true},
		{"another cluster's keys", "", "\ncluster: other", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			leaseBubble(t, func(t *testing.T, e *electorate) {
				all := e.seat(byLease, 11, 12)
				for _, v := range all {
					v.mustReload(fmt.Sprintf(file, row.vip, row.rest))
					time.Sleep(time.Minute)
				}
				if row.keeps {
					e.unbroken()
					all[0].tells("init -> backup: startup", "backup -> owner: lease-free")
				}
				if got := e.holders(theVIP); len(got) != 1 {
					t.Errorf("held by %v", got)
				}
				owner := e.awaitOther()
				died := time.Now()
				owner.powerOff()
				e.awaitOther(owner)
				if took := time.Since(died); took > 11*time.Second {
					t.Errorf("taken over after %v", took)
				}
				owner.process = nil
			})
		})
	}
}

// From VRRP to etcd and back, node by node: at no moment is nobody owner for long.
func TestAReloadChangesTheElection(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		e := &electorate{lan: l, etcd: leasetest.NewStore()}
		for _, last := range []byte{11, 12, 13} {
			v := e.voter(last, apiserver, false)
			v.start()
			if last == 11 {
				v.awaitSeated()
			}
		}
		time.Sleep(time.Minute)
		for _, file := range []string{byLease, apiserver} {
			for _, v := range e.all {
				v.mustReload(file)
				time.Sleep(time.Minute)
				if got := e.holders(theVIP); len(got) != 1 {
					t.Errorf("held by %v", got)
				}
			}
		}
		for _, out := range e.outages(theVIP) {
			if out > 6*time.Second {
				t.Errorf("nobody served for %v", out)
			}
		}
	})
}

// A VIP behind routers whose announcer is elected by etcd.
func TestARoutedVIPIsElectedByEtcd(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		e := &electorate{lan: l, etcd: leasetest.NewStore()}
		file := strings.Replace(routed, "election: none", "interface: eth0, election: etcd, vrrp: {vrid: 5}", 1)
		var fabrics []*fabric
		for _, last := range []byte{11, 12} {
			v := e.voter(last, file, true)
			v.nics["lo"] = &nic{name: "lo", index: 99, up: true}
			f := &fabric{began: time.Now()}
			v.edges = func(edges *Edges) { edges.Leases, edges.Speaker, edges.Paths = v.way, f, f }
			fabrics = append(fabrics, f)
			v.start()
			time.Sleep(time.Minute)
		}
		fabrics[0].told()
		tellsRoutes(t, fabrics[1], "0s nothing")
		if got := e.all[0].drain(DrainRequest{}).result(); got != DrainDone {
			t.Errorf("drain: %s", got)
		}
		time.Sleep(time.Minute)
		tellsRoutes(t, fabrics[0], "0s "+leavingRoute, "500ms nothing")
		tellsRoutes(t, fabrics[1], "0s "+wellRoute)
		if len(e.all[0].listed("lo")) > 0 || len(e.all[1].listed("lo")) != 1 {
			t.Errorf("they have %v and %v", e.all[0].listed("lo"), e.all[1].listed("lo"))
		}
		e.all[1].way.Cut()
		time.Sleep(5 * time.Second)
		if got := e.all[1].listed("lo"); len(got) > 0 {
			t.Errorf("without its lease it has %v", got)
		}
	})
}

// A restored etcd knows no owner, and the owner does not know that yet.
func TestANewEtcdMakesNoSecondOwner(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12, 13)
		all[0].way.Cut()
		time.Sleep(100 * time.Millisecond)
		e.etcd.Forget()
		e.awaitOther(all[0])
		all[0].way.Mend()
		time.Sleep(time.Minute)
		if got := e.holders(theVIP); len(got) != 1 {
			t.Errorf("held by %v", got)
		}
	})
}

func TestTheOwnerKeyIsDeleted(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		e.seat(byLease, 11, 12)
		e.etcd.Delete()
		time.Sleep(time.Minute)
		if got := e.holders(theVIP); len(got) != 1 {
			t.Errorf("held by %v", got)
		}
	})
}

// What an owner keeps on lo while it passes its lease on ends with the lease too.
func TestAnOwnerThatStopsWithoutEtcdIsGoneWithItsLease(t *testing.T) {
	for after := time.Duration(0); after < 5*time.Second/3; after += 300 * time.Millisecond {
		leaseBubble(t, func(t *testing.T, e *electorate) {
			all := e.seat(byLease, 11, 12)
			time.Sleep(after)
			all[0].way.Lose(false) // so it begins to pass the lease on, and that gets nowhere
			time.AfterFunc(100*time.Millisecond, all[0].way.Cut)
			all[0].terminate()
			next := e.awaitOther(all[0])
			all[0].set(func(h *host) {
				if h.flows.onLo(netip.MustParseAddr(theVIP)) {
					t.Errorf("stopped %v after a minute: %s owns, and %s has the VIP on lo", after, next.name, all[0].name)
				}
			})
		})
	}
}

func TestALostCableGivesTheLeaseUp(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		all := e.seat(byLease, 11, 12)
		cut := time.Now()
		all[0].carrier("eth0", false)
		all[1].awaitSeated()
		if took := time.Since(cut); took > 200*time.Millisecond {
			t.Errorf("taken over after %v", took)
		}
		all[0].carrier("eth0", true)
		all[0].awaitReady()
		time.Sleep(time.Minute)
		if !all[1].seated() {
			t.Errorf("held by %v", e.holders(theVIP))
		}
	})
}

// etcd makes leases longer because of its election timeout, and at each change of
// its leader.
func TestATakeoverDoesNotWaitForEtcdToEndTheLease(t *testing.T) {
	leaseBubble(t, func(t *testing.T, e *electorate) {
		e.etcd.Least(time.Minute)
		all := e.seat(byLease, 11, 12)
		cut := time.Now()
		all[0].way.Cut()
		all[1].awaitSeated()
		if took := time.Since(cut); took > 5*time.Second+700*time.Millisecond {
			t.Errorf("taken over after %v", took)
		}
		if got := e.holders(theVIP); len(got) != 1 {
			t.Errorf("held by %v", got)
		}
		synctest.Wait()
	})
}
