package agent

import (
	"time"

	"github.com/vipd/vipd/config"
)

const (
	// burstTail spaces the announcements of a burst that is longer than
	// burstTimes tells.
	burstTail = 2 * time.Second
	// outcryDelay is a few times what an advert takes to decide between
	// candidates.
	outcryDelay = 10 * time.Millisecond
	// defencePause and defencePauseMax bound announcements in defence of an
	// address: two defenders must not make an ARP war (RFC 5227 2.4).
	defencePause    = time.Second
	defencePauseMax = 30 * time.Second
	// defenceQuiet is how long nobody may attack for the pause to start anew.
	defenceQuiet = 2 * defencePauseMax
)

// burstTimes are the first announcements after the one that comes with holding.
var burstTimes = [...]time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 3 * time.Second}

// announcements is the schedule by which a held VIP is announced.
type announcements struct {
	burst   int
	refresh time.Duration

	running bool
	began   time.Time
	sent    int
	next    time.Time
	// again is one more, after the fence of a frozen former owner; soon is one
	// after another station announced itself.
	again, soon time.Time
}

// begin starts a burst whose first announcement is sent at now by the caller.
// after is when to announce once more; zero: not.
func (s *announcements) begin(now, after time.Time) {
	s.running, s.began, s.sent, s.again = true, now, 1, after
	s.plan(now)
}

// revise changes the schedule. A burst that is over does not begin again.
func (s *announcements) revise(now time.Time, g config.GARP) {
	if s.sent >= s.burst {
		s.sent = max(s.sent, g.Burst)
	}
	s.burst, s.refresh = g.Burst, g.Refresh
	if s.running {
		s.plan(now)
	}
}

func (s *announcements) stop() {
	s.running = false
	s.next, s.again, s.soon = time.Time{}, time.Time{}, time.Time{}
}

// outcry plans an announcement for when candidates that took the VIP at the same
// moment know which of them has it: clients follow who announced last.
func (s *announcements) outcry(now time.Time) {
	if s.soon.IsZero() {
		s.soon = now.Add(outcryDelay)
	}
}

// makeUp plans an announcement that may not be made before a time.
func (s *announcements) makeUp(at time.Time) {
	if s.soon.IsZero() {
		s.soon = at
	}
}

// deadline is when the next announcement is due; zero: none.
func (s *announcements) deadline() time.Time {
	return earliest(s.next, earliest(s.again, s.soon))
}

// due tells whether to announce now, and plans the next one.
func (s *announcements) due(now time.Time) bool {
	if d := s.deadline(); d.IsZero() || now.Before(d) {
		return false
	}
	if due(s.again, now) {
		s.again = time.Time{}
	}
	if due(s.soon, now) {
		s.soon = time.Time{}
	}
	if due(s.next, now) {
		s.sent++
		s.plan(now)
	}
	return true
}

func (s *announcements) plan(now time.Time) {
	switch at := s.sent - 1; {
	case s.sent < s.burst && at < len(burstTimes):
		s.next = s.began.Add(burstTimes[at])
	case s.sent < s.burst:
		s.next = now.Add(burstTail)
	case s.refresh > 0:
		s.next = now.Add(s.refresh)
	default:
		s.next = time.Time{}
	}
}

// defence limits announcements that answer another claimant.
type defence struct {
	attacked time.Time
	allowed  time.Time
	pause    time.Duration
	// planned is when the last answer was or will be given.
	planned time.Time
}

// begins notes an attack and tells whether it starts an episode.
func (d *defence) begins(now time.Time) bool {
	first := d.attacked.IsZero() || now.Sub(d.attacked) >= defenceQuiet
	d.attacked = now
	if first {
		d.pause = defencePause
		d.allowed = now.Add(d.pause)
	}
	return first
}

// answer tells when to answer an attack that goes on: at once, or as soon as may
// be, because clients follow who announced last. Zero: an answer to come will do.
func (d *defence) answer(now time.Time) time.Time {
	if now.Before(d.planned) {
		return time.Time{}
	}
	d.planned = now
	if now.Before(d.allowed) {
		d.planned = d.allowed
	}
	d.pause = min(2*d.pause, defencePauseMax)
	d.allowed = d.planned.Add(d.pause)
	return d.planned
}

// earliest is the earlier of two deadlines; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
