package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/health/counter"
	"github.com/vipd/vipd/peer"
)

const (
	goodKey  = "correct horse battery staple, and then some"
	otherKey = "another key of more than thirty-two characters"
	keyed    = `auth_key_file: ` + keyFile + "\n" + apiserver
)

// loggedTimes fails the test unless the daemon told something so many times.
func (n *node) loggedTimes(message string, want int) {
	n.t.Helper()
	if got := len(n.logged(strconv.Quote(message))); got != want {
		n.t.Errorf("%s told %d times, want %d: %s", n.name, got, want, message)
	}
}

// peers are the peers as the node's status shows them.
func (n *node) peers() []PeerStatus { return n.process.agent.Status().Peers }

// sees returns a peer as the node's status shows it.
func (n *node) sees(name string) PeerStatus {
	n.t.Helper()
	all := n.peers()
	i := slices.IndexFunc(all, func(p PeerStatus) bool { return p.Node == name })
	if i < 0 {
		n.t.Fatalf("%s does not know %s", n.name, name)
	}
	return all[i]
}

// knows tells whether a peer is alive for the node and hears it.
func (n *node) knows(name string) bool {
	return slices.ContainsFunc(n.peers(), func(p PeerStatus) bool {
		return p.Node == name && p.Condition == "alive" && p.Hears
	})
}

// knowsBy tells whether a peer is alive for the node, hears it, and proves
// itself with the key or does without, all of one look.
func (n *node) knowsBy(name string, key bool) bool {
	return slices.ContainsFunc(n.peers(), func(p PeerStatus) bool {
		return p.Node == name && p.Condition == "alive" && p.Hears && p.Authenticated == key
	})
}

// awaitAcquainted waits until all nodes know each other and did for a while.
func (l *lan) awaitAcquainted(nodes ...*node) {
	l.t.Helper()
	for _, n := range nodes {
		for _, o := range nodes {
			if n != o {
				await(l.t, n.name+" knows "+o.name, func() bool { return n.knows(o.name) })
			}
		}
	}
	time.Sleep(peer.Lifetime)
}

// three starts three healthy nodes, of which the first owns.
func (l *lan) three(file string) (owner, second, third *node) {
	l.t.Helper()
	owner, second = l.pair(file)
	third = l.node(13, file)
	third.awaitReady()
	l.awaitAcquainted(owner, second, third)
	return owner, second, third
}

// keyring writes the key file of the nodes.
func (l *lan) keyed(last byte, content string) *node {
	n := l.bare(last, keyed)
	n.write(keyFile, content)
	n.start()
	return n
}

func TestStatusShowsTheClusterOnEveryNode(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(apiserver)
		c.die()
		synctest.Wait()
		vip := PeerVIPStatus{
			Name: "apiserver", Interface: "eth0", State: "backup", Band: "healthy", Priority: 200, Reason: "startup",
			Healthy: true, APIServer: "alive", Differs: []string{},
		}
		shows := func(last int, change func(*PeerVIPStatus)) PeerStatus {
			v := vip
			v.Address = netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", last))
			change(&v)
			return PeerStatus{
				Node: fmt.Sprintf("cp%d", last), Version: "test", Condition: "alive", Hears: true, Differs: []string{},
				Addresses: []netip.Addr{
					v.Address, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", last)), netip.MustParseAddr(fmt.Sprintf("fe80::%d", last)),
				},
				VIPs: []PeerVIPStatus{v},
			}
		}
		owner := shows(11, func(v *PeerVIPStatus) { v.State, v.Reason, v.Announced = "owner", "nobody-heard", true })
		backup := shows(12, func(*PeerVIPStatus) {})
		sick := shows(13, func(v *PeerVIPStatus) { v.Healthy, v.Band, v.Priority, v.APIServer = false, "unhealthy", 100, "dead" })
		ignore := cmp.Options{
			cmpopts.IgnoreTypes(time.Time{}), cmpopts.IgnoreFields(PeerStatus{}, "LastHelloAgeSeconds"), cmpopts.EquateComparable(both[0]),
		}
		for n, want := range map[*node][]PeerStatus{a: {backup, sick}, b: {owner, sick}, c: {owner, backup}} {
			if diff := cmp.Diff(want, n.peers(), ignore); diff != "" {
				t.Errorf("peers of %s (-want +got):\n%s", n.name, diff)
			}
			if age := n.peers()[0].LastHelloAgeSeconds; age < 0 || age > 1 {
				t.Errorf("age of the last hello %v s", age)
			}
		}
	})
}

