package e2e

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/scene"
)

func TestStopWithAPeer(t *testing.T) {
	s := open(t, setup{})
	s.part("the owner: it serves on until its successor does", func(s *stage) {
		o := s.try(scene.PlannedStop())
		if code, err := s.Process(o.Owner).Wait(s.ctx()); err != nil || code != 0 {
			s.t.Errorf("vipd ended with %d, %v", code, err)
		}
		s.held(s.VIP().Addr(), o.Successor)
		s.awaitState(o.Successor, agent.StateOwner, election.OwnerDraining)
		s.mend(o)
		s.settleOn(o.Successor)
	})
	s.part("a backup: nobody notices", func(s *stage) {
		owner, since := s.settle(), time.Now()
		backup := s.others(owner)[0]
		if code := s.stop(backup, syscall.SIGTERM); code != 0 {
			s.t.Errorf("vipd ended with %d", code)
		}
		s.must(s.StartDaemon(backup))
		s.settleOn(owner)
		s.unbroken(since)
	})
}

func TestStopOfTheOnlyNode(t *testing.T) {
	const longFence = "fence: 30s" // so that a slow machine restarts within it
	s := open(t, setup{hosts: 1})
	h, vip := s.Lab.Hosts[0], s.VIP().Addr()
	s.reload(h, config{keys: []string{longFence}})
	s.awaitLifetime(h, "2?sec") // more than a default fence has

	s.part("SIGTERM: the address is left to its fence, and a restart within it is not noticed", func(s *stage) {
		since := time.Now()
		if code := s.stop(h, syscall.SIGTERM); code != 0 {
			s.t.Errorf("vipd ended with %d", code)
		}
		s.held(vip, h)
		s.must(s.StartDaemon(h))
		s.settleOn(h)
		s.unbroken(since)
	})
	s.part("kill -9: a restart within the fence is not noticed either", func(s *stage) {
		since := time.Now()
		s.stop(h, syscall.SIGKILL)
		s.must(s.StartDaemon(h))
		s.settleOn(h)
		s.unbroken(since)
	})
	s.part("a second daemon is refused, and release while one runs", func(s *stage) {
		since := time.Now()
		s.says(s.exits(1, h, "run"), "another vipd is running")
		s.says(s.exits(1, h, "release"), "vipd is running")
		s.held(vip, h)
		s.settleOn(h)
		s.unbroken(since)
	})
	s.part("without a fence: release cleans up after kill -9", func(s *stage) {
		s.reload(h, config{keys: []string{"fence: 0s"}})
		s.awaitLifetime(h, "forever")
		s.stop(h, syscall.SIGKILL)
		s.held(vip, h)
		s.says(s.exits(0, h, "release"), "Removed "+vip.String()+" from eth0")
		s.held(vip)
		s.says(s.exits(0, h, "release"), "Nothing to remove")
	})
	s.part("without a fence: SIGTERM takes the address off", func(s *stage) {
		s.must(s.StartDaemon(h))
		s.settleOn(h)
		s.stop(h, syscall.SIGTERM)
		s.held(vip)
	})
	s.part("the control socket is root's and the group's", func(s *stage) {
		const everySystemHas = "daemon" // says the Linux Standard Base
		group, err := user.LookupGroup(everySystemHas)
		s.must(err)
		s.configure(h, config{controlGroup: everySystemHas})
		s.must(s.StartDaemon(h))
		s.settleOn(h)
		file, err := os.Stat(s.vipd.Socket(h))
		s.must(err)
		owner := file.Sys().(*syscall.Stat_t)
		if mode := file.Mode().Perm(); mode != 0o660 || owner.Uid != 0 || strconv.Itoa(int(owner.Gid)) != group.Gid {
			s.t.Errorf("mode %o, user %d, group %d; want 660, 0, %s", mode, owner.Uid, owner.Gid, group.Gid)
		}
	})
}

// awaitLifetime waits until the kernel's own deadline of the VIP, as ip-address(8)
// writes it, matches a pattern.
func (s *stage) awaitLifetime(h *lab.Host, pattern string) {
	s.t.Helper()
	s.await("a lifetime like "+pattern, func() error {
		shown := s.run(h, "ip", "address", "show", "dev", "eth0", "to", s.VIP().Addr().String())
		_, lifetime, _ := strings.Cut(shown, "valid_lft ")
		lifetime, _, _ = strings.Cut(lifetime, " ")
		ok, err := path.Match(pattern, lifetime)
		if err == nil && !ok {
			err = fmt.Errorf("lifetime %q in:\n%s", lifetime, shown)
		}
		return err
	})
}
