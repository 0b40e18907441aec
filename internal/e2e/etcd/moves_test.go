package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
)

// byEtcd are keys of a group that is elected by etcd, with the shortest lease.
var byEtcd = []string{"election: etcd", "etcd: {ttl: 3s}"}

// Every way in which the VIP moves on purpose, with open streams and new
// connections all the time: nothing is lost, and between the former owner, who is
// silent before the lease is passed, and the next one there are never two.
func TestMovesByLeaseLoseNothing(t *testing.T) {
	s := open(t, 3, byEtcd...)
	s.serve()
	s.must(s.etcd.Start(s.ctx, s.Hosts...))
	s.apiserver(s.Hosts...)
	for _, h := range s.Hosts {
		s.vipd(h)
	}
	s.settle()

	s.part("drain of the owner", func(s *stage) {
		owner := s.anew()
		s.lossless(func() {
			s.command(owner, "drain")
			s.settle()
		})
		s.command(owner, "undrain")
		s.settle()
	})
	s.part("etcd names the owner, and who was it before", func(s *stage) {
		owner, books := s.settle(), s.books()
		if books["owner"].Node != owner.Name {
			s.t.Errorf("etcd names %+v, the owner is %s", books["owner"], owner)
		}
		var terms []int
		for key, b := range books {
			if strings.HasPrefix(key, "history/") {
				terms = append(terms, b.Term)
			}
		}
		slices.Sort(terms)
		if diff := cmp.Diff([]int{1, 2}, terms); diff != "" {
			s.t.Errorf("terms in the history (-want +got):\n%s", diff)
		}
	})
	s.part("the owner becomes unready: a healthy node gets the VIP", func(s *stage) {
		owner := s.anew()
		s.lossless(func() {
			s.must(s.service.servers[owner].SetMode(s.ctx, apiserver.Unready))
			s.awaitOther(owner)
			s.must(s.service.servers[owner].SetMode(s.ctx, apiserver.Ready))
			s.settle()
		})
	})
	s.part("SIGTERM of the owner's daemon", func(s *stage) {
		owner := s.anew()
		s.lossless(func() {
			s.stop(owner)
			s.awaitOther(owner)
			s.vipd(owner)
			s.settle()
		})
	})
	s.part("restart of the owner's daemon", func(s *stage) {
		owner := s.anew()
		s.lossless(func() {
			s.stop(owner)
			s.vipd(owner)
			s.settle()
		})
	})
	s.part("eight moves in a row", func(s *stage) {
		s.anew()
		s.lossless(func() {
			for range 8 {
				owner := s.settle()
				s.command(owner, "drain")
				s.command(owner, "undrain")
			}
		})
	})
	s.part("the owner's API server dies: a healthy node gets the VIP", func(s *stage) {
		owner := s.settle()
		w := s.watch()
		s.must(s.service.servers[owner].Kill())
		s.awaitOther(owner)
		s.apiserver(owner)
		s.settle()
		s.judge(w)
	})
	s.part("the successor dies with the lease in its hand: the third one takes it", func(s *stage) {
		owner := s.settle()
		successor := s.next(owner)
		third := s.others(owner, successor)[0]
		w := s.watch()
		s.must(s.running[successor].Signal(syscall.SIGSTOP))
		s.must(s.running[owner].Signal(syscall.SIGTERM))
		s.must(lab.Await(s.ctx, "the lease to be passed to "+successor.Name, func() error {
			if holder := s.books()["owner"].Node; holder != successor.Name {
				return fmt.Errorf("%q has it", holder)
			}
			return nil
		}))
		s.awaitOwner(third)
		s.must(s.running[successor].Signal(syscall.SIGCONT))
		_, err := s.running[owner].Wait(s.ctx)
		s.must(err)
		s.vipd(owner)
		if after := s.settle(); after != third {
			s.t.Errorf("%s owns the VIP, which %s had taken", after, third)
		}
		s.judge(w)
	})
}

// entry is what a key of vipd's says, as far as these stories read it.
type entry struct {
	Node string `json:"node"`
	Term int    `json:"term"`
}

// books is what etcd has of the VIP, by key.
func (s *stage) books() map[string]entry {
	s.t.Helper()
	const prefix = "/vipd/kubernetes/apiserver/"
	client, err := s.etcd.Client(s.Hosts[0])
	s.must(err)
	got, err := client.Get(s.ctx, prefix, clientv3.WithPrefix())
	s.must(err)
	all := map[string]entry{}
	for _, kv := range got.Kvs {
		var e entry
		s.must(json.Unmarshal(kv.Value, &e))
		all[strings.TrimPrefix(string(kv.Key), prefix)] = e
	}
	return all
}

// anew is settle, and a client whose streams are all the owner's.
func (s *stage) anew() *lab.Host {
	s.t.Helper()
	s.settle()
	s.measure()
	return s.settle()
}

// stop stops a host's daemon as systemd does.
func (s *stage) stop(h *lab.Host) {
	s.t.Helper()
	s.must(s.running[h].Signal(syscall.SIGTERM))
	_, err := s.running[h].Wait(s.ctx)
	s.must(err)
}

// awaitOther waits until another host than this one owns the VIP.
func (s *stage) awaitOther(h *lab.Host) {
	s.t.Helper()
	s.must(lab.Await(s.ctx, "another owner than "+h.Name, func() error {
		for _, o := range s.others(h) {
			if v, err := s.status(o); err == nil && v.State == agent.StateOwner {
				return nil
			}
		}
		return errors.New("not yet")
	}))
}

// next is the host that an owner passes its lease to: of the fit ones the one with
// the highest address.
func (s *stage) next(owner *lab.Host) *lab.Host {
	return slices.MaxFunc(s.others(owner), func(a, b *lab.Host) int { return a.Addr4.Compare(b.Addr4) })
}
