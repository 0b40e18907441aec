package peer

import (
	"slices"
	"time"
)

// Tick does what is due: peers fall silent, statements that were not repeated
// go, and peers long gone are forgotten. The changes are valid until the next
// call.
func (t *Table) Tick(now time.Time) []Change {
	t.changes = t.changes[:0]
	if t.due.IsZero() || now.Before(t.due) {
		return t.changes
	}
	for _, e := range t.peers {
		t.age(now, e)
	}
	t.forget(now, func(e *entry) bool { return e.Condition != Alive && !within(now, e.Heard, e.keep) })
	t.plan()
	return t.changes
}

// Deadline is when Tick has to be called next; the zero time: there is nothing
// to wait for.
func (t *Table) Deadline() time.Time { return t.due }

func (t *Table) age(now time.Time, e *entry) {
	e.Hears = within(now, e.echoed, Lifetime)
	e.Namesake = within(now, e.namesake, Lifetime)
	if e.Condition != Alive {
		return
	}
	if !within(now, e.Heard, Lifetime) {
		e.Condition, e.Since = Silent, now
		t.tell(Silenced{ID: e.ID})
		return
	}
	e.Members = slices.DeleteFunc(e.Members, func(m Member) bool {
		unsaid := !within(now, m.Heard, Lifetime)
		if unsaid {
			t.tell(Unsaid{ID: e.ID, VIPs: m.VIPs})
		}
		return unsaid
	})
}

// forget removes the peers that gone names.
func (t *Table) forget(now time.Time, gone func(*entry) bool) {
	t.peers = slices.DeleteFunc(t.peers, func(e *entry) bool {
		if !gone(e) {
			return false
		}
		t.bury(now, e)
		t.tell(Forgotten{ID: e.ID, Name: e.Name})
		return true
	})
}

// plan finds the next deadline.
func (t *Table) plan() {
	t.due = time.Time{}
	for _, e := range t.peers {
		if e.Hears {
			t.sooner(e.echoed.Add(Lifetime))
		}
		if e.Namesake {
			t.sooner(e.namesake.Add(Lifetime))
		}
		if e.Condition != Alive {
			t.sooner(e.Heard.Add(e.keep))
			continue
		}
		t.sooner(e.Heard.Add(Lifetime))
		for i := range e.Members {
			t.sooner(e.Members[i].Heard.Add(Lifetime))
		}
	}
}

func (t *Table) sooner(at time.Time) {
	if t.due.IsZero() || at.Before(t.due) {
		t.due = at
	}
}
