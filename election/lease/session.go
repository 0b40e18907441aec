package lease

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// session is this node's lease.
type session struct {
	id ID
	// ttl is what the store granted: it may be more than was asked for.
	ttl time.Duration
	// wanted is what was asked for.
	wanted time.Duration
	// asked is the instant before the last renewal that the store confirmed.
	asked time.Time
	// until is when this node stops to count on it.
	until time.Time
}

// valid: what is bound to the lease is this node's for sure.
func (s *session) valid(now time.Time) bool { return s.id != 0 && now.Before(s.until) }

// confirmed notes a renewal. The store may have counted from later on, never from
// earlier; of its TTL and the configured one the smaller one counts.
func (s *session) confirmed(a Answer, wanted time.Duration) {
	if a.Lease != s.id {
		s.wanted = wanted
	}
	s.id, s.ttl, s.asked = a.Lease, a.TTL, a.Sent
	ttl := min(a.TTL, wanted)
	s.until = a.Sent.Add(ttl - margin(ttl))
}

// renewed hears of a renewal.
func (m *Machine) renewed(now time.Time, a Answer) {
	m.renewing = 0
	switch {
	case a.Err != nil:
		m.noteTrouble(a.Err.Error())
		m.renewAt = now.Add(m.pause())
	case a.Lost:
		m.lostSession(now)
	default:
		if a.Lease != m.session.id {
			m.stood = Candidate{}
		}
		if m.reached && !m.session.valid(now) { // the owner may not have reached the store either
			m.aliveUntil = latest(m.aliveUntil, now.Add(regainGrace))
		}
		m.session.confirmed(a, m.cfg.TTL)
		m.witness(a)
		m.renewAt = a.Sent.Add(m.pace())
		if m.mine() && !m.slow && m.renewSeen != m.owner.Revision {
			m.renewAt = now // it did not say that this node owns
		}
		m.slow = m.slow && now.Sub(a.Sent) > m.pace()/2
		m.trouble = ""
		m.reached = true
	}
}

// lostSession hears that the store does not know the lease any more. One that ended
// before its time was lost with the store that knew it.
func (m *Machine) lostSession(now time.Time) {
	if m.session.id != 0 && now.Before(m.session.asked.Add(m.session.ttl)) {
		m.doubt(now)
	}
	if m.owner.Lease == m.session.id { // it went with the lease
		m.owner, m.freeSince = Owner{}, now
	}
	m.session = session{}
	m.renewAt = now
}

// witness learns from a renewal since when the owner key is this node's. Whoever
// waits for the end of an ownership counts from when it saw it, or its last renewal:
// from later on than an instant before that was written.
func (m *Machine) witness(a Answer) {
	switch {
	case !m.mine():
		m.ownedFrom = a.Sent // nothing that makes it the owner is older
	case a.Renewed:
		m.ownedFrom = a.Sent
		if !m.shortenedAt.IsZero() {
			m.shortenedAt = a.Sent // until then they had not learned it
		}
	}
}

// until is when this node stops to count on it that nobody else may own: its lease
// may have ended, or others may take the key from a lease that they saw no renewal of.
func (m *Machine) until() time.Time {
	if m.session.id == 0 || m.ownedFrom.IsZero() {
		return time.Time{}
	}
	ttl := m.ttl()
	until := m.session.until
	if m.mine() && m.owner.TTL > ttl {
		// The others wait for longer, until they learn the shorter one.
		until = earliest(until, m.ownedFrom.Add(m.owner.TTL-margin(m.owner.TTL)))
		if m.shortenedAt.IsZero() {
			return until
		}
		return earliest(until, m.shortenedAt.Add(ttl-margin(ttl)))
	}
	return earliest(until, m.ownedFrom.Add(ttl-margin(ttl)))
}

// owns: the key is this node's for sure.
func (m *Machine) owns(now time.Time) bool { return m.mine() && now.Before(m.until()) }

