package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drainage is a drain that a test began.
type drainage struct {
	t      *testing.T
	cancel func()
	ended  chan struct{}
	got    DrainResult
	err    error
	lines  []DrainProgress
}

// drain begins to drain the node.
func (n *node) drain(r DrainRequest) *drainage {
	ctx, cancel := context.WithCancel(n.t.Context())
	d := &drainage{t: n.t, cancel: cancel, ended: make(chan struct{})}
	a := n.process.agent
	go func() {
		defer close(d.ended)
		d.got, d.err = a.Drain(ctx, r, func(p DrainProgress) { d.lines = append(d.lines, p) })
	}()
	return d
}

// result waits for the end of a drain that must not fail.
func (d *drainage) result() DrainResult {
	d.t.Helper()
	<-d.ended
	if d.err != nil {
		d.t.Errorf("drain: %v", d.err)
	}
	return d.got
}

// told compares what the drain told with what it should.
func (d *drainage) told(want ...string) {
	d.t.Helper()
	<-d.ended
	var got []string
	for _, line := range d.lines {
		got = append(got, line.VIP+": "+line.Message)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestDrainWithASuccessor(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		began := time.Now()
		drain := a.drain(DrainRequest{})
		if got := drain.result(); got != DrainDone {
			t.Errorf("result %s", got)
		}
		if l.reaches(theVIP) != "cp12" || !b.is(StateOwner) {
			t.Errorf("done, but the client reaches %q", l.reaches(theVIP))
		}
		l.saw(began,
			"cp11 adverts 1",
			"cp12 gets 192.0.2.10",
			"cp12 announces 192.0.2.10",
			"cp12 adverts 200",
			"cp11 loses 192.0.2.10",
		)
		drain.told("apiserver: draining; serving on until a successor is heard", "apiserver: moved to 192.0.2.12")
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> drained: drain")
		b.tells("init -> backup: startup", "backup -> owner: owner-draining")
		l.unbroken()
		b.powerOff()
		time.Sleep(time.Minute)
		if !a.is(StateDrained) || len(l.holders(theVIP)) > 0 {
			t.Error("a drained node took the VIP")
		}
	})
}

func TestDrainWithoutASuccessor(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		began := time.Now()
		drain := a.drain(DrainRequest{Timeout: 10 * time.Second})
		if got := drain.result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		drain.told(
			"apiserver: draining; serving on until a successor is heard",
			"apiserver: no successor yet; advertising priority 0 while serving on",
			"apiserver: no healthy successor was heard; this node serves on",
		)
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard")
		if s := a.process.agent.Status(); s.Drained || s.VIPs[0].Election.Band != "healthy" {
			t.Errorf("drained %v, band %s", s.Drained, s.VIPs[0].Election.Band)
		}
		if len(a.mark) > 0 {
			t.Errorf("marked as drained: %v", a.mark)
		}
		l.unbroken()
	})
}

func TestUnhealthyBackupIsNoSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.die()
		if got := a.drain(DrainRequest{}).result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if !a.seated() {
			t.Error("the VIP is not where it was")
		}
		l.unbroken()
	})
}

func TestForcedDrain(t *testing.T) {
	t.Run("a lone owner gives up", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.awaitSeated()
			drain := a.drain(DrainRequest{Force: true})
			if got := drain.result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
			if got := l.holders(theVIP); len(got) > 0 {
				t.Errorf("done, but %v has the VIP", got)
			}
			drain.told(
				"apiserver: draining; serving on until a successor is heard",
				"apiserver: no successor yet; advertising priority 0 while serving on",
				"apiserver: given up without a healthy successor",
			)
			a.tells("init -> backup: startup", "backup -> owner: nobody-heard", "owner -> drained: forced")
		})
	})
	t.Run("within a timeout that is shorter than the patience with neighbours", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.awaitSeated()
			if got := a.drain(DrainRequest{Force: true, Timeout: 500 * time.Millisecond}).result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
			if got := l.holders(theVIP); len(got) > 0 {
				t.Errorf("done, but %v has the VIP", got)
			}
		})
	})
	t.Run("with a successor it moves without a gap", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			if got := a.drain(DrainRequest{Force: true}).result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
			b.awaitSeated()
			l.unbroken()
		})
	})
	t.Run("a node that holds nothing is done at once", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.node(11, apiserver)
			a.carrier("eth0", false)
			a.awaitAt(StateFault)
			began := time.Now()
			drain := a.drain(DrainRequest{Force: true})
			if got := drain.result(); got != DrainDone || time.Since(began) > 0 {
				t.Errorf("result %s after %v", got, time.Since(began))
			}
			drain.told("apiserver: this node does not hold it, and no healthy owner is heard")
		})
	})
}

