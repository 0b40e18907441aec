package e2e

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
)

// A reload applies the difference. The client of a VIP that did not change sees
// nothing, whatever else is wrong or new.
func TestReload(t *testing.T) {
	s := open(t, setup{hosts: 2})
	backup := s.settle()
	owner := s.others(backup)[0]
	s.makeOwner(owner) // it heard another, so it advertises its own priority
	since, before := time.Now(), s.histories()

	priority := func(n int) config { return config{keys: []string{fmt.Sprintf("vrrp: {priority: %d}", n)}} }
	awaitPriority := func(s *stage, h *lab.Host, n uint8) {
		t.Helper()
		s.awaitGroup(h, fmt.Sprintf("of priority %d", n), func(v agent.VIPStatus) bool { return v.Election.Priority == n })
	}
	s.part("vipd reload: a backup's new priority", func(s *stage) {
		s.reload(backup, priority(250))
		awaitPriority(s, backup, 250)
	})
	s.part("SIGHUP: the owner's new priority", func(s *stage) {
		s.configure(owner, priority(240))
		s.must(s.Process(owner).Signal(syscall.SIGHUP))
		awaitPriority(s, owner, 240)
	})
	s.part("a bad file: told with its line, and the old configuration stays", func(s *stage) {
		s.configure(owner, priority(100))
		s.says(s.exits(2, owner, "reload"), s.lineOf(owner, "vrrp:")+": vips[0].vrrp.priority: 100", "128 to 254")
		awaitPriority(s, owner, 240)
		if good := s.metric(owner, "vipd_config_last_reload_successful"); good != 0 {
			s.t.Errorf("vipd_config_last_reload_successful is %v, want 0", good)
		}
		s.must(s.Process(owner).Signal(syscall.SIGHUP))
		s.must(s.Process(owner).AwaitLog(s.ctx(), "the configuration was not reloaded"))
		awaitPriority(s, owner, 240)
	})
	s.part("a mended file", func(s *stage) {
		s.reload(owner, priority(245))
		awaitPriority(s, owner, 245)
		if good := s.metric(owner, "vipd_config_last_reload_successful"); good != 1 {
			s.t.Errorf("vipd_config_last_reload_successful is %v, want 1", good)
		}
	})
	s.part("the VIP that did not change was not touched", func(s *stage) {
		s.settleOn(owner)
		s.unbroken(since)
		if diff := cmp.Diff(before, s.histories()); diff != "" {
			s.t.Errorf("states changed (-before +after):\n%s", diff)
		}
	})

	second := s.VIP().Addr().Next()
	s.part("a VIP is added: somebody holds it", func(s *stage) {
		c := config{others: []group{{name: "second", addresses: []netip.Addr{second}}}}
		for _, h := range s.Lab.Hosts {
			s.reload(h, c)
		}
		s.awaitOneHolder(second)
	})
	s.part("a VIP is removed: nobody holds it", func(s *stage) {
		for _, h := range s.Lab.Hosts {
			s.reload(h, config{})
		}
		s.awaitHeld(second)
	})
	s.part("the VIP beside it was not touched", func(s *stage) {
		s.settleOn(owner)
		s.unbroken(since)
	})
}
