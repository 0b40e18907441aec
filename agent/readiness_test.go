package agent

import (
	"context"
	"testing"
	"time"

	"github.com/vipd/vipd/health/counter"
)

const balanced = `
vips: [{name: apiserver, addresses: [192.0.2.10]}]
drain: {shutdown_timeout: 4s}
readiness: {listen: ":9652", drain_wait: 3s}`

// ready is what a balancer is told; empty: the node is ready.
func (n *node) ready() string {
	if err := n.process.agent.Ready(n.t.Context()); err != nil {
		return err.Error()
	}
	return ""
}

func TestReady(t *testing.T) {
	const (
		drained   = "apiserver is drained from this node"
		unhealthy = "apiserver is unhealthy on this node: check apiserver: refused"
	)
	tests := []struct {
		name string
		do   func(t *testing.T, a, b *node)
		want string
	}{
		{"the owner", func(*testing.T, *node, *node) {}, ""},
		{"unhealthy", func(_ *testing.T, a, _ *node) {
			a.ail("apiserver", counter.Result{Ready: counter.Refused, Reason: "refused"})
			await(a.t, "it is unhealthy", func() bool { return !a.status("apiserver").Healthy })
		}, unhealthy},
		{"healthy again", func(_ *testing.T, a, _ *node) {
			a.ail("apiserver", counter.Result{Ready: counter.Refused, Reason: "refused"})
			await(a.t, "it is unhealthy", func() bool { return !a.status("apiserver").Healthy })
			a.recover()
			await(a.t, "it is healthy", func() bool { return a.status("apiserver").Healthy })
		}, ""},
		{"at fault for the VIP, with a healthy API server", func(_ *testing.T, a, _ *node) {
			a.carrier("eth0", false)
			a.awaitAt(StateFault)
		}, ""},
		{"drained", func(_ *testing.T, a, _ *node) { a.drain(DrainRequest{}).result() }, drained},
		{"drained, and the daemon was started again", func(_ *testing.T, a, _ *node) {
			a.drain(DrainRequest{}).result()
			a.terminate()
			a.start()
			a.awaitAt(StateDrained)
		}, drained},
		{"undrained", func(t *testing.T, a, _ *node) {
			a.drain(DrainRequest{}).result()
			if err := a.process.agent.Undrain(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a drain that nobody can take over from", func(_ *testing.T, a, b *node) {
			b.ail("apiserver", counter.Result{Ready: counter.Refused})
			await(a.t, "b is unhealthy", func() bool { return !b.status("apiserver").Healthy })
			a.drain(DrainRequest{Timeout: 5 * time.Second}).result()
		}, ""},
		{"stopped", func(_ *testing.T, a, _ *node) { a.terminate() }, "the event loop does not answer: vipd is stopping"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(balanced)
				test.do(t, a, b)
				if got := a.ready(); got != test.want {
					t.Errorf("owner: got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestABackupIsReady(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		_, b := l.pair(balanced)
		if got := b.ready(); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

func TestADrainWaitsForBalancers(t *testing.T) {
	tests := []struct {
		name string
		file string
		// first is done before the drain.
		first func(a, b *node)
		want  bool
	}{
		{"of an owner", balanced, func(*node, *node) {}, true},
		{"of a node that holds nothing", balanced, func(a, b *node) { a.move(b) }, true},
		{"of a node that was drained before", balanced, func(a, _ *node) { a.drain(DrainRequest{}).result() }, false},
		{"without readiness.listen", apiserver, func(*node, *node) {}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(test.file)
				test.first(a, b)
				began := time.Now()
				d := a.drain(DrainRequest{})
				await(t, "it is not ready", func() bool { return a.ready() != "" })
				if got := d.result(); got != DrainDone {
					t.Errorf("result %q", got)
				}
				if waited := time.Since(began) >= 3*time.Second; waited != test.want {
					t.Errorf("took %v; waited: %v, want %v", time.Since(began), waited, test.want)
				}
				l.unbroken()
			})
		})
	}
}

func TestADrainThatIsCancelledWhileBalancersLookIsUndone(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(balanced)
		d := a.drain(DrainRequest{})
		b.awaitSeated()
		d.cancel()
		if got := d.result(); got != DrainCancelled {
			t.Errorf("result %q", got)
		}
		if got := a.ready(); got != "" {
			t.Errorf("not ready: %q", got)
		}
	})
}

func TestADrainThatOnlyBalancersHaveToSeeIsDoneWhenTheDaemonStops(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(balanced)
		d := a.drain(DrainRequest{})
		b.awaitSeated()
		time.Sleep(time.Second) // of the three that balancers are given
		a.terminate()
		if got := d.result(); got != DrainDone {
			t.Errorf("result %q", got)
		}
		a.start()
		a.awaitAt(StateDrained)
		l.unbroken()
	})
}

func TestAStopWaitsForBalancers(t *testing.T) {
	tests := []struct {
		name string
		file string
		do   func(a *node)
		want time.Duration
	}{
		{"for drain_wait", balanced, func(*node) {}, 3 * time.Second},
		{"for no longer than shutdown_timeout", balanced + "\n", func(a *node) {
			a.mustReload(`
vips: [{name: apiserver, addresses: [192.0.2.10]}]
drain: {shutdown_timeout: 4s}
readiness: {listen: ":9652", drain_wait: 1m}`)
		}, 4 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(test.file)
				test.do(a)
				began := time.Now()
				stopping := make(chan error, 1)
				go func() {
					time.Sleep(time.Second)
					stopping <- a.process.agent.Ready(context.Background())
				}()
				a.terminate()
				if took := time.Since(began); took != test.want {
					t.Errorf("took %v, want %v", took, test.want)
				}
				if err := <-stopping; err == nil {
					t.Error("it was ready a second after the stop began")
				}
				b.awaitSeated()
				l.unbroken()
			})
		})
	}
}
