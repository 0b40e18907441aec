package peer

import (
	"slices"
	"time"
)

// Received judges a datagram and takes its news in. The changes are valid until
// the next call. The error is one of the Err values of this package; then the
// table believes nothing that the hello says, though there may be a change to
// act on: somebody waits for an echo, or has the name of another node.
func (t *Table) Received(now time.Time, d *Datagram) ([]Change, error) {
	t.changes = t.changes[:0]
	err := t.received(now, d)
	t.plan()
	return t.changes, err
}

func (t *Table) received(now time.Time, d *Datagram) error {
	segment, err := t.arrival(d)
	if err != nil {
		return err
	}
	body, tagged, err := t.open(d)
	if err != nil {
		return err
	}
	h := &t.hello
	if err := t.parser.Parse(body, h); err != nil {
		return err
	}
	if h.Boot == t.self.Boot {
		return ErrOwn
	}
	e := t.entry(h.ID)
	echoed := t.challenges.echoed(now, h.Echoes)
	switch {
	case t.keys != nil && !echoed:
		return t.unproven(now, h, e)
	case t.keys == nil && !segment.recognises(d, h, e):
		return ErrForeign
	}
	listed := slices.Contains(segment.Listed, d.Src)
	e, err = t.identify(now, d, h, e, listed)
	if err != nil {
		return err
	}
	e.Authenticated, e.Tagged, e.Listed = t.keys != nil, tagged, e.Listed || listed
	if echoed {
		e.echoed, e.Hears = now, true
	}
	t.accept(now, d, h, e)
	return nil
}

// arrival judges where the datagram came from.
func (t *Table) arrival(d *Datagram) (*Segment, error) {
	if d.HopLimit != HopLimit {
		return nil, ErrHopLimit
	}
	i := slices.IndexFunc(t.segments, func(s Segment) bool { return s.Interface == d.Interface })
	if i < 0 {
		return nil, ErrInterface
	}
	return &t.segments[i], nil
}

// open checks the tag if there is a key, and takes it off.
func (t *Table) open(d *Datagram) (body []byte, tagged bool, err error) {
	if !versionKnown(d.Payload) {
		return nil, false, ErrVersion
	}
	if t.keys == nil {
		return untag(d.Payload)
	}
	body, err = t.keys.open(d.Payload, d.Src)
	return body, true, err
}

// recognises reports whether a hello without authentication counts.
func (s *Segment) recognises(d *Datagram, h *Hello, e *entry) bool {
	if slices.Contains(s.Listed, d.Src) {
		return true
	}
	if !s.Open {
		return false
	}
	for i := range h.Statements {
		if h.Statements[i].Shares(s.VIPs) {
			return true
		}
	}
	// The group in common may stand in another datagram of the same round.
	return e != nil && e.Boot == h.Boot && e.shares(s.VIPs)
}

// unproven deals with an authentic hello that echoes nothing recent. The table
// believes nothing of it, but echoes its nonce.
func (t *Table) unproven(now time.Time, h *Hello, e *entry) error {
	if e != nil && e.Boot == h.Boot {
		if !e.window.admits(h.Sequence) {
			return ErrReplayed
		}
		e.window.note(h.Sequence)
		e.Overheard, e.Echoes = now, len(h.Echoes)
		if h.Sequence == e.window.top {
			e.nonce = h.Nonce
		}
		return ErrStale
	}
	t.meet(now, h)
	return ErrUnproven
}

// meet remembers the nonce of a stranger. Strangers take places of other
// strangers only.
func (t *Table) meet(now time.Time, h *Hello) {
	i := slices.IndexFunc(t.strangers, func(s stranger) bool { return s.boot == h.Boot })
	switch {
	case i >= 0:
	case len(t.strangers) < maxStrangers:
		t.strangers = append(t.strangers, stranger{})
		i = len(t.strangers) - 1
	default:
		i = 0
		for j := range t.strangers {
			if t.strangers[j].heard.Before(t.strangers[i].heard) {
				i = j
			}
		}
	}
	if s := &t.strangers[i]; s.boot != h.Boot || s.nonce != h.Nonce {
		t.tell(Waiting{})
	}
	t.strangers[i] = stranger{boot: h.Boot, nonce: h.Nonce, heard: now}
}

