package agent

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/health/counter"
)

// untouched fails the test if anything but adverts of the VIP happened since a
// time.
func (l *lan) untouched(from time.Time, addr string) {
	l.t.Helper()
	synctest.Wait()
	for _, line := range l.since(from, func(happening) bool { return true }) {
		if strings.HasSuffix(line, "gets "+addr) || strings.HasSuffix(line, "loses "+addr) {
			l.t.Errorf("a VIP that did not change: %s", line)
		}
	}
}

func TestReloadOfWhatDoesNotMoveTheVIP(t *testing.T) {
	rows := []struct{ name, file string }{
		{"nothing", apiserver},
		{"priority", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {priority: 150}}]`},
		{"longer interval", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {advert_interval: 1s}}]`},
		{"shorter interval", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {advert_interval: 20ms}}]`},
		{"name", `vips: [{name: renamed, addresses: [192.0.2.10]}]`},
		{"default names, with another group in front", `vips: [{addresses: [192.0.2.20]}, {addresses: [192.0.2.10]}]`},
		{"health checks", `vips: [{name: apiserver, addresses: [192.0.2.10], health: [{type: tcp, address: "127.0.0.1:6443"}]}]`},
		{"no health checks", `vips: [{name: apiserver, addresses: [192.0.2.10], health: []}]`},
		{"port and endpoint", `vips: [{name: apiserver, addresses: [192.0.2.10], port: 443}]`},
		{"fence", `vips: [{name: apiserver, addresses: [192.0.2.10], fence: 10s}]`},
		{"an address more", `vips: [{name: apiserver, addresses: [192.0.2.10, 192.0.2.20]}]`},
		{"a group more", `vips: [{name: apiserver, addresses: [192.0.2.10]}, {addresses: [192.0.2.20]}]`},
		{"announcing", `vips: [{name: apiserver, addresses: [192.0.2.10], garp: {burst: 3, refresh: 5s}}]`},
		{"the interface that was found before is named", `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth0}]`},
		{"preemption", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {preempt: always}}]`},
		{"checksum", `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {checksum: pseudo-header}}]`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(apiserver)
				began := time.Now()
				for _, n := range []*node{a, b} {
					n.mustReload(row.file)
				}
				time.Sleep(time.Minute)
				l.untouched(began, theVIP)
				l.unbroken()
				if got := l.holders(theVIP); !slices.Equal(got, []string{"cp11"}) {
					t.Errorf("holders %v", got)
				}
			})
		})
	}
}

// The fence is that of the new configuration: a killed daemon leaves the VIP for
// as long as that.
func TestReloadOfTheFence(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], fence: 10s}]`)
		synctest.Wait()
		killed := time.Now()
		a.kill()
		await(t, "the kernel removes it", func() bool { return len(l.holders(theVIP)) == 0 })
		if got := l.times(killed, "cp11", "loses 192.0.2.10"); got[0] != 10*time.Second {
			t.Errorf("removed after %v, want 10s", got)
		}
	})
}

func TestReloadOfThePriority(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, _ := l.pair(apiserver)
		changed := time.Now()
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {priority: 150}}]`)
		synctest.Wait()
		if got := l.times(changed, "cp11", "adverts 150"); len(got) == 0 || got[0] != 0 {
			t.Errorf("advertised %v after the reload, want at once", got)
		}
	})
}

