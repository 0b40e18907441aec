package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/election"
)

// rest puts a backup's timers to where they are when it has just begun.
func (m *Machine) rest(now time.Time) {
	m.silentFrom = now
	m.displaceAt = time.Time{}
	m.lateStarts = 0
	m.asking, m.answered = false, time.Time{}
	m.arm(now)
}

// arm sets the deadline of a Backup from its timers.
func (m *Machine) arm(now time.Time) {
	if m.duty != Serve {
		m.deadline = time.Time{}
		return
	}
	m.deadline = m.silenceEnds()
	if !m.displaceAt.IsZero() && m.displaceAt.Before(m.deadline) {
		m.deadline = m.displaceAt
	}
	for _, earliest := range [2]time.Time{m.startupUntil, now} {
		if m.deadline.Before(earliest) {
			m.deadline = earliest
		}
	}
}

// silenceEnds is when silence has lasted for the owner's ActiveDownInterval
// (RFC 9568 6.4.2) and this node's share of the tie skew.
func (m *Machine) silenceEnds() time.Time {
	r := m.ownerRhythm()
	return m.silentFrom.Add(r.ActiveDownInterval(m.bandPriority()) + m.tieSkew(tieStep(r.Interval)))
}

// ownerRhythm has Active_Adver_Interval (RFC 9568 6.1): the owner's, ours until
// one was heard.
func (m *Machine) ownerRhythm() Rhythm {
	if m.owner.Addr.IsValid() {
		return m.owner.Rhythm
	}
	return m.cfg.Rhythm
}

// bandPriority is the priority this node would own with; loneliness does not
// slow it down.
func (m *Machine) bandPriority() uint8 {
	if m.healthy {
		return m.cfg.Priority
	}
	return m.cfg.UnhealthyPriority
}

func tieStep(interval time.Duration) time.Duration {
	return min(max(minTieStep, interval/8), maxTieStep)
}

// displaceSkew orders those who would displace a live owner. Only vipd displaces
// like this, and clients may be waiting, so a long interval does not stretch it.
func displaceSkew(interval time.Duration, priority uint8) time.Duration {
	return Rhythm{Interval: min(interval, maxDisplaceSkew)}.SkewTime(priority)
}

// tieSkew keeps equal backups apart: a step for each known peer that would be
// better by RFC 9568's tie rule, the owner left out; where no peers are known
// the address decides.
func (m *Machine) tieSkew(step time.Duration) time.Duration {
	peers := m.cfg.Peers
	if len(peers) == 0 {
		peers = m.members
	}
	if len(peers) == 0 {
		a := m.own.As16()
		return time.Duration(a[15]%4) * step
	}
	rank := 0
	for _, p := range peers {
		if p != m.owner.Addr && m.own.Less(p) {
			rank++
		}
	}
	return time.Duration(rank) * step
}

// hearAsBackup is what RFC 9568 6.4.2 says of an advert received, with bands. An
// advert to be displaced is not discarded as there: it tells that the owner
// lives, so the timer for silence starts anew with it.
func (m *Machine) hearAsBackup(now time.Time, from netip.Addr, p *Packet) {
	if m.leftover && p.Priority != PriorityResigned {
		m.leftover = false
		m.act(Release{})
	}
	if m.owner.Addr != from && m.owner.steady(now) && beats(m.owner.Priority, m.owner.Addr, p.Priority, from) {
		return // two owners: the one that will win counts
	}
	m.owner = sighting(now, from, p)
	m.lateStarts = 0
	// To a healthy node zero says that nobody serves. A vipd owner repeats its
	// zero while it still serves: to an unhealthy node that is a sign of life.
	if p.Priority != PriorityResigned || !m.healthy || m.state == Probing {
		m.silentFrom = now
	}
	m.doubtOwner(now, from, p)
	m.judgeOwner(now)
	if m.state == Probing {
		m.enter(Backup, election.Startup, fmt.Sprintf("%v advertises as owner", from))
		m.asking, m.answered = false, time.Time{}
	}
	m.reconsider(now, election.HigherPriority, "the owner is not to be left any more")
}

// steady: so lately heard that another's claim is a second owner's and not a
// successor's. A successor claims after three silent intervals; it may have
// missed the last advert that this node heard, and this node one that was sent.
func (s *Sighting) steady(now time.Time) bool {
	return s.alive(now) && now.Sub(s.Heard) <= 2*s.Interval
}

