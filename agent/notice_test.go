package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const notified = `vips: [{name: apiserver, addresses: [192.0.2.10], notify: [/bin/tell, us]}]`

// teller is a program that takes its time, and fails if told to.
type teller struct {
	takes time.Duration
	err   error

	mu   sync.Mutex
	told []string
}

// Finish implements Programs.
func (p *teller) Finish(ctx context.Context, command []string, variables ...string) error {
	line := strings.Join(append(command[1:], variables...), " ")
	end := ""
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		end = fmt.Sprintf(" killed: %v", context.Cause(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, strings.NewReplacer("us VIPD_VIP=apiserver VIPD_STATE=", "", "VIPD_REASON=", "", "VIPD_OWNER=", "").Replace(line)+end)
	return p.err
}

// all are the changes that the program was told.
func (p *teller) all() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// notifying adds a node whose changes p is told.
func (l *lan) notifying(last byte, p *teller) *node {
	n := l.bare(last, notified)
	n.edges = func(e *Edges) { e.Programs = p }
	n.start()
	return n
}

func TestNotifyTellsEachChangeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{takes: 300 * time.Millisecond}
		a := l.notifying(11, p)
		a.awaitSeated()
		b := l.node(12, apiserver)
		b.awaitReady()
		time.Sleep(time.Minute)
		a.drain(DrainRequest{})
		b.awaitSeated()
		a.awaitAt(StateDrained)
		if err := a.process.agent.Undrain(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		want := []string{
			"backup startup ",
			"owner nobody-heard 192.0.2.11",
			"drained drain 192.0.2.12",
			"backup undrain 192.0.2.12",
		}
		if diff := cmp.Diff(want, p.all()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestNotifyIsToldOfTheStop(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{takes: 500 * time.Millisecond}
		a := l.notifying(11, p)
		a.awaitSeated()
		b := l.node(12, apiserver)
		b.awaitReady()
		time.Sleep(time.Minute)
		a.terminate()
		told := p.all()
		if got, want := told[len(told)-1], "backup shutdown 192.0.2.12"; got != want {
			t.Errorf("the last change told is %q, want %q", got, want)
		}
	})
}

func TestAProgramThatHangsHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{takes: time.Hour}
		a := l.notifying(11, p)
		a.awaitSeated()
		time.Sleep(time.Minute)
		want := []string{
			"backup startup  killed: it took longer than 10s",
			"owner nobody-heard 192.0.2.11 killed: it took longer than 10s",
		}
		if diff := cmp.Diff(want, p.all()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		a.carrier("eth0", false)
		began := time.Now()
		a.terminate()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestTooManyChangesAreToldOnceAndTheLastOneIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{takes: 9 * time.Second}
		a := l.notifying(11, p)
		a.awaitSeated()
		const flaps = 20
		for range flaps {
			a.carrier("eth0", false)
			a.awaitAt(StateFault)
			a.carrier("eth0", true)
			a.awaitSeated()
		}
		time.Sleep(10 * time.Minute)
		told := p.all()
		if got, want := told[len(told)-1], "owner nobody-heard 192.0.2.11"; got != want {
			t.Errorf("the last change told is %q, want %q", got, want)
		}
		if len(told) >= 2*flaps {
			t.Errorf("%d changes were told; were they not too many?", len(told))
		}
		a.loggedTimes("the notify command does not keep up; the oldest changes are left out", 1)
	})
}

func TestAProgramThatFailsIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{err: errors.New("exit status 1: no such channel")}
		a := l.notifying(11, p)
		a.awaitSeated()
		a.loggedTimes("a notify command did not do its work", 2)
		if lines := a.logged("no such channel"); len(lines) != 2 {
			t.Errorf("logged: %q", lines)
		}
	})
}

func TestNotifyFollowsAReload(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		p := &teller{}
		a := l.notifying(11, p)
		a.awaitSeated()
		before := len(p.all())
		a.mustReload(apiserver)
		a.carrier("eth0", false)
		a.awaitAt(StateFault)
		if told := p.all(); len(told) != before {
			t.Errorf("told although the key is gone: %q", told[before:])
		}
		a.mustReload(notified)
		a.carrier("eth0", true)
		a.awaitSeated()
		if told := p.all(); len(told) == before {
			t.Error("not told although the key is back")
		}
	})
}
