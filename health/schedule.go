package health

import "time"

// minPause is the least time between two probes that start early.
const minPause = 100 * time.Millisecond

// schedule decides when the next probe starts. It is pure.
//
// A server that closes every connection, or keeps talking on an idle one, must
// not be stormed: early probes keep a pause between them that starts with
// minPause and doubles, up to the interval, until a probe's connection has
// stayed quiet.
type schedule struct {
	interval time.Duration
	// next is when the next probe is due.
	next time.Time
	// early: the next probe is one that a stir brought forward.
	early bool
	// quiet: nothing stirred since the last probe.
	quiet bool
	// last is the start of the last probe, pause the least time from it to an
	// early one; 0 while connections stay quiet.
	last  time.Time
	pause time.Duration
}

// began notes the start of a probe. The next one is due an interval later,
// whatever brought this one, so that an early one which fails is not followed
// by a second failure sooner than the interval allows.
func (s *schedule) began(now time.Time) {
	switch {
	case s.early:
		s.pause = max(minPause, min(2*s.pause, s.interval))
	case s.quiet:
		s.pause = 0
	}
	s.early, s.quiet = false, true
	s.last, s.next = now, now.Add(s.interval)
}

// stirred notes that the warm connection ended or was spoken on.
func (s *schedule) stirred(now time.Time) {
	s.quiet = false
	at := s.last.Add(s.pause)
	if at.Before(now) {
		at = now
	}
	if at.Before(s.next) {
		s.next, s.early = at, true
	}
}