// ttl is how long this node may count on a renewal: what is configured, what etcd
// granted, and for how long the others wait for it.
func (m *Machine) ttl() time.Duration {
	ttl := m.cfg.TTL
	if m.session.id != 0 {
		ttl = min(ttl, m.session.ttl)
	}
	if m.mine() && m.owner.TTL != 0 {
		ttl = min(ttl, m.owner.TTL)
	}
	return ttl
}

// pace is the time between two renewals, and what any call may take.
func (m *Machine) pace() time.Duration { return m.ttl() / renewals }

// pause is how long to wait after a call that failed.
func (m *Machine) pause() time.Duration {
	if !m.reached {
		return farPause
	}
	return retryPause
}

// noteTrouble keeps why the store could not be asked.
func (m *Machine) noteTrouble(why string) { m.trouble = why }

// doubt: the store may be a copy that knows nothing of what it granted lately.
// Whoever holds by the former one stops within a TTL.
func (m *Machine) doubt(now time.Time) { m.doubtUntil = over(now, max(m.cfg.TTL, m.owner.TTL)) }

// Revise changes what may change while the machine goes on. A longer TTL counts
// from the next lease on, which a node asks for while it does not own. A shorter one
// counts for an owner as soon as the others may know it.
func (m *Machine) Revise(ttl time.Duration, keep bool, fence time.Duration) {
	if ttl < m.cfg.TTL {
		m.renewAt = time.Time{}
	}
	m.cfg.TTL, m.cfg.Keep, m.cfg.Fence = ttl, keep, fence
}

// toRenew is the lease to be kept alive; 0: a new one is wanted.
func (m *Machine) toRenew() ID {
	if m.session.wanted != m.cfg.TTL && !m.holding() && !m.mine() && m.writing == 0 {
		return 0
	}
	return m.session.id
}

// expire ends an ownership that was not confirmed in time. It comes before
// anything else that a Step does: a daemon that was frozen learns it first.
func (m *Machine) expire(now time.Time) {
	if m.bootstraps {
		m.expireBound(now)
		return
	}
	if !m.holding() || m.cfg.Keep || now.Before(m.until()) {
		return
	}
	why := m.trouble
	if why == "" {
		why = "no answer"
	}
	m.slow = true
	m.lose(now, election.LeaseLost, fmt.Sprintf("the lease was not confirmed for %v: %s", now.Sub(m.ownedFrom).Round(time.Millisecond), why))
}

// Lifetime is how long the kernel may keep the addresses of an owner if it is told
// by a time, zero: whenever; 0: not at all any more. So a frozen daemon is off the
// network before its lease can be another's.
func (m *Machine) Lifetime(now time.Time, fence time.Duration) (lifetime time.Duration, by time.Time) {
	if m.bootstraps && m.boundAt.IsZero() || m.cfg.Keep {
		return fence, time.Time{}
	}
	end := m.until().Add(grace - lateness)
	lifetime = min(fence, lifetimeMax, (end.Sub(now) - orderSlack).Truncate(time.Second))
	if lifetime <= 0 {
		return 0, time.Time{}
	}
	return lifetime, end.Add(-lifetime)
}

// LastRefresh is when the kernel can be told for the last time to keep the addresses,
// unless the lease is confirmed again; zero: the lease does not bound that.
func (m *Machine) LastRefresh() time.Time {
	if m.bootstraps && m.boundAt.IsZero() || m.cfg.Keep {
		return time.Time{}
	}
	return m.until().Add(grace - lateness - orderSlack - time.Second - tickSlack)
}

// earliest is the earlier of two deadlines; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// fresh: an owner is not silent for as long as others wait.
func fresh(now time.Time, s vrrp.Sighting) bool {
	return s.Addr.IsValid() && !s.Heard.IsZero() && now.Sub(s.Heard) < s.ActiveDownInterval(0)
}