// judgeOwner decides by the owner's last advert whether it is to be left. It
// moves displaceAt only earlier while the cause lasts.
func (m *Machine) judgeOwner(now time.Time) {
	if !m.owner.Addr.IsValid() {
		return
	}
	if now.Sub(m.owner.Heard) >= m.owner.ActiveDownInterval(0) {
		m.displaceAt = time.Time{} // there is nobody to be left: silence decides
		return
	}
	theirs, mine := BandOf(m.owner.Priority), election.Unhealthy
	if m.healthy {
		mine = election.Healthy
	}
	skew := m.owner.SkewTime(m.bandPriority())
	alive := displaceSkew(m.owner.Interval, m.bandPriority())
	step := tieStep(m.owner.Interval)
	switch {
	case theirs == election.Resigned && mine == election.Healthy:
		m.displaceBy(now.Add(skew+m.leaveSkew(step)), election.OwnerResigned)
	case theirs == election.Resigned:
		// Each zero starts the wait anew: it ends when they have stopped.
		m.displaceAt = m.owner.Heard.Add(m.owner.Interval + skew + m.tieSkew(step))
		m.displaceReason = election.OwnerResigned
	case mine == election.Healthy && theirs == election.Draining:
		m.displaceBy(now.Add(alive+m.leaveSkew(drainStep)), election.OwnerDraining)
	case mine == election.Healthy && theirs == election.Unhealthy:
		m.displaceBy(now.Add(alive+m.tieSkew(claimStep)), election.OwnerUnhealthy)
	case mine == theirs && m.cfg.Preempt && m.bandPriority() > m.owner.Priority:
		at := now.Add(alive + m.tieSkew(claimStep))
		if ready := m.healthySince.Add(m.cfg.PreemptDelay); ready.After(at) {
			at = ready
		}
		m.displaceBy(at, election.HigherPriority)
	default:
		m.displaceAt = time.Time{}
		m.retryAfter, m.retries = time.Time{}, 0
	}
}

// displaceBy arms the displacement, or moves it earlier; later only when the one
// cause that may be delayed comes after another one.
func (m *Machine) displaceBy(at time.Time, reason election.Reason) {
	if reason != election.OwnerResigned && at.Before(m.retryAfter) {
		at = m.retryAfter
	}
	weaker := reason == election.HigherPriority && m.displaceReason != reason
	if m.displaceAt.IsZero() || weaker || at.Before(m.displaceAt) {
		m.displaceAt = at
	}
	m.displaceReason = reason
}

// reconsider brings the state in line after the owner, this node's health or
// its duty changed.
func (m *Machine) reconsider(now time.Time, reason election.Reason, why string) {
	switch m.state {
	case Displacing:
		switch {
		case m.displaceAt.IsZero() || m.duty != Serve:
			m.withdraw(now, reason, why)
		case m.displaceReason == election.OwnerResigned:
			m.resignedWhileDisplacing(now)
		default:
			m.armDisplacing()
		}
	case Probing:
		m.enter(Backup, reason, why)
		m.arm(now)
	case Backup:
		m.arm(now)
	case Init, Active, Listening:
	}
}

// backupTimer acts on Active_Down_Timer (RFC 9568 6.4.2) or on the wish to leave
// a live owner. A backup that was late itself cannot tell silence from its own
// absence, so it starts its timer anew, twice at the most.
func (m *Machine) backupTimer(now time.Time) {
	if m.late(now) && m.lateStarts < maxLateStarts {
		late := m.lateStarts + 1
		m.rest(now)
		m.lateStarts = late
		return
	}
	m.lateStarts = 0
	if m.displaceDue(now) {
		m.leaveOwner(now)
		return
	}
	if !m.owner.Addr.IsValid() {
		m.enter(Probing, election.NobodyHeard, "no adverts heard; asking who answers for the VIP")
		m.ask(now)
		return
	}
	if m.doubtful {
		m.enter(Probing, election.NobodyHeard, m.silence(now)+", and the list of peers may be out of date; asking who answers for the VIP")
		m.ask(now)
		return
	}
	m.takeOver(now, election.OwnerSilent, m.silence(now))
}

// late: this node was away for as long as it waits for an owner.
func (m *Machine) late(now time.Time) bool {
	return now.Sub(m.deadline) > m.ownerRhythm().ActiveDownInterval(m.bandPriority())
}

// displaceDue: the owner is to be left, and unless it resigned it still lives.
func (m *Machine) displaceDue(now time.Time) bool {
	if m.displaceAt.IsZero() || now.Before(m.displaceAt) {
		return false
	}
	return m.displaceReason == election.OwnerResigned || now.Before(m.silenceEnds())
}

func (m *Machine) silence(now time.Time) string {
	return fmt.Sprintf("no advert of %v for %v", m.owner.Addr, now.Sub(m.owner.Heard).Round(time.Millisecond))
}
