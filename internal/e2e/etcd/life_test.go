package etcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/wire"
)

// The life of a cluster whose etcd elects, from the first host to a power-off of
// all. Two never answer for the VIP, and no planned step loses anything.
func TestTheLifeOfACluster(t *testing.T) {
	s := open(t, 3, byEtcd...)
	s.serve()
	one, two, three := s.Hosts[0], s.Hosts[1], s.Hosts[2]

	s.part("before kubeadm init, VRRP elects", func(s *stage) {
		s.vipd(one)
		s.awaitOwner(one)
		w := s.watch()
		s.vipd(two)
		s.awaitBackup(two, one)
		s.apiserver(one)
		s.awaitHealthy(one)
		s.measure()
		for _, h := range []*lab.Host{one, two} {
			s.await(h, "bootstrap", func(v agent.VIPStatus) bool { return v.Election.Lease.Bootstrapping })
		}
		s.always(w)
	})
	s.part("kubeadm init: the owner takes the lease", func(s *stage) {
		w := s.watch()
		s.lossless(func() {
			s.must(s.etcd.Start(s.ctx, one))
			s.awaitLease(one)
		})
		s.awaitBackup(two, one)
		s.always(w)
	})
	s.part("a host that does not reach etcd, and is deaf to adverts, does not claim", func(s *stage) {
		w := s.watch()
		undo := s.deaf(three)
		s.lossless(func() {
			s.vipd(three)
			s.await(three, "find that another one answers for the VIP", func(v agent.VIPStatus) bool { return v.Reason == election.VIPAnswered })
			undo()
			s.awaitBackup(three, one)
		})
		s.always(w)
	})
	s.part("kubeadm join of two more: etcd elects there, too", func(s *stage) {
		w := s.watch()
		s.lossless(func() {
			for _, h := range []*lab.Host{two, three} {
				s.must(s.etcd.Join(s.ctx, h))
				s.apiserver(h)
				s.await(h, "be told by etcd", func(v agent.VIPStatus) bool { return !v.Election.Lease.Bootstrapping })
			}
			s.settle()
		})
		s.awaitBackup(two, one)
		s.always(w)
	})
	s.part("vipd drain and kubeadm reset on the owner", func(s *stage) {
		s.lossless(func() {
			s.command(one, "drain")
			s.must(s.etcd.Remove(s.ctx, one))
			s.await(one, "miss etcd", func(v agent.VIPStatus) bool { return v.Election.Lease.Error != "" })
		})
		s.await(one, "stay off", func(v agent.VIPStatus) bool {
			return v.State != agent.StateOwner && !v.Election.Lease.Bootstrapping
		})
	})
	s.part("the host joins again", func(s *stage) {
		s.must(s.etcd.Join(s.ctx, one))
		s.command(one, "undrain")
		s.settle()
	})
	s.part("kubeadm reset on the owner, which nobody drained: another host takes the VIP", func(s *stage) {
		owner := s.settle()
		w := s.watch()
		s.must(s.etcd.Remove(s.ctx, owner))
		s.awaitOther(owner)
		s.await(owner, "miss etcd", func(v agent.VIPStatus) bool { return v.State != agent.StateOwner && v.Election.Lease.Error != "" })
		s.must(s.etcd.Join(s.ctx, owner))
		s.settle()
		s.judge(w)
	})
	s.part("etcd is restored from a snapshot in which another host has the lease", func(s *stage) {
		former := s.settle()
		file := filepath.Join(s.Dir, "snapshot.db")
		s.must(s.etcd.Save(s.ctx, former, file))
		s.command(former, "drain")
		s.command(former, "undrain")
		s.settle()
		w := s.watch()
		s.must(s.etcd.Restore(s.ctx, file, s.Hosts...))
		s.must(lab.AwaitEvery(s.ctx, 50*time.Millisecond, "the owner to be the one that the restored etcd names", func() error {
			owner, err := s.agreed(s.groups[0])
			if err != nil {
				return err
			}
			if named := s.books()["owner"].Node; named != owner.Name {
				return fmt.Errorf("it is %s, and etcd names %q", owner, named)
			}
			return nil
		}))
		s.judge(w)
	})
	s.part("a power-off of all hosts: nobody claims before etcd is back", func(s *stage) {
		s.powerOff()
		s.nobodyBefore(func() { s.must(s.etcd.Run(s.ctx, s.Hosts...)) })
	})
	s.part("etcd is gone for good, and the configuration says vrrp", func(s *stage) {
		for _, h := range s.Hosts {
			s.must(s.etcd.Kill(s.ctx, h))
		}
		s.groups[0].keys = nil
		for _, h := range s.Hosts {
			s.configure(h)
			s.command(h, "reload")
		}
		s.must(lab.Await(s.ctx, "an owner by VRRP, and two that hear it", func() error {
			owners := 0
			for _, h := range s.Hosts {
				v, err := s.status(h)
				switch {
				case err != nil:
					return err
				case v.State == agent.StateOwner:
					owners++
				case v.Owner == "":
					return fmt.Errorf("%s hears none", h)
				}
			}
			if owners != 1 {
				return fmt.Errorf("there are %d owners", owners)
			}
			return nil
		}))
	})
}

