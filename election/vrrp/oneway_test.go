package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// ignoredOwner: an owner that .11 has not obeyed for ten of its intervals.
func ignoredOwner(s *script) time.Time { return s.ignoredBy(".11 adverts 150") }

// ignoredByUnfit: the same, and .11 is unhealthy.
func ignoredByUnfit(s *script) time.Time { return s.ignoredBy(".11 adverts 100") }

func (s *script) ignoredBy(rival string) time.Time {
	now := s.tookOver(true)
	for range 10 {
		s.step(now, s.advert(rival))
		now = now.Add(100 * ms)
	}
	return now
}

// beatenOwner: an owner that .13 has just beaten, and that has asked about it.
func beatenOwner(s *script) time.Time {
	now := s.tookOver(true)
	s.step(now, s.advert(".13 adverts 192"))
	s.mustBe(Backup)
	return now
}

// outlivingOwner: it has taken the VIP back from .13, which is deaf, a second ago.
func outlivingOwner(s *script) time.Time {
	now := beatenOwner(s)
	s.step(now, Reached{Attempt: 1, Other: Silent, Asked: 1, Third: 1})
	now = now.Add(reachPause)
	s.step(now, s.advert(".13 adverts 192"))
	s.step(now, Reached{Attempt: 2, Other: Silent, Asked: 1, Third: 1})
	s.mustBe(Active)
	for range 10 {
		now = now.Add(100 * ms)
		s.step(now, Tick{})
		if now.Before(s.m.doubted.again) {
			s.step(now, s.advert(".13 adverts 192"))
		}
	}
	return now
}

func TestOneWay(t *testing.T) {
	run(t, []transcript{
		{"one-way: a rival is not asked before ten of its intervals are over", "", owner, `
			0s    .11 adverts 150 -> report rival by .11; advert 192; defend against .11
			300ms .11 adverts 150 -> advert 192; defend against .11
			600ms .11 adverts 150 -> advert 192; defend against .11
			900ms .11 adverts 150 -> advert 192; defend against .11
			999ms .11 adverts 150 -> advert 192; defend against .11
			1s    .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11`},
		{"one-way: its interval counts, not the own one", "", ignoredOwner, `
			0s .11 adverts 150 every 1s -> advert 192; defend against .11`},
		{"one-way: a rival that was silent in between is another episode", "", ignoredOwner, `
			0s    timer -> advert 192
			100ms timer -> advert 192
			200ms timer -> advert 192
			300ms timer -> advert 192
			310ms .11 adverts 150 -> report rival by .11; advert 192; defend against .11`},
		{"one-way: it hears this host, and is as fit: make way", "", ignoredOwner, `
			0s   .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 1 hears, 0 of 1 others -> active to backup, unheard; release`},
		{"one-way: it hears this host, and is less fit: stay", "", ignoredByUnfit, `
			0s   .11 adverts 100 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 1 hears, 0 of 1 others -> report deaf by .11`},
		{"one-way: others hear this host, and it does not: it is deaf, stay, ask again each second", "", ignoredOwner, `
			0s    .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms  reached 1 silent, 1 of 2 others -> report deaf by .11
			300ms .11 adverts 150 -> advert 192; defend against .11
			600ms .11 adverts 150 -> advert 192; defend against .11
			900ms .11 adverts 150 -> advert 192; defend against .11
			1s    .11 adverts 150 -> advert 192; defend against .11; reach 2 of .11
			1060ms reached 2 silent, 1 of 2 others`},
		{"one-way: nobody hears this host: it is mute, make way", "", ignoredOwner, `
			0s   .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 1 silent, 0 of 2 others -> active to backup, unheard; release`},
		{"one-way: nobody else is there to ask: stay", "", ignoredOwner, `
			0s   .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 1 silent, 0 of 0 others -> report deaf by .11`},
		{"one-way: a proxy answered for it, which tells nothing", "", ignoredOwner, `
			0s   .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 1 unclear, 0 of 2 others`},
		{"one-way: the answer to another question is worth nothing", "", ignoredOwner, `
			0s   .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			60ms reached 7 silent, 0 of 2 others`},
		{"one-way: an answer that comes when the rival has gone is worth nothing", "", ignoredOwner, `
			0s    .11 adverts 150 -> advert 192; defend against .11; reach 1 of .11
			100ms timer -> advert 192
			200ms timer -> advert 192
			300ms timer -> advert 192
			400ms timer -> advert 192
			410ms reached 1 silent, 0 of 2 others`},
		{"one-way: an owner that drains asks nobody", "", ignoredOwner, `
			0s drain -> advert 1
			0s .11 adverts 0 -> advert 1`},
		{"one-way: who made way displaces nobody of a lower band for 30 s", "", ignoredByUnfit, `
			0s    .11 adverts 100 -> advert 192; defend against .11; reach 1 of .11
			60ms  reached 1 silent, 0 of 2 others -> active to backup, unheard; release
			100ms .11 adverts 100 every 20s
			100ms timer is at 30.06s`},
		{"deaf: who is beaten asks about the winner; it answers: it stays the owner", "", beatenOwner, `
			60ms reached 1 hears, 1 of 1 others
			2s   .13 adverts 192`},
		{"deaf: two questions that only others answer prove that the winner is deaf", "", beatenOwner, `
			60ms   reached 1 silent, 1 of 1 others
			100ms  .13 adverts 192
			1s     .13 adverts 192 -> reach 2 of .13
			1060ms reached 2 silent, 1 of 1 others -> backup to active, owner-deaf; advert 192; hold 2`},
		{"deaf: an unhealthy node does not take the VIP from a healthy one", "", beatenOwner, `
			20ms   unhealthy
			60ms   reached 1 silent, 1 of 1 others
			1s     .13 adverts 192 -> reach 2 of .13
			1060ms reached 2 silent, 1 of 1 others`},
		{"deaf: where nobody answers nothing is known of the winner", "", beatenOwner, `
			60ms   reached 1 silent, 0 of 2 others
			1s     .13 adverts 192 -> reach 2 of .13
			1060ms reached 2 silent, 0 of 2 others`},
		{"deaf: what is unclear is asked again, for six seconds", "", beatenOwner, `
			60ms   reached 1 unclear, 1 of 1 others
			1s     .13 adverts 192 every 3s -> reach 2 of .13
			1060ms reached 2 unclear, 1 of 1 others
			5999ms .13 adverts 192 every 3s -> reach 3 of .13
			6059ms reached 3 unclear, 1 of 1 others
			7s     .13 adverts 192 every 3s`},
		{"deaf: a better owner is outlived, and asked again each second", "", outlivingOwner, `
			0s     .13 adverts 192 -> report rival by .13; reach 3 of .13
			60ms   reached 3 silent, 1 of 1 others
			100ms  timer -> advert 192
			100ms  .13 adverts 192`},
		{"deaf: it hears again: the duel goes by priority and address", "", outlivingOwner, `
			0s     .13 adverts 192 -> report rival by .13; reach 3 of .13
			60ms   reached 3 hears, 1 of 1 others
			100ms  .13 adverts 192 -> active to backup, duel-lost; release; advert 192`},
		{"deaf: it hears again, and is the worse by now: it has time to hear that", "", outlivingOwner, `
			0s     .13 adverts 150 -> report rival by .13; reach 3 of .13
			60ms   reached 3 hears, 1 of 1 others
			100ms  .13 adverts 150 -> advert 192; defend against .13`},
		{"deaf: a finding that could not be renewed for three seconds is worth nothing", "", outlivingOwner, `
			0s     drain -> advert 1
			0s     .13 adverts 192 -> report rival by .13
			400ms  tick -> advert 1
			800ms  tick -> advert 1
			1200ms tick -> advert 1
			1600ms tick -> advert 1
			1999ms .13 adverts 192 -> report rival by .13
			2s     .13 adverts 192 -> active to backup, drain; release`},
		{"deaf: a late owner does not yield to a deaf one", "", outlivingOwner, `
			500ms .13 adverts 192 -> active to listening, late; report rival by .13; reach 3 of .13`},
	})
}