// Three adverts at the old spacing tell the longer interval.
func TestReloadOfALongerInterval(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		changed := time.Now()
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {advert_interval: 1s}}]`)
		time.Sleep(2 * time.Second)
		ms := time.Millisecond
		if diff := cmp.Diff([]time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 1300 * ms}, l.times(changed, "cp11", "adverts 200")); diff != "" {
			t.Errorf("adverts (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		b.tells("init -> backup: startup")
	})
}

func TestReloadOfAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(`vips: [{name: apiserver, addresses: [192.0.2.10, 192.0.2.20]}]`)
		began := time.Now()
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10, 192.0.2.30, "2001:db8::30"]}]`)
		synctest.Wait()
		l.untouched(began, theVIP)
		for addr, want := range map[string][]string{"192.0.2.20": nil, "192.0.2.30": {"cp11"}, "2001:db8::30": {"cp11"}} {
			if diff := cmp.Diff(want, l.holders(addr)); diff != "" {
				t.Errorf("holders of %s (-want +got):\n%s", addr, diff)
			}
		}
		ms := time.Millisecond
		time.Sleep(3500 * ms)
		if diff := cmp.Diff([]time.Duration{0, 50 * ms, 200 * ms, 1000 * ms, 3000 * ms}, l.times(began, "cp11", "announces 192.0.2.30")); diff != "" {
			t.Errorf("announcements of the new address (-want +got):\n%s", diff)
		}
		if got := a.status("apiserver").Counters.Restored.Load(); got != 0 {
			t.Errorf("a new address counts as %d that someone had removed", got)
		}
		// Half of the roll-out: the lists differ, and the group is one all the same.
		if !b.is(StateBackup) {
			t.Errorf("the other node is at %s", b.status("apiserver").State)
		}
	})
}

func TestNewAddressIsDefended(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		squatter := l.bare(99, apiserver)
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10, "2001:db8::10"]}]`)
		time.Sleep(time.Minute)
		attacked := time.Now()
		l.mu.Lock()
		l.announce(squatter.host, vip6)
		l.mu.Unlock()
		await(t, "the owner leads the clients back", func() bool { return l.reaches("2001:db8::10") == "cp11" })
		if time.Since(attacked) > time.Second {
			t.Error("only when it was due anyway")
		}
	})
}

func TestReloadOfTheInterface(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.bare(11, `vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth0}, {name: ingress, interface: eth0, addresses: [192.0.2.20]}]`)
		a.plug("eth1")
		a.start()
		a.awaitSeated()
		time.Sleep(time.Second)
		began := time.Now()
		// The kernel is slow: that the VIP has to leave eth0 must not be forgotten
		// over what is wanted on eth1.
		a.set(func(h *host) { h.stall = 450 * time.Millisecond })
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], interface: eth1}, {name: ingress, interface: eth0, addresses: [192.0.2.20]}]`)
		await(t, "the VIP is on eth1", func() bool { return slices.Contains(a.listed("eth1"), "192.0.2.10/32") })
		if slices.Contains(a.listed("eth0"), "192.0.2.10/32") {
			t.Error("the VIP is on eth0 too")
		}
		l.untouched(began, "192.0.2.20")
		a.tells(
			"init -> backup: startup", "backup -> owner: nobody-heard",
			"owner -> backup: reload", "backup -> owner: nobody-heard",
		)
	})
}

func TestReloadOfTheVRID(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(two)
		began := time.Now()
		changed := `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {vrid: 77}}, {name: ingress, addresses: [192.0.2.20]}]`
		b.mustReload(changed)
		a.mustReload(changed)
		await(t, "one owner", func() bool { return a.seated() != b.seated() })
		l.untouched(began, "192.0.2.20")
		if got := a.story("apiserver")[2:]; len(got) < 2 || got[0] != "owner -> init: reload" || got[1] != "init -> backup: startup" {
			t.Errorf("story %v", got)
		}
	})
}

func TestReloadThatTakesAGroupAway(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.twins()
		began := time.Now()
		a.mustReload(apiserver)
		await(t, "the peer owns it", func() bool { return b.status("ingress").State == StateOwner })
		synctest.Wait()
		if diff := cmp.Diff([]string{"cp12"}, l.holders("192.0.2.20")); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		l.untouched(began, theVIP)
		if got := a.story("ingress"); got[len(got)-1] != "owner -> init: reload" {
			t.Errorf("story %v", got)
		}
		// Late news of a group that is gone disturb nobody.
		b.mustReload(apiserver)
		a.recover()
		time.Sleep(10 * time.Second)
		if got := l.holders("192.0.2.20"); len(got) > 0 {
			t.Errorf("holders %v", got)
		}
	})
}