func TestCancelledDrainIsUndone(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		drain := a.drain(DrainRequest{})
		time.Sleep(5 * time.Second)
		drain.cancel()
		if got := drain.result(); got != DrainCancelled {
			t.Errorf("result %s", got)
		}
		if s := a.status("apiserver"); s.State != StateOwner || s.Election.Band != "healthy" {
			t.Errorf("state %s, band %s", s.State, s.Election.Band)
		}
		a.tells("init -> backup: startup", "backup -> owner: nobody-heard")
	})
}

func TestCallerThatIsGoneDrainsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		if _, err := a.process.agent.Drain(ended(), DrainRequest{}, func(DrainProgress) {}); err == nil {
			t.Error("a caller that is gone got an answer")
		}
		time.Sleep(time.Minute)
		if !a.seated() || b.is(StateOwner) {
			t.Error("the VIP moved")
		}
	})
}

func TestDrainOfANodeThatDoesNotOwn(t *testing.T) {
	t.Run("a healthy owner is heard: done at once", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			_, b := l.pair(apiserver)
			began := time.Now()
			drain := b.drain(DrainRequest{})
			if got := drain.result(); got != DrainDone || time.Since(began) > 0 {
				t.Errorf("result %s after %v", got, time.Since(began))
			}
			drain.told("apiserver: this node does not hold it; 192.0.2.11 serves")
			b.tells("init -> backup: startup", "backup -> drained: drain")
		})
	})
	t.Run("the owner is unhealthy: no successor", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			b.die()
			a.die()
			time.Sleep(time.Second)
			drain := b.drain(DrainRequest{Timeout: 10 * time.Second})
			if got := drain.result(); got != DrainNoSuccessor {
				t.Errorf("result %s", got)
			}
			drain.told("apiserver: no healthy successor was heard; this node does not hold the VIP and may take it again")
			b.tells("init -> backup: startup")
		})
	})
	t.Run("the owner gets well meanwhile: done", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			b.die()
			a.die()
			drain := b.drain(DrainRequest{})
			time.Sleep(5 * time.Second)
			a.recover()
			if got := drain.result(); got != DrainDone {
				t.Errorf("result %s", got)
			}
		})
	})
}

const two = `vips: [{name: apiserver, addresses: [192.0.2.10]}, {name: ingress, addresses: [192.0.2.20]}]`

// twins starts two nodes with two groups, both owned by the first.
func (l *lan) twins() (owner, backup *node) {
	l.t.Helper()
	owner, backup = l.pair(two)
	for _, n := range []*node{owner, backup} {
		want := StateBackup
		if n == owner {
			want = StateOwner
		}
		await(l.t, "ingress settles", func() bool { return n.status("ingress").State == want })
	}
	return owner, backup
}

func TestDrainOfOneOfTwoVIPs(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.twins()
		if got := a.drain(DrainRequest{VIP: "ingress"}).result(); got != DrainDone {
			t.Errorf("result %s", got)
		}
		if !a.seated() || b.status("ingress").State != StateOwner || a.status("ingress").State != StateDrained {
			t.Error("another VIP moved, or this one did not")
		}
		if a.process.agent.Status().Drained {
			t.Error("a node with one of two VIPs drained counts as drained")
		}
		if got := a.drain(DrainRequest{VIP: "apiserver"}).result(); got != DrainDone {
			t.Errorf("result %s", got)
		}
		s := a.process.agent.Status()
		if want := a.mark["apiserver"].UTC().Format(time.RFC3339); !s.Drained || s.DrainedSince != want {
			t.Errorf("drained %v since %q, want since %q", s.Drained, s.DrainedSince, want)
		}
	})
}

func TestDrainOfTwoVIPsOfWhichOneHasNoSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.node(11, two), l.bare(12, apiserver)
		a.awaitSeated()
		b.start()
		b.awaitReady()
		if got := a.drain(DrainRequest{Timeout: 10 * time.Second}).result(); got != DrainNoSuccessor {
			t.Errorf("result %s", got)
		}
		if !b.seated() || a.status("ingress").State != StateOwner {
			t.Error("what moved is not there, or what stayed is not here")
		}
		a.tells(
			"init -> backup: startup", "backup -> owner: nobody-heard",
			"owner -> drained: drain", "drained -> backup: undrain",
		)
		b.powerOff()
		a.awaitSeated()
	})
}