// identify finds or makes the entry of the hello's sender, or refuses it.
func (t *Table) identify(now time.Time, d *Datagram, h *Hello, e *entry, listed bool) (*entry, error) {
	if h.ID == t.id {
		return nil, t.double(now, d, h, &t.namesake)
	}
	if e != nil && e.Boot == h.Boot {
		if !e.window.admits(h.Sequence) {
			return nil, ErrReplayed
		}
		return e, nil
	}
	earlier := t.pastLife(h.ID, h.Boot)
	if earlier != nil && e != nil && e.alive(now) {
		// Boots are random and never come back: two nodes have one name.
		err := t.double(now, d, h, &e.namesake)
		e.Namesake = within(now, e.namesake, Lifetime)
		return nil, err
	}
	var heard window
	if earlier != nil {
		if heard = earlier.window; !heard.admits(h.Sequence) {
			return nil, ErrReplayed
		}
	}
	return t.begin(now, h, e, heard, listed)
}

// begin begins a peer's life in the table: its first one, or another one.
func (t *Table) begin(now time.Time, h *Hello, e *entry, heard window, listed bool) (*entry, error) {
	if e != nil {
		t.bury(now, e)
		e.restarted = true
	} else if e = t.place(now, h.ID, listed); e == nil {
		return nil, ErrFull
	}
	t.exhume(h)
	t.strangers = slices.DeleteFunc(t.strangers, func(s stranger) bool { return s.boot == h.Boot })
	e.Boot, e.window, e.Condition = h.Boot, heard, Silent
	e.echoed, e.Hears = time.Time{}, false
	e.namesake, e.Namesake = time.Time{}, false
	e.Listed = false
	t.tell(Waiting{})
	return e, nil
}

// double deals with a hello of another node that has a name already taken.
func (t *Table) double(now time.Time, d *Datagram, h *Hello, last *time.Time) error {
	l := t.pastLife(h.ID, h.Boot)
	if l == nil {
		l = t.remember(now, life{id: h.ID, boot: h.Boot})
	}
	if !l.window.admits(h.Sequence) {
		return ErrReplayed
	}
	l.window.note(h.Sequence)
	l.heard = now
	if t.keys != nil {
		// It goes on proving that it is there only as long as it is echoed.
		t.meet(now, h)
	}
	if !within(now, *last, Lifetime) {
		t.tell(Doubled{ID: h.ID, Name: h.Name, Source: d.Src})
	}
	*last = now
	return ErrNamesake
}

// accept takes in what a peer says.
func (t *Table) accept(now time.Time, d *Datagram, h *Hello, e *entry) {
	e.window.note(h.Sequence)
	e.Heard, e.Overheard = now, now
	newest := h.Sequence == e.window.top
	if newest {
		e.describe(h)
	}
	switch {
	case newest && h.Stopping:
		t.part(now, e, h)
	case e.Condition == Silent, e.Condition == Left && newest:
		t.join(now, e)
	}
	for i := range h.Statements {
		t.hear(now, d, h, e, &h.Statements[i])
	}
}

// describe takes in what the newest hello says of the node itself.
func (e *entry) describe(h *Hello) {
	e.nonce = h.Nonce
	e.Name, e.Version, e.Minor, e.Capabilities = h.Name, h.Version, h.Minor, h.Capabilities
	e.Digests = append(e.Digests[:0], h.Digests...)
	e.Echoes = len(h.Echoes)
}

// join makes the peer alive. What it said of its groups before counts no more:
// it says it again.
func (t *Table) join(now time.Time, e *entry) {
	e.Condition, e.Since, e.keep = Alive, now, Retention
	e.Members = e.Members[:0]
	t.tell(Joined{ID: e.ID, Restarted: e.restarted})
	e.restarted = false
}

// part notes that the peer stops, and keeps what it left behind in view.
func (t *Table) part(now time.Time, e *entry, h *Hello) {
	e.keep = Retention
	for i := range h.Statements {
		e.keep = max(e.keep, h.Statements[i].Grace)
	}
	if e.Condition == Left {
		return
	}
	if e.Condition == Silent {
		e.Members = e.Members[:0]
	}
	e.Condition, e.Since, e.restarted = Left, now, false
	t.tell(Parted{ID: e.ID})
}

// hear takes in a statement, unless a later one about the group came first.
func (t *Table) hear(now time.Time, d *Datagram, h *Hello, e *entry, s *Statement) {
	m := e.Member(s.VIPs)
	if m == nil {
		if len(e.Members) >= maxMembers {
			return
		}
		e.Members = append(e.Members, Member{})
		m = &e.Members[len(e.Members)-1]
	} else if m.sequence > h.Sequence {
		return
	}
	changed := m.differs(s) || !m.Link.equal(&h.Link)
	m.copyFrom(s)
	m.Link.copyFrom(&h.Link)
	m.Interface, m.Source, m.Heard, m.sequence = d.Interface, d.Src, now, h.Sequence
	if changed {
		t.tell(Said{ID: e.ID, VIPs: m.VIPs})
	}
}
