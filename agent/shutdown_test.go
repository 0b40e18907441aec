package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// goingDown collects what a watcher of the node is told until it stops.
func (n *node) goingDown() func() []string {
	var lines []string
	ended := make(chan struct{})
	a := n.process.agent
	go func() {
		defer close(ended)
		err := a.Watch(n.t.Context(), func(e Entry) error {
			if e.From != e.To {
				lines = append(lines, tale(e.From, e.To, e.Reason))
			}
			return nil
		})
		if !errors.Is(err, ErrStopping) {
			n.t.Errorf("the watch ended with %v", err)
		}
	}()
	synctest.Wait()
	return func() []string { <-ended; return lines }
}

func TestStopWithAPeer(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		told := a.goingDown()
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		l.saw(began,
			"cp11 adverts 1",
			"cp12 gets 192.0.2.10",
			"cp12 announces 192.0.2.10",
			"cp12 adverts 200",
			"cp11 loses 192.0.2.10",
		)
		if diff := cmp.Diff([]string{"owner -> backup: shutdown"}, told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := a.process.agent.Status().VIPs[0].State; got != StateBackup {
			t.Errorf("last state %s", got)
		}
		b.awaitSeated()
		l.unbroken()
	})
}

func TestStopAlone(t *testing.T) {
	t.Run("the address is left to its fence", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.awaitSeated()
			time.Sleep(time.Minute)
			began := time.Now()
			a.terminate()
			if took := time.Since(began); took != time.Second {
				t.Errorf("took %v", took)
			}
			l.never(began, "cp11 loses")
			if diff := cmp.Diff([]string{"cp11"}, l.holders(theVIP)); diff != "" {
				t.Errorf("holders after the stop (-want +got):\n%s", diff)
			}
			await(t, "the kernel removes it", func() bool { return len(l.holders(theVIP)) == 0 })
		})
	})
	t.Run("without a fence the address is taken off", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, `vips: [{name: apiserver, addresses: [192.0.2.10], fence: 0s}]`)
			a.awaitSeated()
			time.Sleep(time.Hour)
			l.unbroken()
			told := a.goingDown()
			a.terminate()
			if got := l.holders(theVIP); len(got) > 0 {
				t.Errorf("stopped, and %v still has the VIP", got)
			}
			if diff := cmp.Diff([]string{"owner -> backup: shutdown"}, told()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("an unhealthy peer takes over when the adverts end", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			b.die()
			a.terminate()
			if !cmp.Equal([]string{"cp11"}, l.holders(theVIP)) {
				t.Error("the unhealthy peer took the VIP from an owner that still served")
			}
			b.awaitSeated()
		})
	})
}

func TestStopWaitsNoLongerThanItsBudget(t *testing.T) {
	const slow = `
drain: {shutdown_timeout: 3s}
vips:
  - {name: apiserver, addresses: [192.0.2.10], vrrp: {advert_interval: 1s}}
  - {name: ingress, addresses: [192.0.2.20]}
`
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, slow)
		a.awaitSeated()
		await(t, "the owner of ingress", func() bool { return a.status("ingress").State == StateOwner })
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want the budget of 3s", took)
		}
	})
	t.Run("with sessions with routers, which are ended within it", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			beside := strings.Replace(slow, "vips:", "bgp: {asn: 64512, neighbors: [{address: 192.0.2.1, asn: 64500}]}\nvips:\n  - {name: routed, addresses: [198.51.100.10], announce: bgp, election: none}", 1)
			a, _ := l.routedNode(beside)
			a.start()
			a.awaitSeated()
			await(t, "the owner of ingress", func() bool { return a.status("ingress").State == StateOwner })
			began := time.Now()
			a.terminate()
			if took, left := time.Since(began), a.process.agent.TimeLeft(); took != 2250*time.Millisecond || left != 750*time.Millisecond {
				t.Errorf("took %v, and %v are left of 3s; want 750ms", took, left)
			}
		})
	})
	t.Run("a kernel that does not answer", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(`
drain: {shutdown_timeout: 2s}
vips: [{name: apiserver, addresses: [192.0.2.10]}]`)
			a.set(func(h *host) { h.stall = 10 * time.Second })
			began := time.Now()
			a.terminate()
			// What the kernel was asked to do is waited for all the same: a process
			// that is killed there is no worse off.
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("took %v", took)
			}
			b.awaitSeated()
		})
	})
}

// One of two groups finds its successor at once: the loop must wait for the
// other without spinning, which in a bubble would stop the clock.
func TestStopOfTwoGroupsOfWhichOneHasAPeer(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `
vips:
  - {name: apiserver, addresses: [192.0.2.10]}
  - {name: ingress, addresses: [192.0.2.20], vrrp: {advert_interval: 1s}}
`)
		b := l.bare(12, apiserver)
		a.awaitSeated()
		await(t, "the owner of ingress", func() bool { return a.status("ingress").State == StateOwner })
		b.start()
		b.awaitReady()
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v, want the default budget of 4s", took)
		}
		b.awaitSeated()
	})
}

func TestStopEndsADrain(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.die()
		drain := a.drain(DrainRequest{})
		time.Sleep(3 * time.Second) // priority 0 by now
		b.recover()
		b.set(func(h *host) { h.stall = 200 * time.Millisecond })
		stopped := time.Now()
		a.terminate()
		<-drain.ended
		if drain.got != DrainCancelled || drain.err != nil {
			t.Errorf("result %q, error %v", drain.got, drain.err)
		}
		l.never(stopped, "cp11 adverts 1")
		l.never(stopped, "cp11 adverts 200")
		b.awaitSeated()
	})
}

func TestNothingBeginsAfterTheStopBegan(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		agent := a.process.agent
		a.process.stop()
		synctest.Wait()
		if _, err := agent.Drain(t.Context(), DrainRequest{}, func(DrainProgress) {}); !errors.Is(err, ErrStopping) {
			t.Errorf("drain: error %v", err)
		}
		if err := agent.Undrain(t.Context(), ""); !errors.Is(err, ErrStopping) {
			t.Errorf("undrain: error %v", err)
		}
		if err := a.reload(two); !errors.Is(err, ErrStopping) {
			t.Errorf("reload: error %v", err)
		}
		if !agent.loop.ReloadOK.Load() {
			t.Error("a reload that came too late counts as a bad one")
		}
		<-a.process.ended
		if err := agent.Alive(t.Context()); !errors.Is(err, ErrStopping) {
			t.Errorf("alive: error %v", err)
		}
		// Late edges are not kept waiting.
		for range 2 * cap(agent.events) {
			agent.Post(t.Context(), InterfacesKnown{})
		}
	})
}

func TestInterfaceThatComesBackDuringAStopIsNotClaimed(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, `
drain: {shutdown_timeout: 10s}
vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {advert_interval: 1s}}]`)
		a.awaitSeated()
		a.carrier("eth0", false)
		a.awaitAt(StateFault)
		a.carrier("eth0", true)
		a.awaitSeated()
		stopped := time.Now()
		a.process.stop()
		synctest.Wait()
		a.carrier("eth0", false)
		synctest.Wait()
		a.carrier("eth0", true)
		<-a.process.ended
		l.never(stopped, "cp11 gets")
	})
}
