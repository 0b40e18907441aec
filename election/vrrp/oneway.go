package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// This file is about loss in one direction. Two owners of which one does not
// hear the other are not settled by RFC 9568 6.4.3, so a node asks, by ARP or
// neighbour solicitation, who of the segment hears it:
//
//	the other answers              it hears this host, if not its adverts: one of
//	                               the two has to go, and only this one knows
//	only third stations answer     the other one is deaf: nobody can serve there
//	of those asked nobody answers  this node is mute
//
// A proxy may answer for the other one: that tells nothing.

// judged is another owner of whom it is asked whether it hears this node.
type judged struct {
	Sighting
	// asking is the attempt under way; zero: none. again is when to ask anew.
	asking uint64
	again  time.Time
	// until is when the winner of a duel is asked no more.
	until time.Time
	// silent counts questions in a row that only third stations answered, the
	// last one at told.
	silent int
	told   time.Time
}

// deaf tells whether from is an owner that was found not to hear anything. The
// finding is renewed as long as it advertises, and soon worth nothing after that.
func (m *Machine) deaf(now time.Time, from netip.Addr) bool {
	d := &m.doubted
	return d.Addr == from && d.silent >= deafProofs && now.Sub(d.told) < 3*max(reachPause, d.Interval)
}

// doubt begins or goes on to ask about another owner, at the most once in
// reachPause. Whoever is told to ask does so while the advert of that owner is
// at hand: it needs the sender's link-layer address.
func (m *Machine) doubt(now time.Time, from netip.Addr, p *Packet) {
	if m.doubted.Addr != from {
		if m.deaf(now, m.doubted.Addr) && m.doubted.alive(now) {
			return // one at a time
		}
		m.doubted = judged{}
	}
	m.doubted.Sighting = sighting(now, from, p)
	if m.duty != Serve || now.Before(m.doubted.again) {
		return
	}
	m.questions++
	m.doubted.asking, m.doubted.again = m.questions, now.Add(reachPause)
	m.act(Reach{Attempt: m.questions, Of: from})
}

// doubtWinner asks about an owner that has just beaten this one, and goes on for
// a while: what a deaf node says of itself may be old at first.
func (m *Machine) doubtWinner(now time.Time, from netip.Addr, p *Packet) {
	m.doubt(now, from, p)
	if m.doubted.Addr == from {
		m.doubted.until = now.Add(deafWatch)
	}
}

// doubtOwner goes on to ask about a winner.
func (m *Machine) doubtOwner(now time.Time, from netip.Addr, p *Packet) {
	if d := &m.doubted; d.Addr == from && (now.Before(d.until) || d.silent > 0) {
		m.doubt(now, from, p)
	}
}

// doubtRival asks about an inferior owner that does not step down although it
// should have heard this one for long.
func (m *Machine) doubtRival(now time.Time, from netip.Addr, p *Packet) {
	if m.ignored(now, p.Interval) {
		m.doubt(now, from, p)
	}
}

// ignored: a rival with that interval has had time enough to step down.
func (m *Machine) ignored(now time.Time, interval time.Duration) bool {
	return now.Sub(m.rivalSince) >= unheardAdverts*interval
}

// reached draws the conclusion. What was asked before the state changed, or
// before the other one fell silent, is worth nothing.
func (m *Machine) reached(now time.Time, ev Reached) {
	d := &m.doubted
	if d.asking == 0 || ev.Attempt != d.asking {
		return
	}
	d.asking = 0
	switch {
	case ev.Other == Unclear:
		d.silent = 0
		return
	case ev.Other == Hears:
		was := m.deaf(now, d.Addr)
		d.silent, d.until = 0, time.Time{}
		if was {
			m.rivalSince = now
			return // what it hears from now on settles the duel
		}
	case ev.Third > 0:
		d.silent++
		d.told = now
	}
	if m.duty != Serve || !d.alive(now) {
		return
	}
	switch m.state {
	case Active:
		m.reachedAsOwner(now, ev)
	case Backup:
		m.reachedAsBackup(now)
	case Init, Probing, Displacing, Listening:
	}
}

func (m *Machine) reachedAsOwner(now time.Time, ev Reached) {
	d := &m.doubted
	if m.rival.Addr != d.Addr || !m.ignored(now, d.Interval) {
		return
	}
	lower := BandOf(d.Priority) < m.Band()
	switch {
	case ev.Other == Hears && lower:
		m.tellDeaf(now, "it hears this host, but not its adverts; this one stays, because it is fitter")
	case ev.Other == Hears:
		m.makeWay(now, fmt.Sprintf("%v hears this host, but not its adverts, and serves as well", d.Addr))
	case ev.Third > 0:
		m.tellDeaf(now, fmt.Sprintf("it hears nothing: it does not answer this host, %d of %d others do; this one stays", ev.Third, ev.Asked))
	case ev.Asked > 0:
		m.makeWay(now, fmt.Sprintf("nobody hears this host: neither %v nor one of %d others answers", d.Addr, ev.Asked))
	default:
		m.tellDeaf(now, "it does not answer this host, and nobody else is known to ask; this one stays")
	}
}

// makeWay leaves the VIP to an owner that cannot be told to go. For a while it
// is not displaced either, whatever its band: it would not hear that.
func (m *Machine) makeWay(now time.Time, why string) {
	m.retryAfter = now.Add(makeWayFor)
	m.yield(now, m.doubted.Sighting, election.Unheard, why)
}

// reachedAsBackup looks at who has just beaten this node. A deaf owner serves
// nobody, and does not hear that it should go.
func (m *Machine) reachedAsBackup(now time.Time) {
	if d := &m.doubted; m.owner.Addr == d.Addr && m.deaf(now, d.Addr) && BandOf(d.Priority) <= m.Band() {
		m.takeOver(now, election.OwnerDeaf, fmt.Sprintf("%v advertises, and hears nothing: it does not answer this host, others do", d.Addr))
	}
}

func (m *Machine) tellDeaf(now time.Time, why string) {
	if m.deafness.begins(now) {
		m.act(Report{Kind: Deaf, From: m.doubted.Addr, Detail: why})
	}
}