// bootstrap: none has nobody elected before etcd was reached.
func TestNobodyBootstraps(t *testing.T) {
	s := open(t, 2, "election: etcd", "etcd: {ttl: 3s, bootstrap: none}")
	s.nobodyBefore(func() { s.must(s.etcd.Start(s.ctx, s.Hosts...)) })
}

// nobodyBefore starts the daemons and makes sure that nobody answers for the VIP
// before etcd is there, whose owner then does.
func (s *stage) nobodyBefore(etcd func()) {
	s.t.Helper()
	const patience = 2 * time.Second // several times that of VRRP with an owner
	w := s.watch()
	for _, h := range s.Hosts {
		s.vipd(h)
	}
	for _, h := range s.Hosts {
		s.await(h, "wait for etcd", func(v agent.VIPStatus) bool {
			return v.State == agent.StateBackup && v.Election.Lease.Error != "" && !v.Election.Lease.Bootstrapping && time.Since(v.Since) > patience
		})
	}
	if report := s.seen(w); len(report.None) != len(report.All) {
		s.t.Error("somebody answered before etcd was there")
	}
	w = s.watch()
	etcd()
	s.settle()
	s.judge(w)
}

// always is judge, and fails the test if nobody answered at some time.
func (s *stage) always(w *wire.Watcher) {
	s.t.Helper()
	if report := s.judge(w); len(report.None) > 0 {
		s.t.Errorf("nobody answered for the VIP: %v", report.None)
	}
}

// awaitLease waits until a host owns the VIP by the lease.
func (s *stage) awaitLease(h *lab.Host) {
	s.t.Helper()
	s.await(h, "own the VIP by the lease", func(v agent.VIPStatus) bool {
		return v.State == agent.StateOwner && v.Election.Lease.Held && !v.Election.Lease.Bootstrapping
	})
}

func (s *stage) awaitHealthy(h *lab.Host) {
	s.t.Helper()
	s.await(h, "be healthy", func(v agent.VIPStatus) bool { return v.Healthy })
}

// deaf loses the adverts on their way to a host, and nothing else.
func (s *stage) deaf(h *lab.Host) (undo func()) {
	s.t.Helper()
	rules := fmt.Sprintf("table bridge deaf { chain forward { type filter hook forward priority 1; oifname %q ip protocol 112 drop; }; }", h.Name)
	_, err := s.Switch.RunInput(s.ctx, rules, "nft", "-f", "-")
	s.must(err)
	return func() {
		s.t.Helper()
		_, err := s.Switch.Run(s.ctx, "nft", "delete", "table", "bridge", "deaf")
		s.must(err)
	}
}

// powerOff ends all daemons and members at once, and what does not outlive that
// with them: addresses, and what lies in /run.
func (s *stage) powerOff() {
	s.t.Helper()
	var err error
	for _, h := range s.Hosts {
		err = errors.Join(err, s.running[h].Signal(syscall.SIGKILL), s.etcd.Kill(s.ctx, h))
	}
	s.must(err)
	for _, h := range s.Hosts {
		_, err := s.running[h].Wait(s.ctx)
		s.must(err)
		s.must(os.RemoveAll(filepath.Join(dir(h), "state")))
	}
	s.must(lab.Await(s.ctx, "the kernels to drop the VIP", func() error {
		for _, h := range s.Hosts {
			if held, err := h.Addresses(h.Interface); err != nil || slices.Contains(held, theVIP) {
				return errors.Join(err, fmt.Errorf("%s has it", h))
			}
		}
		return nil
	}))
}