// Groups without names are named by their place, so that names pass from group
// to group. Each keeps what is its own.
func TestReloadThatPassesNamesOn(t *testing.T) {
	group := func(last string) string { return `{addresses: [192.0.2.` + last + `]}` }
	file := func(lasts ...string) string {
		var groups []string
		for _, last := range lasts {
			groups = append(groups, group(last))
		}
		return "vips: [" + strings.Join(groups, ", ") + "]"
	}
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.node(11, file("10", "20", "30")), l.bare(12, file("10", "20", "30"))
		b.start()
		for _, name := range []string{"vip1", "vip2", "vip3"} {
			await(t, "an owner and a backup", func() bool {
				s, o := a.status(name), b.status(name)
				return s.State != o.State && s.Owner != "" && s.Owner == o.Owner
			})
		}
		time.Sleep(time.Minute)
		was := map[string][]string{}
		for _, addr := range []string{"192.0.2.10", "192.0.2.20", "192.0.2.30"} {
			was[addr] = l.holders(addr)
		}
		if got := a.drain(DrainRequest{VIP: "vip2"}).result(); got != DrainDone {
			t.Fatalf("result %s", got)
		}
		was["192.0.2.20"] = []string{"cp12"}
		began := time.Now()
		for _, n := range []*node{a, b} {
			n.mustReload(file("40", "30", "20", "10"))
		}
		time.Sleep(time.Minute)
		for addr, holders := range was {
			l.untouched(began, addr)
			if diff := cmp.Diff(holders, l.holders(addr)); diff != "" {
				t.Errorf("holders of %s (-want +got):\n%s", addr, diff)
			}
		}
		for name, addr := range map[string]string{"vip1": "192.0.2.40", "vip2": "192.0.2.30", "vip3": "192.0.2.20", "vip4": "192.0.2.10"} {
			if got := a.status(name).Addresses[0].String(); got != addr {
				t.Errorf("%s has %s, want %s", name, got, addr)
			}
			if drained := a.status(name).State == StateDrained; drained != (name == "vip3") {
				t.Errorf("%s drained: %v", name, drained)
			}
		}
		if _, marked := a.mark["vip3"]; !marked || len(a.mark) != 1 {
			t.Errorf("the mark is %v, want vip3", a.mark)
		}
	})
}

func TestReloadOfHealthChecksKeepsVerdicts(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		a.ail("extra", counter.Result{Ready: counter.OK})
		began := time.Now()
		a.mustReload(`
vips:
  - name: apiserver
    addresses: [192.0.2.10]
    health: [{}, {name: extra, type: exec, command: [/bin/true]}]`)
		time.Sleep(time.Minute)
		l.never(began, "cp11 adverts 100")
		s := a.status("apiserver")
		var got []string
		for _, c := range s.Health {
			got = append(got, c.Name)
		}
		if diff := cmp.Diff([]string{"apiserver", "extra"}, got); diff != "" || !s.Healthy {
			t.Errorf("healthy %v, checks (-want +got):\n%s", s.Healthy, diff)
		}
		// The new check decides as the first one does.
		a.ail("extra", counter.Result{Ready: counter.Refused, Reason: "exit status 1"})
		b.awaitSeated()
		// Without it the node is healthy.
		a.mustReload(apiserver)
		if !a.status("apiserver").Healthy {
			t.Error("a check that is gone decides")
		}
	})
}

