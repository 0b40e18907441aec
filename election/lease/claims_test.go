package lease

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election/vrrp"
)

// with is a candidate whose group has other addresses.
func with(c Candidate, all Addresses) Candidate {
	c.Addresses = all
	return c
}

// revised gives the group other addresses, as a reload does.
func (s *stage) revised(words ...string) {
	c := s.m.cfg.VRRP
	c.Addresses = nil
	for _, word := range words {
		c.Addresses = append(c.Addresses, netip.MustParseAddr(word))
	}
	s.m.Readdress(s.now, c.Addresses)
	s.step(vrrp.Configure{Config: c})
}

// refuses answers a Take with another group's claims.
func (s *stage) refuses(o Order) {
	s.answer(o, Answer{
		Revision: s.view.Revision, Owner: s.view.Owner,
		Claims: []Claim{{Addr: theVIP, VIP: "vip2", Node: "cp3"}},
	})
}

// discord compares a part of what is told.
func (s *stage) discord(want string) {
	s.t.Helper()
	got := s.m.Status(s.now).Discord
	if want == "" && got != "" || !strings.Contains(got, want) {
		s.t.Errorf("told %q, want one with %q", got, want)
	}
}

func TestClaims(t *testing.T) {
	const theirs = "192.0.2.20"
	for _, row := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"nodes that say the same, or nothing: they agree", func(t *testing.T) {
			s := onStage(t, nil, second, with(third, "")).reached(of(second))
			s.discord("")
		}},
		{"an owner with other addresses is told, with both sets and the mend", func(t *testing.T) {
			s := onStage(t, nil).reached(of(with(second, theirs)))
			s.discord("cp2 owns this name with 192.0.2.20, here it has 192.0.2.10; give the VIP with the same addresses the same vips[].name on all nodes")
		}},
		{"an owner with other addresses that renews no more: the end of its lease is waited for", func(t *testing.T) {
			s := onStage(t, nil).reached(of(with(second, theirs)))
			s.letRenewed(10 * stageTTL)
			s.wants()
		}},
		{"a candidate with other addresses is told", func(t *testing.T) {
			s := onStage(t, nil, with(second, theirs)).seated()
			s.discord("on cp2 this name has 192.0.2.20, here it has 192.0.2.10")
		}},
		{"an unhealthy owner passes nothing to a candidate with other addresses", func(t *testing.T) {
			s := onStage(t, nil, with(second, theirs)).seated()
			s.step(vrrp.Health{})
			s.is(vrrp.Active)
			s.tells()
		}},
		{"it passes the key to another one", func(t *testing.T) {
			s := onStage(t, nil, with(second, theirs), third).seated()
			s.step(vrrp.Health{})
			s.off()
			if o := s.order(Pass); o.To.Node != "cp3" || o.Former != "192.0.2.10" {
				t.Errorf("%+v", o)
			}
		}},
		{"a better candidate with other addresses is not let go first", func(t *testing.T) {
			better := with(third, theirs)
			better.Priority = 250
			s := onStage(t, nil, better).reached(of(second))
			s.givenUp()
			s.seen()
			s.let(ms)
			s.wants(Take)
		}},
		{"an address that another group's owner has: refused, told, and asked for again each second", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.givenUp()
			s.seen()
			s.let(ms)
			s.refuses(s.order(Take))
			s.discord("cp3 has 192.0.2.10 as vip2")
			s.letRenewed(claimPause - 100*ms)
			s.wants()
			s.letRenewed(100 * ms)
			s.took(s.order(Take))
			s.discord("")
			s.is(vrrp.Active)
		}},
		{"while it is refused a candidacy that changed is written", func(t *testing.T) {
			s := onStage(t, nil, second).reached(of(second))
			s.givenUp()
			s.seen()
			s.let(ms)
			s.refuses(s.order(Take))
			s.step(vrrp.Health{})
			s.letRenewed(retryPause)
			s.wants(Stand)
		}},
		{"an owner by VRRP whose address another group's owner has makes way", func(t *testing.T) {
			s := onStage(t, func(c *Config) { c.Bootstrap = true }, second)
			s.let(5 * stageFence)
			s.is(vrrp.Active)
			s.reached(Owner{})
			s.letRenewed(stageFence + offSlack)
			s.refuses(s.order(Take))
			s.is(vrrp.Backup)
		}},
		{"a reload adds an address: the owner has it when it is claimed", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			added := netip.MustParseAddr(theirs)
			s.revised("192.0.2.10", theirs)
			if !s.m.MayHave(theVIP) || s.m.MayHave(added) {
				t.Error("it may have what is not claimed yet")
			}
			s.took(s.order(Take))
			if got := s.m.Claimed(); got != "192.0.2.10 192.0.2.20" || !s.m.MayHave(added) {
				t.Errorf("it claims %q", got)
			}
			s.tells()
		}},
		{"a reload adds an address that another group's owner has: the others are kept", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.revised("192.0.2.10", theirs)
			s.refuses(s.order(Take))
			s.letRenewed(stageTTL)
			s.is(vrrp.Active)
			s.discord("cp3 has 192.0.2.10 as vip2")
			s.tells()
		}},
		{"a reload takes an address away: its claim is given up when the kernel has removed it for sure", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.revised(theirs)
			s.stood()
			s.letRenewed(stageFence + offSlack - ms)
			s.wants()
			s.letRenewed(ms)
			if o := s.order(Take); o.Former != "192.0.2.10" || o.Owner.Addresses != theirs {
				t.Errorf("%+v", o)
			}
		}},
		{"who resigns gives its claims up", func(t *testing.T) {
			s := onStage(t, nil, second).seated()
			s.step(vrrp.LinkDown{})
			s.off()
			if o := s.order(Resign); o.Former != "192.0.2.10" {
				t.Errorf("%+v", o)
			}
		}},
	} {
		t.Run(row.name, row.play)
	}
}

func TestASetOfAddressesHasOneForm(t *testing.T) {
	one, other, third := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("192.0.2.9")
	s := SetOf([]netip.Addr{other, one, third})
	if s != SetOf([]netip.Addr{third, one, other}) {
		t.Error("the order counts")
	}
	compare := cmp.Comparer(func(x, y netip.Addr) bool { return x == y })
	if diff := cmp.Diff([]netip.Addr{third, one, other}, s.List(), compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]netip.Addr{third, other}, s.Without(SetOf([]netip.Addr{one})), compare); diff != "" {
		t.Errorf("without one of them (-want +got):\n%s", diff)
	}
}
