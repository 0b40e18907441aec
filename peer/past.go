package peer

import (
	"slices"
	"time"
)

// pastLife returns what is remembered of a life that is not a peer's present
// one, nil if nothing is.
func (t *Table) pastLife(id ID, boot Boot) *life {
	i := slices.IndexFunc(t.past, func(l life) bool { return l.id == id && l.boot == boot })
	if i < 0 {
		return nil
	}
	return &t.past[i]
}

// bury remembers the present life of a peer as a past one.
func (t *Table) bury(now time.Time, e *entry) {
	t.remember(now, life{id: e.ID, boot: e.Boot, window: e.window, heard: e.Heard})
}

// exhume forgets a past life that has become a peer's present one.
func (t *Table) exhume(h *Hello) {
	t.past = slices.DeleteFunc(t.past, func(l life) bool { return l.id == h.ID && l.boot == h.Boot })
}

// remember adds a past life, in place of the one heard the longest time ago if
// there is no room. If a nonce that one may have echoed still counts, its hellos
// could then be replayed, so all nonces are made worthless.
func (t *Table) remember(now time.Time, l life) *life {
	if len(t.past) >= maxPast {
		oldest := 0
		for i := range t.past {
			if t.past[i].heard.Before(t.past[oldest].heard) {
				oldest = i
			}
		}
		if within(now, t.past[oldest].heard, nonceLife) {
			t.challenges.void()
			t.tell(Waiting{})
		}
		t.past = slices.Delete(t.past, oldest, oldest+1)
	}
	t.past = append(t.past, l)
	return &t.past[len(t.past)-1]
}
