package speaker

import "time"

const (
	// firstHaste is how long a session that was begun anew at once has to wait for
	// that to be done again. It doubles up to longestHaste, and begins anew after
	// as long a calm.
	firstHaste   = 5 * time.Second
	longestHaste = 5 * time.Minute
)

// haste spares a lost session the pauses between attempts, as long as that does
// not happen again and again: each return makes routers rehash.
type haste struct {
	next  time.Time
	pause time.Duration
}

// permits tells whether a session may be begun anew at once, and counts that it
// is.
func (h *haste) permits(now time.Time) bool {
	if now.Before(h.next) {
		return false
	}
	if h.pause == 0 || now.Sub(h.next) >= longestHaste {
		h.pause = firstHaste
	}
	h.next = now.Add(h.pause)
	h.pause = min(2*h.pause, longestHaste)
	return true
}
