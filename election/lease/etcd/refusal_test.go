package etcd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/vipd/vipd/election/lease"
)

func theGroup() Group { return Group{Cluster: "kubernetes", VIP: "apiserver"} }

// granted is a lease, and the order to take the key by it.
func granted(t *testing.T, l *Leases) lease.Order {
	t.Helper()
	a := l.Call(t.Context(), theGroup(), lease.Order{Kind: lease.Renew, TTL: time.Minute, Timeout: 10 * time.Second})
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	return lease.Order{Kind: lease.Take, Lease: a.Lease, Owner: lease.Owner{Record: lease.Record{Node: "cp1"}, Term: 1}, Timeout: 10 * time.Second}
}

// refused compares what an order that etcd refuses tells.
func refused(t *testing.T, l *Leases, o lease.Order, cause error, want string) {
	t.Helper()
	a := l.Call(t.Context(), theGroup(), o)
	if !errors.Is(rpctypes.Error(a.Err), cause) && !errors.Is(a.Err, cause) || a.Done || a.Err == nil || !strings.Contains(a.Err.Error(), want) {
		t.Errorf("got %+v, want an error with %q", a, want)
	}
}

func TestAnEtcdWithoutSpaceSaysHowToMendIt(t *testing.T) {
	l := served(t, "--quota-backend-bytes", "65536")
	take := granted(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for full := false; !full; {
		_, err := l.client.etcd.Put(ctx, "filler", strings.Repeat("x", 8192))
		if full = errors.Is(err, rpctypes.ErrNoSpace); !full && err != nil {
			t.Fatal(err)
		}
	}
	refused(t, l, take, rpctypes.ErrNoSpace, "it has used up its space and refuses writes (alarm NOSPACE): etcdctl compact REVISION, etcdctl defrag, then etcdctl alarm disarm")
	read := l.Call(t.Context(), theGroup(), lease.Order{Kind: lease.Renew, Lease: take.Lease, Timeout: 10 * time.Second})
	if read.Err != nil {
		t.Errorf("who does not own renews without writing: %v", read.Err)
	}
	if now, err := l.client.Condition(t.Context()); err != nil || now.AlarmsErr != nil || now.KeysErr != nil || !slices.Equal(now.Alarms, []string{"NOSPACE"}) {
		t.Errorf("its condition: %+v, %v", now, err)
	}
}

func TestAnEtcdWithAuthenticationSaysWhatToGrant(t *testing.T) {
	l := served(t)
	take := granted(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	auth := l.client.etcd.Auth
	for _, do := range []func() error{
		func() error { _, err := auth.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := auth.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := auth.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	const want = "its authentication does not allow that: etcdctl role grant-permission ROLE readwrite --prefix=true /vipd/, for the user that the client certificate's common name says"
	refused(t, l, take, rpctypes.ErrUserEmpty, want)
	if now, err := l.client.Condition(t.Context()); err != nil || now.KeysErr == nil || !strings.Contains(now.KeysErr.Error(), want) {
		t.Errorf("its condition: %+v, %v", now, err)
	}
}

// Not even the log of etcd's members gets an entry.
func TestToAskForTheConditionWritesNothing(t *testing.T) {
	l := served(t)
	log := func() uint64 {
		status, err := pb.NewMaintenanceClient(l.client.etcd.ActiveConnection()).Status(t.Context(), &pb.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return status.RaftIndex
	}
	before := log()
	now, err := l.client.Condition(t.Context())
	if err != nil || now.AlarmsErr != nil || now.KeysErr != nil || len(now.Alarms) > 0 || len(now.Members) != 1 {
		t.Errorf("%+v, %v", now, err)
	}
	if after := log(); after != before {
		t.Errorf("the log grew from %d to %d", before, after)
	}
}
