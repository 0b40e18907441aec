package vrrp

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/election"
)

// leaveOwner takes over from an owner that resigned, or begins to displace one
// that is alive: addresses first, advert second, so that the owner steps down
// only when it is replaced.
func (m *Machine) leaveOwner(now time.Time) {
	if m.displaceReason == election.OwnerResigned {
		m.takeOver(now, election.OwnerResigned, fmt.Sprintf("%v advertised priority 0", m.owner.Addr))
		return
	}
	m.enter(Displacing, m.displaceReason, m.displaceDetail())
	m.hold(false)
	m.displaceLimit = now.Add(displaceTimeout)
	m.armDisplacing()
}

func (m *Machine) displaceDetail() string {
	return fmt.Sprintf("%v advertises priority %d, this node's is %d", m.owner.Addr, m.owner.Priority, m.bandPriority())
}

// armDisplacing lets the owner's silence end the wait for the addresses.
func (m *Machine) armDisplacing() {
	m.deadline = m.displaceLimit
	if s := m.silenceEnds(); s.Before(m.deadline) {
		m.deadline = s
	}
}

// displaceTimer ends a displacement whose addresses did not come in time. An
// owner that fell silent meanwhile is not waited for, unless it is this node
// that was away.
func (m *Machine) displaceTimer(now time.Time) {
	switch {
	case m.late(now):
		m.silentFrom = now
		m.undo(now, "this node was late itself")
	case now.Before(m.silenceEnds()):
		m.undo(now, fmt.Sprintf("the addresses were not held within %v", displaceTimeout))
	default:
		m.becomeActive(now, election.OwnerSilent, m.silence(now))
		m.hold(true)
	}
}

// held reports on the addresses. As owner there is nothing to decide: the agent
// tries on, and tells by Health when it cannot.
func (m *Machine) held(now time.Time, ev Held) {
	if m.state != Displacing || ev.Attempt != m.attempt {
		return
	}
	if ev.Err != nil {
		m.undo(now, ev.Err.Error())
		return
	}
	m.becomeActive(now, m.displaceReason, m.displaceDetail())
}

// resignedWhileDisplacing: nobody serves any more, so the advert goes out now.
func (m *Machine) resignedWhileDisplacing(now time.Time) {
	m.becomeActive(now, election.OwnerResigned, fmt.Sprintf("%v advertised priority 0", m.owner.Addr))
}

// undo takes back a displacement that failed: the owner serves on. The next try
// comes after a second, then after two, four and so on.
func (m *Machine) undo(now time.Time, why string) {
	m.act(Report{Kind: Undone, From: m.owner.Addr, Detail: why})
	m.retryAfter = now.Add(min(displaceRetry<<m.retries, displaceRetryMax))
	if displaceRetry<<m.retries < displaceRetryMax {
		m.retries++
	}
	m.displaceAt = time.Time{}
	m.withdraw(now, election.HoldFailed, why)
}

// withdraw goes back to Backup before any advert was sent.
func (m *Machine) withdraw(now time.Time, reason election.Reason, why string) {
	m.act(Release{})
	m.enter(Backup, reason, why)
	m.arm(now)
}
