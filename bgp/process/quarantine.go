package process

import (
	"net/netip"
	"time"
)

const (
	// firstSentence is how long a neighbour that killed the speaker twice is left
	// out; each further time makes it sentenceFactor as long, up to maxSentence.
	firstSentence  = 10 * time.Second
	sentenceFactor = 4
	maxSentence    = 15 * time.Minute
	// parole is how long a neighbour has to be harmless for its record to be
	// forgotten.
	parole = 30 * time.Minute
)

// record is what a neighbour did to the speaker.
type record struct {
	kills int
	last  time.Time
	until time.Time
}

// quarantine knows which neighbours killed the speaker. The first time may be
// chance, and costs nothing.
type quarantine map[netip.Addr]*record

// killed notes that a neighbour's messages ended the speaker.
func (q quarantine) killed(now time.Time, neighbor netip.Addr) *record {
	r := q[neighbor]
	if r == nil || now.Sub(r.last) >= parole {
		r = &record{}
		q[neighbor] = r
	}
	r.kills++
	r.last = now
	if r.kills > 1 {
		sentence := firstSentence
		for range r.kills - 2 {
			sentence = min(sentence*sentenceFactor, maxSentence)
		}
		r.until = now.Add(sentence)
	}
	return r
}

// holds tells whether a neighbour is to be left out at now.
func (q quarantine) holds(now time.Time, neighbor netip.Addr) (r *record, held bool) {
	r = q[neighbor]
	return r, r != nil && now.Before(r.until)
}
