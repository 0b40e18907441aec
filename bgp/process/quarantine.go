package process

import (
	"net/netip"
	"time"
)

const (
	// respite is how long a neighbour that killed the speaker for the first time is
	// left out. That may be chance; but gobgp's first connection takes one to two
	// seconds, and one that comes back with the others could kill the next speaker
	// before they are there.
	respite = 3 * time.Second
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

// quarantine knows which neighbours killed the speaker.
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
	r.until = now.Add(sentence(r.kills))
	return r
}

// sentence is how long a neighbour is left out for its last kill of so many.
func sentence(kills int) time.Duration {
	if kills == 1 {
		return respite
	}
	d := firstSentence
	for range kills - 2 {
		d = min(d*sentenceFactor, maxSentence)
	}
	return d
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
