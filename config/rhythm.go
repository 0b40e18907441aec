package config

import (
	"fmt"
	"time"
)

// intervals3 are what an advert of version 3 can say: 12 bits of centiseconds
// (RFC 9568 5.2.7).
func intervals3() span {
	return span{low: 10 * time.Millisecond, high: 4095 * 10 * time.Millisecond, step: 10 * time.Millisecond}
}

// intervals2 are what one of version 2 can say: one byte of seconds (RFC 3768
// 5.3.7).
func intervals2() span { return span{low: time.Second, high: 255 * time.Second, step: time.Second} }

// defaultInterval is how often a version advertises.
func defaultInterval(version int) time.Duration {
	if version == 2 {
		return time.Second
	}
	return 100 * time.Millisecond
}

// checkRhythm reports what the version of the adverts cannot say.
func checkRhythm(v *VIP, at string, f *findings) {
	within, of := intervals3(), ""
	if v.VRRP.Version == 2 {
		within, of = intervals2(), " (version 2)"
	}
	key := member(at, "vrrp.advert_interval")
	if err := within.judge(v.VRRP.AdvertInterval, formatDuration(v.VRRP.AdvertInterval)); err != nil && !f.faulty(key) {
		f.add(key, "%s%s", err, of)
	}
	if first := carrier(*v); v.VRRP.Version == 2 && first.Is6() {
		f.add(member(at, "vrrp.version"), "2 is for IPv4 only, and the group's adverts are IPv6, as its first address; use 3, or write an IPv4 address first")
	}
}

// simplePassword checks the simple text password of version 2 (RFC 2338 5.3.10).
func simplePassword(text string) error {
	const most = 8
	switch {
	case len(text) > most:
		return fmt.Errorf("%d bytes are too many: an advert has room for %d; keepalived uses the first %d of its auth_pass, so write those", len(text), most, most)
	case !printable(text):
		return fmt.Errorf("%s has characters that cannot be printed", quote(text))
	}
	return nil
}
