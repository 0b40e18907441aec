package vrrp

import (
	"time"

	"github.com/vipd/vipd/election"
)

// Fixed values of the priority byte. The bands lie between them.
const (
	PriorityResigned     = 0
	PriorityDraining     = 1
	PriorityUnhealthyMin = 2
	PriorityUnhealthyMax = 127
	PriorityHealthyMin   = 128
	PriorityHealthyMax   = 254
)

const (
	// displaceTimeout bounds the hold that comes before the first advert.
	displaceTimeout = 300 * time.Millisecond
	// displaceRetry is the first pause after a displacement was undone.
	displaceRetry    = time.Second
	displaceRetryMax = 32 * time.Second
	// claimStep is the tie step before a living owner of a lower band is displaced.
	// The advert that tells the others comes after rules, addresses and
	// announcement, which take some ten milliseconds; the first one waits for none.
	claimStep = 40 * time.Millisecond
	// drainStep is the tie step while a draining owner serves: nobody waits, so
	// successors can be kept well apart.
	drainStep = 100 * time.Millisecond
	// minTieStep and maxTieStep bound the tie step: long enough for one backup's
	// advert to reach the next, and not longer where intervals are.
	minTieStep = 2 * time.Millisecond
	maxTieStep = 10 * time.Millisecond
	// maxDisplaceSkew is the longest interval that stretches the skew before a
	// live owner is displaced.
	maxDisplaceSkew = 100 * time.Millisecond
	// lonelyFor bounds how long an owner that never heard its group advertises
	// the lowest value of its band.
	lonelyFor = 60 * time.Second
	// lastWords is how long after a takeover an advert of an inferior owner may be
	// the one that was replaced, yielding.
	lastWords = time.Second
	// probeTimeout bounds a probe whose result never comes.
	probeTimeout = 500 * time.Millisecond
	// probeLate is how late a probe may end and still prove something: a node that
	// was away meanwhile has missed answers.
	probeLate = 100 * time.Millisecond
	// probePause is the time between probes while a station answers.
	probePause = time.Second
	// probeQuiet is how long a VIP that was answered for must be silent before
	// it is claimed.
	probeQuiet = 5 * time.Second
	// unheardAdverts is for how many of its intervals an inferior owner may go on
	// before it is asked whether it hears this one; reachPause is the time
	// between two questions.
	unheardAdverts = 10
	reachPause     = time.Second
	// deafProofs is how many questions in a row prove that an owner is deaf,
	// deafWatch how long a node that was beaten goes on asking.
	deafProofs = 2
	deafWatch  = 6 * time.Second
	// makeWayFor is how long a node that made way for an owner displaces none.
	makeWayFor = 30 * time.Second
	// maxLateStarts bounds how often in a row a late backup starts its timer
	// anew.
	maxLateStarts = 2
	// episode is how long a reported fault must be absent to be reported again.
	episode = 60 * time.Second
	// lengthenAdverts is the number of adverts that announce a longer interval
	// at the old spacing.
	lengthenAdverts = 3
)

// BandOf is the band that a priority byte stands for. 255, an RFC 9568 address
// owner, is a foreign healthy one.
func BandOf(priority uint8) election.Band {
	switch {
	case priority == PriorityResigned:
		return election.Resigned
	case priority == PriorityDraining:
		return election.Draining
	case priority <= PriorityUnhealthyMax:
		return election.Unhealthy
	}
	return election.Healthy
}

// Rhythm is how an owner's adverts follow each other.
type Rhythm struct {
	Version  Version
	Interval time.Duration
}

// SkewTime is Skew_Time of a backup of that priority (RFC 9568 6.1): a part of
// the interval, in version 2 of a second (RFC 3768 6.1).
func (r Rhythm) SkewTime(priority uint8) time.Duration {
	whole := r.Interval
	if r.Version == Version2 {
		whole = time.Second
	}
	return (256 - time.Duration(priority)) * whole / 256
}

// ActiveDownInterval is Active_Down_Interval (RFC 9568 6.1), Master_Down_Interval
// of version 2.
func (r Rhythm) ActiveDownInterval(priority uint8) time.Duration {
	return 3*r.Interval + r.SkewTime(priority)
}
