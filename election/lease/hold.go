package lease

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

// agree brings what this node holds in line with the owner key.
func (m *Machine) agree(now time.Time) {
	if m.leftover && m.state == vrrp.Backup && m.owner.Lease != 0 && m.owner.Node != m.cfg.Node {
		m.leftover = false
		m.release(now)
	}
	mine := m.mine()
	switch m.state {
	case vrrp.Active, vrrp.Displacing:
		switch {
		case mine:
			m.wakeUntil()
		case m.cfg.Keep && m.owner.Lease == 0:
			// It keeps on, and takes the key as soon as it can.
		default:
			m.lose(now, election.LeaseLost, m.whyLost())
		}
	case vrrp.Listening:
		if !mine {
			m.passed(now)
			return
		}
		m.wakeUntil()
	case vrrp.Backup:
		if mine && m.mayHold(now) {
			m.claim(now)
		}
	case vrrp.Init:
		m.resigns = mine
	case vrrp.Probing:
	}
	if m.state == vrrp.Displacing {
		if !now.Before(m.claimUntil) {
			m.serve(now)
			return
		}
		m.wakeAt(m.claimUntil)
	}
}

func (m *Machine) wakeUntil() {
	if !m.cfg.Keep {
		m.wakeAt(m.session.until)
	}
}

// whyLost is one line about a key that went.
func (m *Machine) whyLost() string {
	switch {
	case m.owner.Lease == 0 && m.session.id == 0:
		return "etcd does not know the lease any more"
	case m.owner.Lease == 0:
		return "the owner key was deleted"
	}
	return m.owner.Node + " holds the lease"
}

// mayHold: the key stays this node's while its lease does. A change of it that may
// come about yet could give it to another one behind this node's back.
func (m *Machine) mayHold(now time.Time) bool {
	changing := m.writing != 0 && (m.change.Kind == Pass || m.change.Kind == Resign)
	if now.Before(m.doubtUntil) {
		m.wakeAt(m.doubtUntil)
		return false
	}
	return m.session.valid(now) && !m.unsure && !m.resigns && !changing
}

// claim begins to hold. The former owner of a key that was passed serves silently
// until it hears this node's advert, which comes when the addresses are there;
// after any other one nobody serves.
func (m *Machine) claim(now time.Time) {
	passed := m.owner.From != "" && m.owner.From != m.cfg.Node && m.owner.Term != m.term
	silent := !passed && !m.adopts && m.other.Addr.IsValid() && m.owner.Term != m.term
	m.why, m.detail = m.owner.Reason, ""
	switch {
	case passed:
		m.detail = m.owner.From + " passed the lease on"
	case m.owner.Term == m.term:
		m.why, m.detail = election.LeaseFree, "etcd confirmed the lease again"
	case m.adopts:
		m.detail = "an earlier vipd on this node held the lease"
	case m.other.Addr.IsValid():
		m.detail = fmt.Sprintf("the lease of %v had ended", m.other.Addr)
	default:
		m.detail = "nobody held the lease"
	}
	m.term, m.adopts = m.owner.Term, false
	m.off, m.leftover = false, false
	m.attempt++
	hold := vrrp.Hold{Attempt: m.attempt, AfterSilence: silent}
	if passed {
		m.enter(vrrp.Displacing, m.why, m.detail)
		m.claimUntil = now.Add(claimMax)
		m.act(hold)
		return
	}
	m.serve(now)
	m.act(hold)
}

// serve makes this node the owner, for all to hear.
func (m *Machine) serve(now time.Time) {
	m.enter(vrrp.Active, m.why, m.detail)
	m.activeSince, m.advertAt = now, now
	m.rival, m.rivalTold = vrrp.Sighting{}, time.Time{}
	m.pass = pass{}
}

// release takes the addresses off. What is said of them afterwards waits for it.
func (m *Machine) release(now time.Time) {
	m.act(vrrp.Release{})
	m.off, m.offBy = false, now.Add(m.cfg.Fence+offSlack)
	m.pass = pass{}
}

// lose ends an ownership at once.
func (m *Machine) lose(now time.Time, reason election.Reason, detail string) {
	m.enter(vrrp.Backup, reason, detail)
	m.release(now)
}

func (m *Machine) linkUp(now time.Time) {
	if m.state != vrrp.Init {
		return
	}
	m.upSince, m.stranger = now, vrrp.Sighting{}
	m.enter(vrrp.Backup, election.Startup, "")
}

func (m *Machine) linkDown(now time.Time, ev vrrp.LinkDown) {
	m.release(now)
	m.resigns = m.mine()
	if m.state != vrrp.Init {
		m.enter(vrrp.Init, ev.Reason, ev.Detail)
	}
}

func (m *Machine) abandon(now time.Time, ev vrrp.Abandon) {
	m.resigns = m.mine()
	m.leftover = false
	if m.holding() {
		m.enter(vrrp.Backup, ev.Reason, ev.Detail)
	}
	m.release(now)
}
