package etcdcluster

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func newCluster(t *testing.T, l *lab.Lab) *Cluster {
	t.Helper()
	c, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A cluster's life: three members, one of them killed, frozen, removed; a fourth
// joins; a snapshot brings all back.
func TestLife(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 4}, "etcd", "etcdctl")
	c := newCluster(t, l)
	ctx := labtest.Context(t, 2*time.Minute)
	must(t, c.Start(ctx, l.Hosts[:3]...))
	client, err := c.Client(l.Hosts[1])
	must(t, err)
	_, err = client.Put(ctx, "kept", "1")
	must(t, err)
	file := filepath.Join(l.Dir, "snapshot")
	must(t, c.Save(ctx, l.Hosts[1], file))
	_, err = client.Put(ctx, "kept", "2")
	must(t, err)

	must(t, c.Lead(ctx, l.Hosts[0]))
	must(t, c.Kill(ctx, l.Hosts[0]))
	next, err := c.Leader(ctx)
	must(t, err)
	if next == l.Hosts[0] {
		t.Errorf("the leader is dead, and still %s", next)
	}
	must(t, c.Run(ctx, l.Hosts[0]))

	must(t, c.Freeze(next))
	after, err := c.Leader(ctx)
	must(t, err)
	if after == next {
		t.Errorf("the leader is frozen, and still %s", next)
	}
	must(t, c.Thaw(next))

	must(t, c.Join(ctx, l.Hosts[3]))
	must(t, c.Remove(ctx, l.Hosts[0]))
	list, err := client.MemberList(ctx)
	must(t, err)
	var names []string
	for _, m := range list.Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	if want := []string{"cp2", "cp3", "cp4"}; !slices.Equal(names, want) {
		t.Errorf("members are %v, want %v", names, want)
	}

	must(t, c.Restore(ctx, file, l.Hosts[:3]...))
	kept, err := client.Get(ctx, "kept")
	must(t, err)
	if len(kept.Kvs) != 1 || string(kept.Kvs[0].Value) != "1" {
		t.Errorf("the snapshot holds 1, the cluster %v", kept.Kvs)
	}
}
