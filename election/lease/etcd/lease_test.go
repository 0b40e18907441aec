package etcd

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/vipd/vipd/election/lease"
	"github.com/vipd/vipd/election/lease/leasetest"
)

// server runs Debian's etcd(1) on the loopback interface, with more flags, and returns
// its URL.
func server(t *testing.T, flags ...string) string {
	t.Helper()
	program, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("etcd is not installed: apt-get install etcd-server")
	}
	client, peer := "http://"+freePort(t), "http://"+freePort(t)
	cmd := exec.Command(program, append(flags, "--data-dir", t.TempDir(), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error", "--unsafe-no-fsync")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it is ours
		_ = cmd.Wait()         // killed
	})
	return client
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// way is the way of a node to a group.
type way struct {
	*Leases
	group Group
}

func (w way) Call(ctx context.Context, o lease.Order) lease.Answer {
	return w.Leases.Call(ctx, w.group, o)
}

func (w way) Watch(ctx context.Context, seen func(lease.View), trouble func(error)) {
	w.Leases.Watch(ctx, w.group, seen, trouble)
}

func TestLeases(t *testing.T) {
	leases, n := served(t), 0
	leasetest.Contract(t, func(t *testing.T, test func(*testing.T)) { test(t) }, func(*testing.T) (_, _ leasetest.Caller) {
		n++
		cluster := fmt.Sprintf("kubernetes%d", n)
		return way{leases, Group{Cluster: cluster, VIP: "vip1"}}, way{leases, Group{Cluster: cluster, VIP: "vip2"}}
	})
}

// served are leases of a server that answers.
func served(t *testing.T, flags ...string) *Leases {
	t.Helper()
	client, err := Open(Config{Endpoints: []string{server(t, flags...)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	leases := NewLeases(client)
	awaitServer(t, leases)
	return leases
}

func awaitServer(t *testing.T, l *Leases) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l.Watch(ctx, Group{Cluster: "none", VIP: "none"}, func(lease.View) { cancel() }, func(error) {})
	if t.Context().Err() != nil {
		t.Fatal("etcd does not answer")
	}
}