func TestPeersThatGo(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(apiserver)
		b.terminate()
		synctest.Wait()
		if got := a.sees("cp12").Condition; got != "left" {
			t.Errorf("a peer whose daemon stopped is %s", got)
		}
		c.powerOff()
		await(t, "the dead peer falls silent", func() bool { return a.sees("cp13").Condition == "silent" })
		b.start()
		await(t, "the peer is back", func() bool { return a.knows("cp12") })
		time.Sleep(peer.Retention)
		if got := a.peers(); len(got) != 1 {
			t.Errorf("the dead peer is remembered for ever: %v", got)
		}
	})
}

func TestUnicastHellosGoWhereAdvertsGo(t *testing.T) {
	const file = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11, 192.0.2.12, 192.0.2.13]}}]`
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(file)
		for _, n := range []*node{a, b, c} {
			if got := len(n.peers()); got != 2 {
				t.Errorf("%s knows %d peers", n.name, got)
			}
		}
	})
}

func TestHelloPeersComeBeforeThoseOfTheAdverts(t *testing.T) {
	const file = `
hello: {peers: [192.0.2.11, 192.0.2.12]}
vips: [{name: apiserver, addresses: [192.0.2.10]}]`
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(file)
		l.awaitAcquainted(a, b)
		c := l.node(13, apiserver) // multicasts, and is not listed
		c.awaitReady()
		time.Sleep(time.Minute)
		if len(a.peers()) != 1 || len(c.peers()) != 0 {
			t.Errorf("cp11 knows %v, cp13 %v", a.peers(), c.peers())
		}
	})
}

func TestEachFamilyHasItsHellos(t *testing.T) {
	const file = `vips:
  - {name: apiserver, addresses: [192.0.2.10]}
  - {name: six, addresses: ["2001:db8::10"]}`
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(file)
		l.awaitAcquainted(a, b)
		got := map[string]string{}
		for _, v := range a.sees("cp12").VIPs {
			got[v.Name] = v.Address.String()
		}
		if diff := cmp.Diff(map[string]string{"apiserver": "192.0.2.12", "six": "fe80::12"}, got); diff != "" {
			t.Errorf("groups of the peer, and whence (-want +got):\n%s", diff)
		}
	})
}

func TestDrainIsRefusedAtOnceWhenNobodyCan(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b, c := l.three(apiserver)
		b.die()
		if got := c.drain(DrainRequest{}).result(); got != DrainDone {
			t.Fatalf("drain of a backup: %s", got)
		}
		synctest.Wait()
		began := time.Now()
		drain := a.drain(DrainRequest{})
		if got := drain.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
		drain.told("apiserver: no healthy successor: cp12 is unhealthy, cp13 is drained; this node serves on")
		l.never(began, "cp11 adverts 1")
		l.unbroken()
	})
}

func TestDrainEndsWhenTheLastSuccessorFails(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		b.set(func(h *host) { h.refused = errors.New("no such device") })
		drain := a.drain(DrainRequest{})
		time.Sleep(500 * time.Millisecond) // it tries, and cannot hold the VIP
		began := time.Now()
		b.die()
		if got := drain.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v after nobody could", took)
		}
		a.seatedHealthy()
	})
}

// seatedHealthy fails the test unless the node owns in the healthy band.
func (n *node) seatedHealthy() {
	n.t.Helper()
	if s := n.status("apiserver"); s.State != StateOwner || s.Election.Band != "healthy" {
		n.t.Errorf("state %s, band %s", s.State, s.Election.Band)
	}
}

// A drain waits for its timeout whenever somebody may be able whom hellos do not
// tell of.
func TestDrainWaitsWhenSomebodyMayBeAble(t *testing.T) {
	const listed = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11, 192.0.2.12, 192.0.2.14]}}]`
	for _, row := range []struct {
		name string
		file string
		with func(l *lan, a, b *node)
	}{
		{"a silent peer may live", apiserver, func(l *lan, a, _ *node) {
			c := l.node(13, apiserver)
			c.awaitReady()
			l.awaitAcquainted(a, c)
			c.powerOff()
			await(l.t, "it falls silent", func() bool { return a.sees("cp13").Condition == "silent" })
		}},
		{"a foreign owner was heard", apiserver, func(l *lan, a, _ *node) {
			l.foreign(14, a)
		}},
		{"a configured peer sent no hello", listed, func(*lan, *node, *node) {}},
		{"a peer has just started", apiserver, func(l *lan, a, _ *node) {
			c := l.bare(13, apiserver)
			c.die()
			c.start()
			await(l.t, "it is known", func() bool { return a.knows("cp13") })
		}},
		{"a peer does not hear this node", apiserver, func(l *lan, a, b *node) {
			l.hide(func(from, _ *host) bool { return from == a.host })
			await(l.t, "it is deaf", func() bool { return !a.sees("cp12").Hears })
		}},
		{"nobody is known", apiserver, func(l *lan, a, b *node) {
			l.hush()
			b.powerOff()
			time.Sleep(peer.Retention)
			await(l.t, "all are forgotten", func() bool { return len(a.peers()) == 0 })
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			helloBubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(row.file)
				l.awaitAcquainted(a, b)
				b.die()
				row.with(l, a, b)
				synctest.Wait()
				began := time.Now()
				drain := a.drain(DrainRequest{Timeout: 2 * time.Second})
				if got := drain.result(); got != DrainNoSuccessor {
					t.Errorf("result %s", got)
				}
				if took := time.Since(began); took != 2*time.Second {
					t.Errorf("took %v", took)
				}
				a.seatedHealthy()
			})
		})
	}
}