func TestReloadOfTheLogLevel(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		level := &a.process.level
		a.mustReload("log: {level: warn}\n" + apiserver)
		if level.Level() != slog.LevelWarn {
			t.Errorf("after the reload the level is %v", level)
		}
		a.process.stop()
		synctest.Wait()
		if err := a.reload("log: {level: error}\n" + apiserver); !errors.Is(err, ErrStopping) {
			t.Fatalf("error %v", err)
		}
		if level.Level() != slog.LevelWarn {
			t.Errorf("after a reload that was refused the level is %v", level)
		}
	})
}

func TestBadReloadKeepsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, _ := l.pair(apiserver)
		loaded := a.process.agent.Loop().ReloadTime.Load()
		time.Sleep(time.Minute)
		began := time.Now()
		err := a.reload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {priority: 100}}]`)
		if err == nil || !strings.Contains(err.Error(), "vips[0].vrrp.priority") || !strings.Contains(err.Error(), "2") {
			t.Errorf("error %v", err)
		}
		loop := a.process.agent.Loop()
		if loop.ReloadOK.Load() || loop.ReloadTime.Load() != loaded {
			t.Errorf("reload ok %v at %d", loop.ReloadOK.Load(), loop.ReloadTime.Load())
		}
		time.Sleep(time.Minute)
		l.untouched(began, theVIP)
		if got := a.status("apiserver").Election.Priority; got != 200 {
			t.Errorf("priority %d", got)
		}
		a.mustReload(apiserver)
		if loop := a.process.agent.Loop(); !loop.ReloadOK.Load() || loop.ReloadTime.Load() != time.Now().Unix() {
			t.Error("a good reload does not mend that")
		}
	})
}

func TestReloadOnADrainedNode(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		a.drain(DrainRequest{}).result()
		since := a.process.agent.Status().DrainedSince
		time.Sleep(time.Minute)
		a.mustReload(two)
		await(t, "the new group is drained", func() bool { return a.status("ingress").State == StateDrained })
		if s := a.process.agent.Status(); !s.Drained || s.DrainedSince != since {
			t.Errorf("drained %v since %s, want since %s", s.Drained, s.DrainedSince, since)
		}
		if _, marked := a.mark["ingress"]; !marked {
			t.Error("the mark does not have the new group")
		}
		// A group that starts anew is as drained as it was.
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {vrid: 77}}]`)
		b.powerOff()
		time.Sleep(time.Minute)
		if !a.is(StateDrained) {
			t.Errorf("state %s", a.status("apiserver").State)
		}
		if _, marked := a.mark["ingress"]; marked {
			t.Error("the mark has a group that is gone")
		}
	})
}

func TestReloadDuringADrain(t *testing.T) {
	t.Run("the group is gone: the drain has nothing to wait for", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, two)
			a.awaitSeated()
			drain := a.drain(DrainRequest{VIP: "ingress"})
			time.Sleep(time.Second / 2)
			a.mustReload(apiserver)
			if got := drain.result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
			if len(a.mark) > 0 {
				t.Errorf("marked %v", a.mark)
			}
		})
	})
	t.Run("the group starts anew: it stays drained", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.awaitSeated()
			drain := a.drain(DrainRequest{Timeout: 20 * time.Second})
			time.Sleep(time.Second / 2)
			a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {vrid: 77}}]`)
			time.Sleep(10 * time.Second)
			if a.is(StateOwner) {
				t.Error("owns while it is being drained")
			}
			b := l.node(12, a.file)
			b.awaitSeated()
			if got := drain.result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
			a.awaitAt(StateDrained)
		})
	})
	t.Run("a group joins a node that is being drained", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.awaitSeated()
			drain := a.drain(DrainRequest{Timeout: 20 * time.Second})
			time.Sleep(time.Second / 2)
			a.mustReload(two)
			time.Sleep(10 * time.Second)
			if a.status("ingress").State == StateOwner {
				t.Error("owns while it is being drained")
			}
			if got := drain.result(); got != DrainNoSuccessor {
				t.Errorf("result %s", got)
			}
			await(t, "it owns afterwards", func() bool { return a.status("ingress").State == StateOwner })
		})
	})
}
