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
	// marginLeast and marginShare are what a holder takes off its TTL: the kernel
	// removes an address up to 200 ms late, and two clocks may differ in rate.
	marginLeast = 250 * time.Millisecond
	marginShare = 20
	// orderSlack is the least time that an order to hold gets to be carried out.
	orderSlack = 250 * time.Millisecond
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
	// claimPause is the pause after addresses were found to be another group's.
	claimPause = time.Second
	// takeStep orders those who would take a free key: the best one first.
	takeStep = 100 * time.Millisecond
	// quietIntervals is for how many ActiveDownIntervals no unknown owner may have
	// been heard before a free key is taken.
	quietIntervals = 3
	// offSlack is how late the kernel may remove an address.
	offSlack = holdSlack + 250*time.Millisecond
	// holdSlack is how long an order to hold may be on its way.
	holdSlack = 500 * time.Millisecond
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

// margin is what a holder takes off a TTL.
func margin(ttl time.Duration) time.Duration { return max(marginLeast, ttl/marginShare) }