// foreign makes a node hear an advert of an owner that is no vipd, which loses.
func (l *lan) foreign(last byte, to *node) {
	l.t.Helper()
	src := netip.AddrFrom4([4]byte{192, 0, 2, last})
	vip := netip.MustParseAddr(theVIP)
	p := vrrp.Packet{VRID: 10, Priority: 130, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{vip}}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range to.sockets {
		if !s.ipv6 {
			l.deliver(s, vrrp.Frame{Src: src, Dst: vrrp.MulticastIPv4, TTL: vrrp.TTL, Payload: p.Append(nil, src, vrrp.MulticastIPv4)})
		}
	}
}

func TestDrainNamesItsSuccessor(t *testing.T) {
	// With equal priorities the highest address is asked; with other ones the
	// highest priority, though its address would have it wait.
	for _, row := range []struct {
		name      string
		second    string
		successor string
	}{
		{"the highest address of equals", apiserver, "cp13"},
		{"the highest priority", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {priority: 250}}]`, "cp12"},
	} {
		t.Run(row.name, func(t *testing.T) {
			helloBubble(t, func(t *testing.T, l *lan) {
				a := l.node(11, apiserver)
				a.awaitSeated()
				b, c := l.node(12, row.second), l.node(13, apiserver)
				b.awaitReady()
				c.awaitReady()
				l.awaitAcquainted(a, b, c)
				began := time.Now()
				drain := a.drain(DrainRequest{})
				synctest.Wait()
				if got := b.sees("cp11").VIPs[0].Successor; got != row.successor {
					t.Errorf("named %q, want %s", got, row.successor)
				}
				if got := drain.result(); got != DrainDone {
					t.Errorf("result %s", got)
				}
				// The skew of priority 200 at 100 ms is 22 ms; a tie step while an owner
				// drains would be 100 ms.
				if took := time.Since(began); took > 50*time.Millisecond {
					t.Errorf("took %v", took)
				}
				if got := l.reaches(theVIP); got != row.successor {
					t.Errorf("the client reaches %s, want %s", got, row.successor)
				}
				l.unbroken()
			})
		})
	}
}

func TestStopNamesItsSuccessor(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, _, c := l.three(apiserver)
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
		c.awaitSeated()
		l.unbroken()
	})
}

func TestTwoDrainsAtOnceNeedNoTimeout(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		began := time.Now()
		first, second := a.drain(DrainRequest{}), b.drain(DrainRequest{})
		if diff := cmp.Diff([]DrainResult{DrainNoSuccessor, DrainDone}, []DrainResult{first.result(), second.result()}); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		a.seatedHealthy()
		l.unbroken()
	})
}

func TestLonelinessEndsInCompany(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		if got := a.status("apiserver").Election.Priority; got != 128 {
			t.Fatalf("priority of a lonely owner %d, want 128", got)
		}
		b := l.node(12, apiserver)
		b.awaitReady()
		time.Sleep(time.Second)
		if got := a.status("apiserver").Election.Priority; got != 200 {
			t.Errorf("priority a second after company came %d, want 200", got)
		}
	})
}

// A port that begins to forward late lets the hello of a seated owner in before
// its advert: the newcomer yields all the same.
func TestLateForwardingDoesNotMoveTheVIP(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		seated, other := l.pair(apiserver)
		late := l.bare(200, apiserver)
		l.split([]*node{seated, other}, []*node{late})
		late.start()
		late.awaitSeated()
		l.heal()
		l.awaitAcquainted(seated, other, late)
		late.awaitAt(StateBackup)
		if got := l.reaches(theVIP); got != "cp11" {
			t.Errorf("the client reaches %s", got)
		}
		seated.tells("init -> backup: startup", "backup -> owner: nobody-heard")
	})
}

func TestEqualBackupsHaveOneSuccessorByHellos(t *testing.T) {
	// .12 and .16 have the same address modulo 4: without hellos both claim.
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		b, c := l.node(12, apiserver), l.node(16, apiserver)
		b.awaitReady()
		c.awaitReady()
		l.awaitAcquainted(a, b, c)
		died := time.Now()
		a.powerOff()
		c.awaitSeated()
		time.Sleep(time.Second)
		l.never(died, "cp12 adverts")
		b.tells("init -> backup: startup")
	})
}

func TestDifferentSettingsAreNamed(t *testing.T) {
	const other = `
cluster: prod
vips: [{name: vip, addresses: [192.0.2.10], fence: 5s, vrrp: {advert_interval: 200ms}}]`
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		b := l.node(12, other)
		await(t, "they meet", func() bool { return a.knows("cp12") && b.knows("cp11") })
		for _, n := range []*node{a, b} {
			p := n.peers()[0]
			if diff := cmp.Diff([]string{"cluster"}, p.Differs); diff != "" {
				t.Errorf("settings of the daemon (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"fence", "vrrp.advert_interval"}, p.VIPs[0].Differs); diff != "" {
				t.Errorf("settings of the group (-want +got):\n%s", diff)
			}
		}
		time.Sleep(time.Minute)
		a.loggedTimes("the configuration differs from a peer's where it has to be equal", 1)
		b.mustReload(strings.ReplaceAll(apiserver, "name: apiserver, ", ""))
		await(t, "the difference is gone", func() bool { return len(a.peers()[0].VIPs[0].Differs) == 0 && len(a.peers()[0].Differs) == 0 })
		a.loggedTimes("the settings of a peer are equal to this node's again", 1)
	})
}

func TestKeyedNodesKnowEachOther(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.keyed(11, goodKey), l.keyed(12, goodKey)
		c := l.node(13, apiserver) // has no key
		d := l.keyed(14, otherKey) // has another one
		l.awaitAcquainted(a, b)
		if !a.sees("cp12").Authenticated || len(a.peers()) != 1 || len(d.peers()) != 0 {
			t.Errorf("cp11 knows %v, cp14 %v", a.peers(), d.peers())
		}
		if !a.process.agent.Status().Hello.Authenticated {
			t.Error("the status does not say that hellos are authenticated")
		}
		discarded := *a.process.agent.Loop().HellosDiscarded.Load()
		if discarded["untagged"] == 0 || discarded["unknown-key"] == 0 {
			t.Errorf("discarded %v", discarded)
		}
		// The keyless one believes whom it hears, and is elected as ever.
		if !c.is(StateBackup) && !c.is(StateOwner) {
			t.Errorf("cp13 is %s", c.status("apiserver").State)
		}
	})
}

func TestUnauthenticatedPeersDecideNothing(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.keyed(11, goodKey)
		a.awaitSeated()
		b := l.node(12, apiserver)
		b.awaitReady()
		time.Sleep(time.Minute)
		b.die()
		synctest.Wait()
		if got := a.status("apiserver").Election.Priority; got != 200 {
			t.Errorf("priority %d", got)
		}
		began := time.Now()
		if got := a.drain(DrainRequest{Timeout: 2 * time.Second}).result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v: an unauthenticated hello was believed", took)
		}
	})
}

func TestChangeOfKey(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.keyed(11, goodKey), l.keyed(12, goodKey)
		l.awaitAcquainted(a, b)
		for _, content := range []string{goodKey + "\n" + otherKey, otherKey + "\n" + goodKey, otherKey} {
			for _, n := range []*node{a, b} {
				n.write(keyFile, content)
				time.Sleep(10 * time.Second)
				if !a.knows("cp12") || !b.knows("cp11") {
					t.Fatalf("unheard while %s changes its key to %q", n.name, content)
				}
			}
		}
		a.loggedTimes("a peer fell silent", 0)
	})
}

func TestBadKeyFileChangesNothing(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.keyed(11, goodKey), l.keyed(12, goodKey)
		l.awaitAcquainted(a, b)
		a.write(keyFile, "short")
		time.Sleep(time.Minute)
		if !a.knows("cp12") || !b.knows("cp11") {
			t.Error("a bad key file made a node unheard")
		}
		if s := a.process.agent.Status().Hello; s.Error == "" || !s.Authenticated {
			t.Errorf("status %+v", s)
		}
		a.loggedTimes("auth_key_file cannot be used; the keys stay as they were", 1)
		a.write(keyFile, goodKey)
		synctest.Wait()
		if s := a.process.agent.Status().Hello; s.Error != "" {
			t.Errorf("status after the mend %+v", s)
		}
	})
}

func TestReloadSetsAndUnsetsTheKey(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		a.write(keyFile, goodKey)
		b.write(keyFile, goodKey)
		a.mustReload(keyed)
		b.mustReload(keyed)
		await(t, "they prove themselves", func() bool {
			return a.knowsBy("cp12", true) && b.knowsBy("cp11", true)
		})
		a.mustReload(apiserver)
		b.mustReload(apiserver)
		await(t, "they do without", func() bool {
			return a.knowsBy("cp12", false) && b.knowsBy("cp11", false)
		})
		l.unbroken()
	})
}

func TestReloadTurnsHellosOffAndOn(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		b.mustReload("hello: {enabled: false}\n" + apiserver)
		await(t, "it falls silent", func() bool { return a.sees("cp12").Condition == "silent" })
		b.mustReload("hello: {port: 9999}\n" + apiserver)
		time.Sleep(time.Minute)
		if a.knows("cp12") {
			t.Error("heard on another port")
		}
		b.mustReload(apiserver)
		await(t, "it is back", func() bool { return a.knows("cp12") })
		l.unbroken()
	})
}

func TestPortForHellosThatIsTaken(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.bare(11, apiserver)
		a.set(func(h *host) { h.taken = errors.New("address already in use") })
		a.start()
		a.awaitSeated()
		b := l.node(12, apiserver)
		b.awaitReady()
		time.Sleep(time.Minute)
		if got := a.process.agent.Status().Hello.Error; got != "address already in use" {
			t.Errorf("status says %q", got)
		}
		a.loggedTimes("hellos cannot be exchanged; VIPs move all the same, but drains wait for their timeout", 1)
		a.set(func(h *host) { h.taken = nil })
		await(t, "they meet", func() bool { return a.knows("cp12") && a.process.agent.Status().Hello.Error == "" })
	})
}

func TestDeafPeerIsTold(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		l.hide(func(from, _ *host) bool { return from == a.host })
		time.Sleep(time.Minute)
		if p := a.sees("cp12"); p.Condition != "alive" || p.Hears {
			t.Errorf("the peer is %s, hears %v", p.Condition, p.Hears)
		}
		a.loggedTimes("a peer does not hear this node's hellos; look at its firewall (UDP) and at its list of peers", 1)
	})
}

func TestNamesakes(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		b := l.bare(12, apiserver)
		b.set(func(h *host) { h.name = "cp11" })
		b.start()
		await(t, "the status says so", func() bool { return a.process.agent.Status().Hello.Namesake })
		if got := a.peers(); len(got) != 0 {
			t.Errorf("peers %v", got)
		}
	})
}

// A flood of hellos delays no advert: the loop reads a bounded number of them in
// a turn, and adverts first.
func TestFloodOfHellosDelaysNoAdvert(t *testing.T) {
	a, w := turned(t, 1)
	flood := &flood{payload: []byte("not a hello of any version")}
	for _, l := range a.links {
		l.hellos[0].HelloSocket = flood
	}
	w.left = 1
	a.turn(a.started)
	if flood.read != hellosPerTurn {
		t.Errorf("%d hellos were read in a turn, want %d", flood.read, hellosPerTurn)
	}
	if _, alive := a.groups[0].machine.Owner(a.started); !alive {
		t.Error("the advert was not heard")
	}
	select {
	case <-a.wake:
	default:
		t.Error("the loop does not come back for the rest")
	}
}

// flood is a socket that hellos never end to come out of.
type flood struct {
	silence
	read    int
	payload []byte
}

func (f *flood) Receive(d *peer.Datagram) bool {
	f.read++
	*d = peer.Datagram{Src: netip.AddrFrom4([4]byte{192, 0, 2, 66}), Interface: "eth0", HopLimit: peer.HopLimit, Payload: f.payload}
	return true
}

func TestHungServerIsSaid(t *testing.T) {
	helloBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		l.awaitAcquainted(a, b)
		for range 3 {
			b.ail("apiserver", counter.Result{Ready: counter.Timeout, Live: counter.Timeout, Reason: "timed out"})
			synctest.Wait()
		}
		await(t, "the owner knows", func() bool { return a.sees("cp12").VIPs[0].APIServer == "hung" })
	})
}