func TestDrainOfAnUnknownVIP(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		drain := a.drain(DrainRequest{VIP: "nosuch"})
		<-drain.ended
		var unknown *UnknownVIPError
		if !errors.As(drain.err, &unknown) || unknown.Name != "nosuch" {
			t.Errorf("error %v", drain.err)
		}
		if err := a.process.agent.Undrain(t.Context(), "nosuch"); !errors.As(err, &unknown) {
			t.Errorf("undrain: error %v", err)
		}
	})
}

func TestDrainedMarkSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		a.drain(DrainRequest{}).result()
		since := a.process.agent.Status().DrainedSince
		a.kill()
		time.Sleep(time.Minute)
		a.start()
		a.awaitAt(StateDrained)
		a.tells("init -> drained: startup")
		if s := a.process.agent.Status(); !s.Drained || s.DrainedSince != since {
			t.Errorf("drained %v since %q, want since %q", s.Drained, s.DrainedSince, since)
		}
		time.Sleep(2 * time.Second) // it has heard the owner
		b.powerOff()
		time.Sleep(time.Minute)
		if len(l.holders(theVIP)) > 0 {
			t.Error("a drained node took the VIP")
		}
		if err := a.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Error(err)
		}
		a.awaitSeated()
		a.tells("init -> drained: startup", "drained -> backup: undrain", "backup -> owner: owner-silent")
		a.kill()
		a.start()
		a.awaitSeated()
	})
}

func TestMarkThatCannotBeKept(t *testing.T) {
	t.Run("read: the node counts as drained", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a := l.bare(11, apiserver)
			a.unreadable = errors.New("input/output error")
			a.start()
			a.awaitAt(StateDrained)
			time.Sleep(time.Minute)
			if !a.process.agent.Status().Drained || len(l.holders(theVIP)) > 0 {
				t.Error("the node is not drained")
			}
			if err := a.process.agent.Undrain(t.Context(), ""); err != nil {
				t.Error(err)
			}
			a.awaitSeated()
		})
	})
	t.Run("written: the drain is done and says what is wrong", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lan) {
			a, b := l.pair(apiserver)
			a.set(func(*host) { a.unwritable = errors.New("no space left on device") })
			drain := a.drain(DrainRequest{})
			<-drain.ended
			if drain.got != DrainDone || !errors.Is(drain.err, a.unwritable) {
				t.Errorf("result %q, error %v", drain.got, drain.err)
			}
			b.awaitSeated()
		})
	})
}

func TestTwoNodesThatDrainAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		first, second := a.drain(DrainRequest{}), b.drain(DrainRequest{Timeout: 31 * time.Second})
		results := []DrainResult{first.result(), second.result()}
		if diff := cmp.Diff([]DrainResult{DrainNoSuccessor, DrainDone}, results); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if !a.seated() {
			t.Error("the VIP is not where it was")
		}
		l.unbroken()
	})
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		first, second := a.drain(DrainRequest{}), b.drain(DrainRequest{})
		if first.result() != DrainNoSuccessor && second.result() != DrainNoSuccessor {
			t.Error("both nodes are drained")
		}
		time.Sleep(time.Minute)
		if !a.seated() && !b.seated() {
			t.Error("nobody serves")
		}
		l.unbroken()
	})
}

func TestTwoDrainsOfOneVIP(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.die()
		long, short := a.drain(DrainRequest{Timeout: time.Minute}), a.drain(DrainRequest{VIP: "apiserver", Timeout: 5 * time.Second})
		if got := short.result(); got != DrainNoSuccessor {
			t.Errorf("result of the short one %s", got)
		}
		if got := a.status("apiserver").Election.Band; got != "resigned" {
			t.Errorf("band %s while the long drain goes on, want resigned", got)
		}
		b.recover()
		if got := long.result(); got != DrainDone {
			t.Errorf("result of the long one %s", got)
		}
		l.unbroken()
	})
}

func TestUndrainCancelsADrainThatRuns(t *testing.T) {
	hushedBubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		b.die()
		drain := a.drain(DrainRequest{})
		time.Sleep(3 * time.Second)
		if err := a.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Error(err)
		}
		if got := drain.result(); got != DrainCancelled {
			t.Errorf("result %s", got)
		}
		b.recover()
		time.Sleep(time.Minute)
		if s := a.status("apiserver"); s.State != StateOwner || s.Election.Band != "healthy" {
			t.Errorf("state %s, band %s", s.State, s.Election.Band)
		}
	})
}
