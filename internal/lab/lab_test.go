package lab_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

// patience is for things that take well under a second on an idle machine.
const patience = 20 * time.Second

func TestEveryHostReachesEveryOther(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2, Router: true}, "ping")
	hosts := []*lab.Host{l.Hosts[0], l.Hosts[1], l.Client, l.Router, l.Remote}
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			for _, addr := range []netip.Addr{to.Addr4, to.Addr6} {
				if err := ping(t, from, addr.String()); err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			}
		}
	}
	if err := ping(t, l.Hosts[0], "ff02::1%eth0"); err != nil {
		t.Errorf("by link-local multicast: %v", err)
	}
}

// A pod's packets bear its host's address, so that hosts answer without a route to
// pods.
func TestPodsReachEverybody(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2, Router: true}, "ping")
	for _, h := range l.Hosts {
		pod, err := l.AddPod(labtest.Context(t, patience), h)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []*lab.Host{l.Hosts[0], l.Hosts[1], l.Client, l.Remote} {
			for _, addr := range []netip.Addr{to.Addr4, to.Addr6} {
				if err := ping(t, pod, addr.String()); err != nil {
					t.Errorf("%s to %s: %v", pod, to, err)
				}
			}
		}
	}
	if _, err := l.AddPod(labtest.Context(t, patience), l.Client); err == nil {
		t.Error("the client got a pod")
	}
}

func TestTwoLabsDoNotMeet(t *testing.T) {
	a := labtest.New(t, lab.Options{Hosts: 2}, "ping")
	b := labtest.New(t, lab.Options{Hosts: 1})
	if err := ping(t, b.Hosts[0], a.Hosts[1].Addr4.String()); err == nil {
		t.Error("a host of one lab reaches a host that only the other lab has")
	}
}

func ping(t *testing.T, from *lab.Host, addr string) error {
	t.Helper()
	_, err := from.Run(labtest.Context(t, patience), "ping", "-c", "1", "-W", "1", addr)
	return err
}

func TestAwaitTellsTheLastAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := lab.Await(ctx, "the sun", func() error { return errors.New("still dark") })
	if want := "wait for the sun: context canceled: still dark"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
