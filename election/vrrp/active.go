package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// takeOver makes this node the owner without waiting for the addresses: nobody
// serves, so the others must hear of it first (RFC 9568 6.4.2: the advert comes
// before the gratuitous ARP).
func (m *Machine) takeOver(now time.Time, reason election.Reason, detail string) {
	if !m.heard {
		m.lonelyUntil = now.Add(lonelyFor)
		m.endLoneliness()
	}
	m.becomeActive(now, reason, detail)
	m.hold(reason == election.OwnerSilent)
}

func (m *Machine) becomeActive(now time.Time, reason election.Reason, detail string) {
	m.enter(Active, reason, detail)
	m.leftover = false
	m.activeSince = now
	m.rival, m.rivalTold = Sighting{}, false
	m.retryAfter, m.retries, m.lateStarts, m.lengthened = time.Time{}, 0, 0, 0
	m.sendAdvert(now)
}

// advertTimer is Adver_Timer (RFC 9568 6.4.3). An owner whose loop was late for so long
// that others have taken over listens before it speaks.
func (m *Machine) advertTimer(now time.Time) {
	if m.noticeLateness(now) {
		return
	}
	due := m.deadline
	m.sendAdvert(now)
	m.keepPace(now, due)
}

// noticeLateness makes an owner listen that missed its advert for as long as
// others wait. The first thing such an owner gets may be an advert that waited
// in the queue, so this is asked before one is judged, too.
func (m *Machine) noticeLateness(now time.Time) bool {
	late := now.Sub(m.deadline)
	if late <= m.cfg.ActiveDownInterval(m.Priority(now)) {
		return false
	}
	m.lateBy = late.Round(time.Millisecond)
	m.enter(Listening, election.Late, fmt.Sprintf("the daemon could not run for %v; listening before it adverts again", m.lateBy))
	m.deadline = now.Add(m.cfg.Interval + m.cfg.SkewTime(m.Priority(now)))
	return true
}

// keepPace spaces adverts by their due times, so that small delays do not add
// up, unless that would make the next one due already.
func (m *Machine) keepPace(now, due time.Time) {
	spacing := m.deadline.Sub(now)
	if next := due.Add(spacing); next.After(now) {
		m.deadline = next
	}
}

// resume makes a late owner speak again and tell the segment.
func (m *Machine) resume(now time.Time) {
	m.enter(Active, election.Late, fmt.Sprintf("the daemon could not run for %v, and nobody fit took over meanwhile", m.lateBy))
	m.sendAdvert(now)
	m.hold(false)
}

// hearAsOwner is what RFC 9568 6.4.3 says of an advert received: another node
// advertises as owner too. The tie rule holds for two zeros as well, so that of
// two owners that resign one goes on serving until a successor is heard.
func (m *Machine) hearAsOwner(now time.Time, from netip.Addr, p *Packet) {
	mine, lonely := m.Priority(now), now.Before(m.lonelyUntil)
	m.lonelyUntil = time.Time{}
	if m.deaf(now, from) {
		m.outlive(now, from, p)
		return
	}
	if m.state == Listening && m.duty == Serve && p.Priority != PriorityResigned && BandOf(p.Priority) >= BandOf(mine) {
		m.yieldLate(now, from, p)
		return
	}
	if m.state == Listening && m.duty == Serve {
		return // what was queued may be old: the advert that ends the wait settles it
	}
	if beats(p.Priority, from, mine, m.own) {
		m.stepDown(now, from, p, mine, lonely)
		return
	}
	if p.Priority == PriorityResigned {
		m.rival = Sighting{}
		m.assert(now)
		return
	}
	m.noteRival(now, from, p, mine)
	m.assert(now)
	m.act(m.defence)
	m.doubtRival(now, from, p)
}

func (m *Machine) noteRival(now time.Time, from netip.Addr, p *Packet, mine uint8) {
	if m.rival.Addr != from {
		m.defence = Defend{Rival: from}
	}
	if !m.rival.alive(now) {
		m.rivalSince = now
	}
	m.tellRival(now, from, p, mine)
	m.rival = sighting(now, from, p)
}

// outlive goes on beside an owner that hears nothing, however good it is: it
// advertises what it cannot serve. What it announces is answered as any other
// station's claim.
func (m *Machine) outlive(now time.Time, from netip.Addr, p *Packet) {
	m.noteRival(now, from, p, m.Priority(now))
	m.doubt(now, from, p)
}

// tellRival reports a duel once. The last word of an owner that was just
// replaced is none.
func (m *Machine) tellRival(now time.Time, from netip.Addr, p *Packet, mine uint8) {
	if !m.rival.alive(now) {
		m.rivalTold = false
	}
	if m.rivalTold || now.Sub(m.activeSince) < lastWords {
		return
	}
	m.rivalTold = true
	m.act(Report{Kind: Rival, From: from, Detail: fmt.Sprintf("it advertises priority %d, this node %d%s", p.Priority, mine, m.otherTongue(p))})
}

// otherTongue says why a rival may not understand this node: most routers hear
// one version only, and in version 2 their own interval only (RFC 3768 7.1).
func (m *Machine) otherTongue(p *Packet) string {
	switch {
	case p.Version != m.cfg.Version:
		return fmt.Sprintf("; its adverts are of version %d, this node's of %d, which it may not hear: make vrrp.version equal", p.Version.number(), m.cfg.Version.number())
	case p.Version == Version2 && p.Interval != m.cfg.Interval:
		return fmt.Sprintf("; its interval is %v, this node's %v, which it may refuse in version 2: make vrrp.advert_interval equal", p.Interval, m.cfg.Interval)
	}
	return ""
}

// assert advertises at once, so that an inferior owner steps down.
func (m *Machine) assert(now time.Time) {
	if m.state == Listening {
		m.resume(now)
		return
	}
	m.sendAdvert(now)
}

// stepDown yields to a better owner. Its last word, unless it wanted to leave, is
// an advert: a winner that spoke first would otherwise never learn that there
// were two, and would not announce itself to the clients of the other side of a
// healed partition.
func (m *Machine) stepDown(now time.Time, to netip.Addr, p *Packet, mine uint8, lonely bool) {
	reason := election.DuelLost
	switch {
	case m.duty != Serve:
		reason = m.dutyReason
	case BandOf(p.Priority) > BandOf(mine):
		reason = election.Unwell
	case p.Priority > mine && !lonely:
		reason = election.HigherPriority
	}
	m.yield(now, sighting(now, to, p), reason, fmt.Sprintf("%v advertises priority %d, this node %d", to, p.Priority, mine))
	if m.duty == Serve {
		m.advert.Priority, m.advert.Rhythm = mine, m.cfg.Rhythm
		m.act(&m.advert)
		m.doubtWinner(now, to, p)
	}
}

// yieldLate: late means lost. Who took over meanwhile has the clients, so a late
// owner does not duel inside its band: that would move the VIP once more.
func (m *Machine) yieldLate(now time.Time, to netip.Addr, p *Packet) {
	m.yield(now, sighting(now, to, p), election.Late, fmt.Sprintf("%v took over while this daemon could not run for %v", to, m.lateBy))
}

func (m *Machine) yield(now time.Time, to Sighting, reason election.Reason, detail string) {
	m.enter(Backup, reason, detail)
	m.act(Release{})
	m.rival = Sighting{}
	m.rest(now)
	m.owner = to
	m.judgeOwner(now)
	m.arm(now)
}
