package vrrp

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/election"
)

// ask starts a probe of the VIP. A node that heard no adverts since it started
// must not trust that: it may be a joiner that no unicast peer lists yet, or
// multicast may be filtered.
func (m *Machine) ask(now time.Time) {
	m.attempt++
	m.asking = true
	m.act(Probe{Attempt: m.attempt})
	m.deadline = now.Add(probeTimeout)
}

// probeTimer asks again, or gives a probe up that never reported.
func (m *Machine) probeTimer(now time.Time) {
	if m.asking {
		m.probed(now, Probed{Attempt: m.attempt})
		return
	}
	m.ask(now)
}

// probed claims a VIP that nobody answers for. One that was answered for must
// be silent for probeQuiet first. A result from before this node was away is not
// worth anything: it asks again.
func (m *Machine) probed(now time.Time, ev Probed) {
	if m.state != Probing || !m.asking || ev.Attempt != m.attempt {
		return
	}
	m.asking = false
	if ev.MAC != "" {
		m.stayOff(now, ev.MAC)
		return
	}
	if now.Sub(m.deadline) > probeLate {
		m.ask(now)
		return
	}
	if !m.answered.IsZero() && now.Sub(m.answered) < probeQuiet {
		m.deadline = now.Add(probePause)
		return
	}
	m.takeOver(now, election.NobodyHeard, "nobody advertises the group or answers for its addresses")
}

func (m *Machine) stayOff(now time.Time, mac string) {
	if m.answered.IsZero() {
		detail := fmt.Sprintf("VIP answered by %s, no adverts heard", mac)
		m.enter(Probing, election.VIPAnswered, detail)
		m.act(Report{Kind: Answered, Detail: detail})
	}
	m.answered = now
	m.deadline = now.Add(probePause)
}
