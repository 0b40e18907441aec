package lease

import "time"

// Status is the lease as operators see it.
type Status struct {
	// Held: the VIP's lease is this node's, for Remaining if it is not renewed.
	Held      bool
	Remaining time.Duration
	// TTL is how long a renewal counts; 0: the store granted nothing.
	TTL time.Duration
	// Holder is the node that has the owner key; empty: none is known.
	Holder string
	Term   uint64
	// Candidates are the nodes that would own.
	Candidates []Candidate
	// Bootstraps: VRRP elects.
	Bootstraps bool
	// Reached: the store answered, in this life. Trouble is why it did not the last
	// time; empty: it did.
	Reached bool
	Trouble string
	// Discord is what is wrong with the group's addresses on the nodes, and the mend;
	// empty: they agree.
	Discord string
}

// Status is what is known at now.
func (m *Machine) Status(now time.Time) Status {
	s := Status{
		Held: !m.bootstraps && m.holding() && m.owns(now), TTL: min(m.session.ttl, m.cfg.TTL),
		Holder: m.owner.Node, Term: m.owner.Term, Candidates: m.candidates,
		Bootstraps: m.bootstraps, Reached: m.reached, Trouble: m.trouble, Discord: m.discord(),
	}
	if s.Trouble == "" {
		s.Trouble = m.unwritten // renewals may be answered all the same
	}
	if s.Held {
		s.Remaining = m.until().Sub(now)
	}
	return s
}

// Reached tells whether the store has answered: VRRP is not to elect after the
// next start.
func (m *Machine) Reached() bool { return m.seen }
