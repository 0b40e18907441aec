package vrrp

import "testing"

func TestProbe(t *testing.T) {
	run(t, []transcript{
		{"probe: a node that heard no advert asks before its first claim", "", newcomer, `
			325ms timer         -> backup to probing, nobody-heard; probe 1
			385ms probed 1 free -> probing to active, nobody-heard; advert 128; hold 2`},
		{"probe: a node that heard its group does not ask", "", newcomer, `
			10ms  .13 adverts 0
			35ms  timer -> backup to active, owner-resigned; advert 192; hold 1`},
		{"probe: with peers in doubt an owner's silence is asked about too", "", backup, `
			10ms  doubt
			325ms timer -> backup to probing, nobody-heard; probe 1
			385ms probed 1 by 02:00:00:00:00:0d -> probing to probing, vip-answered; report answered
			400ms .13 adverts 192 -> probing to backup, startup`},
		{"probe: with peers in doubt a VIP that nobody answers for is claimed", "", backup, `
			10ms  doubt
			325ms timer -> backup to probing, nobody-heard; probe 1
			385ms probed 1 free -> probing to active, nobody-heard; advert 192; hold 2`},
		{"probe: with peers in doubt an owner that resigns is succeeded at once", "", backup, `
			10ms doubt
			20ms .13 adverts 0
			45ms timer -> backup to active, owner-resigned; advert 192; hold 1`},
		{"probe: doubt that is over asks nobody", "", backup, `
			10ms  doubt
			20ms  trust
			325ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"probe: a foreign group does not count as heard", "", newcomer, `
			10ms  .13 adverts 192 of .77 -> report foreign by .13
			325ms timer -> backup to probing, nobody-heard; probe 1`},
		{"probe: answered: stay off, ask each second, claim after 5 s of quiet", "", newcomer, `
			325ms  timer         -> backup to probing, nobody-heard; probe 1
			385ms  probed 1 by 02:00:00:00:00:0d -> probing to probing, vip-answered; report answered
			1385ms timer         -> probe 2
			1445ms probed 2 by 02:00:00:00:00:0d
			2445ms timer         -> probe 3
			2505ms probed 3 free
			3505ms timer         -> probe 4
			3565ms probed 4 free
			4565ms timer         -> probe 5
			4625ms probed 5 free
			5625ms timer         -> probe 6
			5685ms probed 6 free
			6685ms timer         -> probe 7
			6745ms probed 7 free -> probing to active, nobody-heard; advert 128; hold 8`},
		{"probe: an answer within the 5 s begins them anew", "", newcomer, `
			325ms  timer         -> backup to probing, nobody-heard; probe 1
			400ms  probed 1 by 02:00:00:00:00:0d -> probing to probing, vip-answered; report answered
			1400ms timer         -> probe 2
			5300ms probed 2 by 02:00:00:00:00:0d
			6300ms timer         -> probe 3
			6400ms probed 3 free
			6400ms timer is at 7.4s`},
		{"probe: an advert ends it: the node is a backup", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			350ms .13 adverts 192 -> probing to backup, startup
			385ms probed 1 free
			385ms timer is at 675ms`},
		{"probe: the advert of an owner that resigns leaves the skew to others", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			350ms .13 adverts 0 -> probing to backup, startup
			375ms timer -> backup to active, owner-resigned; advert 192; hold 2`},
		{"probe: no result in half a second counts as no answer", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			825ms timer -> probing to active, nobody-heard; advert 128; hold 2`},
		{"probe: the result of an earlier one says nothing", "", newcomer, `
			325ms  timer -> backup to probing, nobody-heard; probe 1
			385ms  probed 1 by 02:00:00:00:00:0d -> probing to probing, vip-answered; report answered
			1385ms timer -> probe 2
			1390ms probed 1 free
			1390ms timer is at 1.885s`},
		{"probe: a node that was away meanwhile asks again", "", newcomer, `
			325ms  timer -> backup to probing, nobody-heard; probe 1
			5s     tick  -> probe 2
			5060ms probed 1 free
			5070ms probed 2 free -> probing to active, nobody-heard; advert 128; hold 3`},
		{"probe: a result from before this node was away is asked for again", "", newcomer, `
			325ms  timer         -> backup to probing, nobody-heard; probe 1
			926ms  probed 1 free -> probe 2
			990ms  probed 2 free -> probing to active, nobody-heard; advert 128; hold 3`},
		{"probe: an answer counts however late it is read", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			5s    probed 1 by 02:00:00:00:00:0d -> probing to probing, vip-answered; report answered
			5s    timer is at 6s`},
		{"probe: an unhealthy node claims with its own band", "", unhealthyNewcomer, `
			375ms timer         -> backup to probing, nobody-heard; probe 1
			435ms probed 1 free -> probing to active, nobody-heard; advert 2; hold 2`},
		{"probe: health may change meanwhile", "", unhealthyNewcomer, `
			375ms timer         -> backup to probing, nobody-heard; probe 1
			400ms healthy
			435ms probed 1 free -> probing to active, nobody-heard; advert 128; hold 2`},
		{"probe: a link that goes down ends it", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			350ms down no-carrier -> release; probing to init, no-carrier
			385ms probed 1 free`},
		{"probe: abandoned by the operator", "", newcomer, `
			325ms timer   -> backup to probing, nobody-heard; probe 1
			350ms abandon -> release; probing to backup, forced
			385ms probed 1 free
			385ms timer is at 675ms`},
		{"probe: configuration and duty that stay as they are change nothing", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			330ms configure priority 200
			340ms undrain
			385ms probed 1 free -> probing to active, nobody-heard; advert 128; hold 2`},
	})
}
