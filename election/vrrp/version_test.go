package vrrp

import "testing"

// TestVersions: a node speaks the version that it is told to and takes part in
// elections by either.
func TestVersions(t *testing.T) {
	run(t, []transcript{
		{"version 3 takes the interval of a version 2 owner", "", backup, `
			100ms .13 adverts 192 every 1s in version 2
			100ms timer is at 3.35s
			3350ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"version 2 takes the interval of a version 3 owner", "version 2, interval 1s", backup, `
			325ms timer -> backup to active, owner-silent; advert 192 every 1s in version 2; hold 1 after silence`},
		{"RFC 3768 6.1 the skew is a part of a second, not of the interval", "version 2, interval 5s", newcomer, `
			0s .13 adverts 192 every 5s in version 2
			0s timer is at 15.25s`},
		{"RFC 3768 6.4.2 priority 0: the part of a second is waited for", "version 2, interval 5s", newcomer, `
			0s .13 adverts 192 every 5s in version 2
			1s .13 adverts 0 every 5s in version 2
			1s timer is at 1.25s`},
		{"an interval that differs from the own one is taken in version 2 as well", "version 2, interval 1s", newcomer, `
			0s .13 adverts 192 every 2s in version 2
			0s timer is at 6.25s`},
		{"a lower band of version 2 is left as soon as one of version 3", "version 2, interval 1s", newcomer, `
			0s   .13 adverts 1 every 1s in version 2
			25ms timer -> backup to displacing, owner-draining; hold 1
			30ms held 1 -> displacing to active, owner-draining; advert 192 every 1s in version 2`},
		{"from version 3 to 2: the longer interval is announced by three adverts at the old spacing", "", owner, `
			50ms   configure version 2, interval 1s -> advert 192 every 1s in version 2
			150ms  timer -> advert 192 every 1s in version 2
			250ms  timer -> advert 192 every 1s in version 2
			350ms  timer -> advert 192 every 1s in version 2
			1350ms timer -> advert 192 every 1s in version 2`},
		{"from version 2 to 3: the shorter interval holds at once", "version 2, interval 1s", owner, `
			50ms  configure version 3, interval 100ms -> advert 192
			150ms timer -> advert 192`},
		{"an owner of version 2 is late when others have waited for three intervals and their skew", "version 2, interval 2s", owner, `
			8250ms  timer is at 2s
			8250ms  tick  -> advert 192 every 2s in version 2
			16501ms tick  -> active to listening, late
			18751ms timer -> listening to active, late; advert 192 every 2s in version 2; hold 2`},
		{"a duel between versions goes by priority and address", "", owner, `
			10ms .13 adverts 150 every 1s in version 2 -> report rival by .13; advert 192; defend against .13
			20ms .13 adverts 200 every 1s in version 2 -> active to backup, higher-priority; release; advert 192; reach 1 of .13
			20ms timer is at 3.27s`},
		{"a version 2 advert says nothing of the checksum of version 3", "", owner, `
			10ms .11 adverts 150 in pseudo-header -> report rival by .11; advert 192 in pseudo-header; defend against .11
			20ms .11 adverts 150 every 1s in version 2 -> advert 192 in pseudo-header; defend against .11`},
	})
}
