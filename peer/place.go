package peer

import (
	"slices"
	"time"
)

// rank orders peers by their right to a place in the table. A newcomer takes the
// place of a lower rank only, so a flood of unknown nodes displaces no peer.
type rank uint8

const (
	// stray: gone, and never known otherwise than by its hellos.
	stray rank = iota
	// visitor: there, not authenticated and not listed.
	visitor
	// absent: gone; authenticated or listed.
	absent
	// resident: there; authenticated or listed.
	resident
)

func rankOf(known, gone bool) rank {
	switch {
	case known && gone:
		return absent
	case known:
		return resident
	case gone:
		return stray
	}
	return visitor
}

func (e *entry) rank() rank {
	return rankOf(e.Authenticated || e.Listed, e.Condition == Silent)
}

// place makes an entry for a newcomer, nil if there is no place for one.
func (t *Table) place(now time.Time, id ID, listed bool) *entry {
	if len(t.peers) >= maxPeers {
		victim := t.least()
		if victim.rank() >= rankOf(listed || t.keys != nil, false) {
			return nil
		}
		t.forget(now, func(e *entry) bool { return e == victim })
	}
	e := &entry{Node: Node{ID: id}}
	i, _ := t.search(id)
	t.peers = slices.Insert(t.peers, i, e)
	return e
}

// least returns the peer of the lowest rank, of several the one that was not
// heard for the longest time.
func (t *Table) least() *entry {
	return slices.MinFunc(t.peers, func(a, b *entry) int {
		if a.rank() != b.rank() {
			return int(a.rank()) - int(b.rank())
		}
		return a.Heard.Compare(b.Heard)
	})
}
