package process

import (
	"net/netip"
	"time"
)

const (
	// firstSentence is how long a neighbour that killed the speaker twice is left
	// out; each further time makes it sentenceFactor as long, up to maxSentence.
	// Whenever it is tried again all sessions are at stake, so one that does not
	// mend its ways is soon tried once a day.
	firstSentence  = 10 * time.Second
	sentenceFactor = 4
	maxSentence    = 24 * time.Hour
	// parole is how long a neighbour that was tried again has to be harmless for its
	// record to be forgotten.
	parole = 30 * time.Minute
)

// record is what a neighbour did to the speaker.
type record struct {
	kills int
	last  time.Time
	until time.Time
	// cause is what the speaker died of last, in its own words.
	cause string
}

// quarantine knows which neighbours killed the speaker. The first time may be
// chance, and costs nothing.
type quarantine map[netip.Addr]*record

// killed notes that a neighbour's messages ended the speaker.
func (q quarantine) killed(now time.Time, neighbor netip.Addr) *record {
	r := q[neighbor]
	if r == nil || now.Sub(r.last) >= parole && now.Sub(r.until) >= parole {
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

// pardon ends all sentences. What was done is not forgotten.
func (q quarantine) pardon(now time.Time) {
	for _, r := range q {
		if now.Before(r.until) {
			r.until = now
		}
	}
}