// TestLossThatStays: whatever is lost for good in one direction, a node serves
// that hears and is heard, and after a while nothing moves any more.
func TestLossThatStays(t *testing.T) {
	// The owner is .11, .12 to .14 are backups; .12 loses a duel with it when
	// priorities are descending, and wins it when they are ascending.
	rows := []struct {
		name  string
		fault func(l *lan, owner, backup *host)
	}{
		{"the owner's adverts do not get to one backup", func(l *lan, owner, backup *host) { l.deaf[backup.index][owner.index] = true }},
		{"one backup's adverts do not get to the owner", func(l *lan, owner, backup *host) { l.deaf[owner.index][backup.index] = true }},
		{"the owner is mute", func(_ *lan, owner, _ *host) { owner.mute = true }},
		{"a backup is deaf", func(_ *lan, _, backup *host) { backup.deafened = true }},
		{"a backup is mute", func(_ *lan, _, backup *host) { backup.mute = true }},
		{"the owner is cut off without noticing", func(_ *lan, owner, _ *host) { owner.mute, owner.deafened = true, true }},
		{"a backup is cut off without noticing", func(_ *lan, _, backup *host) { backup.mute, backup.deafened = true, true }},
	}
	for _, row := range rows {
		for _, step := range []int{-10, 0, 10} {
			for _, hosts := range []int{3, 4} {
				for _, router := range []bool{false, true} {
					name := fmt.Sprintf("%s, %d hosts, priorities rising by %d, router %v", row.name, hosts, step, router)
					t.Run(name, func(t *testing.T) { lossThatStays(t, hosts, step, router, row.fault) })
				}
			}
		}
	}
}

func lossThatStays(t *testing.T, hosts, step int, router bool, fault func(l *lan, owner, backup *host)) {
	l := newLAN(1, hosts)
	l.router = router
	moved := l.now
	l.told = func(*host, Transition) { moved = l.now }
	for i, h := range l.hosts {
		h.healthy = true
		h.cfg = Config{
			VRID: 51, Addresses: []netip.Addr{last(".10")}, Rhythm: Rhythm{Interval: 100 * ms},
			Priority: uint8(200 + i*step), UnhealthyPriority: 100, FollowChecksum: true,
		}
		h.start()
		l.run(2 * time.Second)
	}
	owner, backup := l.hosts[0], l.hosts[1]
	if !owner.owns() {
		t.Fatalf("the first host does not own:\n%s", l.tail(20))
	}
	l.run(lonelyFor)
	fault(l, owner, backup)
	l.trace(nil, "the loss begins")
	l.run(20 * time.Second)
	if quiet := l.now.Sub(moved); quiet < 10*time.Second {
		t.Errorf("the last move was %v ago", quiet)
	}
	serves := func(h *host) bool { return h.owns() && h.has() && !h.mute && !h.deafened }
	if n := len(filter(l.hosts, serves)); n == 0 || n > 2 || n == 2 && !slices.ContainsFunc(l.deaf, func(row []bool) bool { return slices.Contains(row, true) }) {
		t.Errorf("%d hosts serve", n)
	}
	if t.Failed() {
		t.Log("\n" + l.tail(40))
	}
}
