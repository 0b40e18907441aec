package lease

import "time"

const (
	// MinTTL is the least TTL: addresses have lifetimes of whole seconds.
	MinTTL = 3 * time.Second
	// leaseTTLs is how many TTLs the store's lease lasts: it ends after others took the
	// key from an owner that is gone. Keys that end earlier are a riddle.
	leaseTTLs = 2
	// renewals is how often a lease is renewed in its TTL.
	renewals = 3
	// retryPause is the pause after a call that failed, and farPause that while the
	// store was never reached.
	retryPause = 250 * time.Millisecond
	farPause   = time.Second
	// marginLeast and marginShare are what a holder takes off its TTL: an order to
	// the kernel takes time, and two clocks may differ in rate.
	marginLeast = 250 * time.Millisecond
	marginShare = 20
	// lateness is how late the kernel may remove an address: it looks at lifetimes
	// once a second at the most, also when another address had it look (Linux,
	// check_lifetime in net/ipv4/devinet.c, addrconf_verify_rtnl in
	// net/ipv6/addrconf.c), and a timer is late by up to an eighth of its time.
	// lifetimeMax is the longest lifetime of which that is true.
	lateness    = 1150 * time.Millisecond
	lifetimeMax = 6 * time.Second
	// grace is what others wait beyond the TTL. So not all of lateness shortens what
	// a holder may wait for the store.
	grace = 500 * time.Millisecond
	// orderSlack is the least time that an order to hold gets to be carried out.
	orderSlack = 250 * time.Millisecond
	// tickSlack is how late a tick may come.
	tickSlack = 50 * time.Millisecond
	// claimMax bounds the wait for the addresses of a key that was passed, before
	// this node adverts.
	claimMax = 300 * time.Millisecond
	// muteMax bounds the wait for the addresses to be off the segment, passMax the
	// time in which the key is tried to be passed then.
	muteMax = time.Second
	passMax = 2 * time.Second
	// heardMax bounds the wait for the advert of a successor that has the key.
	heardMax = 500 * time.Millisecond
	// passRetry is the first pause after a handover that was undone.
	passRetry    = time.Second
	passRetryMax = 32 * time.Second
	// regainGrace is what an owner has to renew from when a candidate reaches the
	// store again after a TTL or more.
	regainGrace = time.Second
	// takeStep orders those who would take a free key: the best one first.
	takeStep = 100 * time.Millisecond
	// quietIntervals is for how many ActiveDownIntervals no unknown owner may have
	// been heard before a free key is taken.
	quietIntervals = 3
	// offSlack is how long after a fence the addresses are off, whatever goes wrong.
	offSlack = holdSlack + lateness
	// holdSlack is how long an order to hold may be on its way.
	holdSlack = 500 * time.Millisecond
	// writeMax bounds a call that changes a key. A renewal has a third of the TTL.
	writeMax = time.Second
	// farewellMax is how long a node that stops waits for the store.
	farewellMax = 500 * time.Millisecond
	// lastWords is how long after this node became owner an advert of another one
	// may be that of its predecessor.
	lastWords = time.Second
	// episode is how long a second owner must be silent to be reported again.
	episode = time.Minute
)

// Priority is the byte that the holder of a lease advertises: that of RFC 9568's
// address owner (5.2.4), which no backup preempts and no duel beats. So a node
// that elects by VRRP because it does not reach the store makes way for it.
const Priority = 255

// over is when an owner that was last confirmed at an instant, for ttl, is off the
// segment, by its own hand or by its kernel's.
func over(confirmed time.Time, ttl time.Duration) time.Time { return confirmed.Add(ttl + grace) }

// margin is what a holder takes off a TTL.
func margin(ttl time.Duration) time.Duration { return max(marginLeast, ttl/marginShare) }
