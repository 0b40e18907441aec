package peer

import "math"

// window remembers which sequence numbers of one life were heard: the highest,
// and which of the 63 below it. A hello that the network delayed behind others
// is still new; what is older than the window counts as heard (RFC 4303 3.4.3),
// and so does what came before the first one noted: it may have been heard, and
// not believed then.
type window struct {
	top uint64
	// heard has bit n set if top-n was heard.
	heard uint64
}

const windowSize = 64

// admits reports whether the number was not heard yet.
func (w *window) admits(n uint64) bool {
	if n > w.top || w.heard == 0 {
		return true
	}
	behind := w.top - n
	return behind < windowSize && w.heard&(1<<behind) == 0
}

// note remembers an admitted number.
func (w *window) note(n uint64) {
	switch {
	case w.heard == 0:
		w.top, w.heard = n, math.MaxUint64
	case n > w.top:
		// A shift by 64 or more leaves nothing, as Go defines it.
		w.heard = w.heard<<(n-w.top) | 1
		w.top = n
	default:
		w.heard |= 1 << (w.top - n)
	}
}
