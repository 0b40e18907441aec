package vrrp

import "testing"

func TestActive(t *testing.T) {
	run(t, []transcript{
		{"6.4.3 Adver_Timer fires: advertise and start it anew", "", owner, `
			100ms timer -> advert 192
			200ms timer -> advert 192
			300ms timer -> advert 192`},
		{"6.4.3 an inferior owner is answered at once, Adver_Timer starts anew", "", owner, `
			50ms .13 adverts 150 -> report rival by .13; advert 192; defend against .13
			150ms timer          -> advert 192`},
		{"6.4.3 priority 0: advertise and start Adver_Timer anew", "", owner, `
			50ms  .13 adverts 0 -> advert 192
			150ms timer         -> advert 192`},
		{"6.4.3 a higher priority: step down and wait for Active_Down_Interval of the winner", "", owner, `
			50ms  .13 adverts 200 every 1s -> active to backup, higher-priority; release; advert 192; reach 1 of .13
			50ms  timer is at 3.3s`},
		{"6.4.3 tie, their address higher: step down", "", owner, `
			50ms .13 adverts 192 -> active to backup, duel-lost; release; advert 192; reach 1 of .13
			50ms timer is at 375ms`},
		{"6.4.3 tie, their address lower: stay and assert", "", owner, `
			50ms .11 adverts 192 -> report rival by .11; advert 192; defend against .11`},
		{"6.4.3 an address owner, 255, wins over every priority", "priority 254", owner, `
			50ms .13 adverts 255 -> active to backup, higher-priority; release; advert 254; reach 1 of .13`},
		{"a tick that is a little late does not move the ones after it", "", owner, `
			115ms tick  -> advert 192
			200ms timer -> advert 192`},
		{"a tick that is late by an interval does not double the next one", "", owner, `
			205ms tick  -> advert 192
			305ms timer -> advert 192`},
		{"an early tick is ignored", "", owner, `
			99ms tick
			100ms timer -> advert 192`},
		{"a change of band is advertised at once", "", owner, `
			30ms  unhealthy -> advert 64
			130ms timer     -> advert 64
			150ms healthy   -> advert 192
			150ms healthy`},
		{"the addresses that could not be held are the agent's matter", "", owner, `
			10ms not held 1`},
		{"abandon: zero first, so that nobody need wait, then the addresses", "", owner, `
			10ms abandon -> advert 0; release; active to backup, forced
			10ms timer is at 335ms`},
	})
}

func TestDuel(t *testing.T) {
	run(t, []transcript{
		{"duel: each advert of the inferior owner is answered, it is reported once", "", owner, `
			50ms  .11 adverts 192 -> report rival by .11; advert 192; defend against .11
			150ms .11 adverts 192 -> advert 192; defend against .11
			250ms .11 adverts 192 -> advert 192; defend against .11`},
		{"duel: one that begins again is reported again", "", owner, `
			50ms .11 adverts 100 -> report rival by .11; advert 192; defend against .11
			1s   tick            -> active to listening, late
			1125ms timer         -> listening to active, late; advert 192; hold 2
			1130ms .11 adverts 100 -> report rival by .11; advert 192; defend against .11`},
		{"duel: the last word of an owner that was just displaced makes no report", "", lonelyOwner, `
			10ms  .11 adverts 100 -> advert 192; defend against .11
			110ms .11 adverts 100 -> advert 192; defend against .11`},
		{"duel: one that drains leaves without a last word", "", owner, `
			10ms drain -> advert 1
			20ms .13 adverts 192 -> active to backup, drain; release`},
		{"duel: a third owner is defended against and makes no second report", "", owner, `
			50ms .11 adverts 192 -> report rival by .11; advert 192; defend against .11
			60ms .14 adverts 150 -> advert 192; defend against .14
			70ms .11 adverts 192 -> advert 192; defend against .11`},
		{"duel: a lower band loses whatever its address", "", unhealthyOwner, `
			50ms .11 adverts 128 -> active to backup, unhealthy; release; advert 64; reach 1 of .11`},
		{"duel: a draining owner loses to any other that serves", "", owner, `
			10ms drain         -> advert 1
			50ms .11 adverts 2 -> active to backup, drain; release
			50ms no timer`},
		{"duel: two that drain settle it by address", "", owner, `
			10ms drain         -> advert 1
			50ms .11 adverts 1 -> report rival by .11; advert 1; defend against .11
			60ms .13 adverts 1 -> active to backup, drain; release`},
		{"duel: of two that resign the higher address serves on", "", owner, `
			10ms resign        -> advert 0
			50ms .11 adverts 0 -> advert 0
			60ms .13 adverts 0 -> active to backup, shutdown; release`},
		{"duel: the loser is a backup like any other", "preempt on", owner, `
			10ms configure priority 150 -> advert 150
			20ms .13 adverts 192        -> active to backup, higher-priority; release; advert 150; reach 1 of .13
			30ms configure priority 224
			42.5ms timer                -> backup to displacing, higher-priority; hold 2`},
	})
}

func TestLonelyOwner(t *testing.T) {
	run(t, []transcript{
		{"lonely: an owner that never heard its group advertises the lowest healthy value", "", lonelyOwner, `
			100ms timer -> advert 128`},
		{"lonely: or the lowest unhealthy one", "", unhealthyLonelyOwner, `
			100ms timer -> advert 2`},
		{"lonely: for 60 s at most", "interval 20s", lonelyOwner, `
			20s timer -> advert 128 every 20s
			40s timer -> advert 128 every 20s
			60s timer -> advert 192 every 20s`},
		{"lonely: it loses to a seated owner of its band", "priority 254", lonelyOwner, `
			50ms .11 adverts 129 -> active to backup, duel-lost; release; advert 128; reach 1 of .11`},
		{"lonely: an unhealthy one loses to an unhealthy one", "", unhealthyLonelyOwner, `
			50ms .11 adverts 3 -> active to backup, duel-lost; release; advert 2; reach 1 of .11`},
		{"lonely: it wins over an unhealthy owner and is lonely no more", "", lonelyOwner, `
			50ms .13 adverts 127 -> advert 192; defend against .13
			150ms timer -> advert 192`},
		{"lonely: of two the higher address wins and is lonely no more", "", lonelyOwner, `
			50ms .11 adverts 128 -> advert 192; defend against .11`},
		{"lonely: of two the lower address loses", "", lonelyOwner, `
			50ms .13 adverts 128 -> active to backup, duel-lost; release; advert 128; reach 1 of .13`},
		{"lonely: an advert of the group that resigns ends it too", "", lonelyOwner, `
			50ms .13 adverts 0 -> advert 192`},
		{"lonely: a foreign group under the same VRID does not", "", lonelyOwner, `
			50ms  .13 adverts 200 of .77 -> report foreign by .13
			100ms timer -> advert 128`},
		{"lonely: it does not wait longer in the next election", "", lonelyOwner, `
			50ms .13 adverts 192 -> active to backup, duel-lost; release; advert 128; reach 1 of .13
			375ms timer -> backup to active, owner-silent; advert 192; hold 3 after silence`},
	})
}

func TestLateOwner(t *testing.T) {
	run(t, []transcript{
		{"late: an owner that was late listens for an interval and the skew, then speaks and announces", "", owner, `
			5s     tick  -> active to listening, late
			5125ms timer -> listening to active, late; advert 192; hold 2
			5225ms timer -> advert 192`},
		{"late: by Active_Down_Interval is not late", "", owner, `
			425ms tick -> advert 192`},
		{"late: a better owner heard meanwhile: step down", "", owner, `
			5s     tick -> active to listening, late
			5050ms .13 adverts 192 -> listening to backup, late; release`},
		{"late: an owner of the same band that the tie rule would beat has the clients: step down", "", owner, `
			5s     tick -> active to listening, late
			5050ms .11 adverts 150 -> listening to backup, late; release`},
		{"late: one that drains is left by its owner, not by who heard of the other", "", owner, `
			5s     tick -> active to listening, late
			5050ms drain
			5060ms .13 adverts 192 -> listening to backup, drain; release`},
		{"late: an owner of a lower band heard meanwhile may be an old advert: listen on, then speak", "", owner, `
			5s     tick -> active to listening, late
			5050ms .11 adverts 100
			5125ms timer -> listening to active, late; advert 192; hold 2`},
		{"late: a queue that tells of a successor's past and present: go by the present", "", owner, `
			5s .11 adverts 100 -> active to listening, late
			5s .11 adverts 192 -> listening to backup, late; release`},
		{"late: one that resigns is heard meanwhile: listen on, then speak", "", owner, `
			5s     tick -> active to listening, late
			5050ms .11 adverts 0
			5125ms timer -> listening to active, late; advert 192; hold 2`},
		{"late: a better owner's advert that had queued up: step down before any advert", "", owner, `
			5s .13 adverts 192 -> active to listening, late; listening to backup, late; release
			5s tick
			5s timer is at 5.325s`},
		{"late: what changes while listening is advertised afterwards", "", owner, `
			5s     tick      -> active to listening, late
			5050ms unhealthy
			5060ms drain
			5125ms timer     -> listening to active, late; advert 1; hold 2`},
		{"late: a lengthened interval while listening is announced afterwards", "", owner, `
			5s     tick -> active to listening, late
			5050ms configure interval 1s
			5125ms timer -> listening to active, late; advert 192 every 1s; hold 2
			5225ms timer -> advert 192 every 1s
			5325ms timer -> advert 192 every 1s
			5425ms timer -> advert 192 every 1s
			6425ms timer -> advert 192 every 1s`},
		{"late: an owner that loses its link while listening", "", owner, `
			5s     tick            -> active to listening, late
			5050ms down no-carrier -> advert 0; release; listening to init, no-carrier`},
	})
}

func TestDrain(t *testing.T) {
	run(t, []transcript{
		{"drain: an owner says so at once and serves on until a successor is heard", "", owner, `
			10ms  drain -> advert 1
			110ms timer -> advert 1
			210ms timer -> advert 1
			250ms .11 adverts 128 -> active to backup, drain; release
			250ms no timer`},
		{"drain: said twice is done once", "", owner, `
			10ms drain -> advert 1
			20ms drain`},
		{"undrain: an owner that nobody succeeded goes on as before", "", owner, `
			10ms  drain   -> advert 1
			50ms  undrain -> advert 192
			150ms timer   -> advert 192`},
		{"resign: zero at the normal interval while it serves on", "", owner, `
			10ms  resign -> advert 0
			110ms timer  -> advert 0
			150ms .11 adverts 128 -> active to backup, shutdown; release`},
		{"resign: an owner that drained in vain", "", owner, `
			10ms  drain  -> advert 1
			50ms  resign -> advert 0
			150ms timer  -> advert 0`},
		{"drain: health has nothing to say any more", "", owner, `
			10ms drain     -> advert 1
			20ms unhealthy -> advert 1`},
		{"drain: while probing the claim is given up", "", newcomer, `
			325ms timer -> backup to probing, nobody-heard; probe 1
			330ms drain -> probing to backup, drain
			340ms probed 1 free
			340ms no timer`},
		{"undrain: an owner that was alone and gave up asks again", "", lonelyOwner, `
			10ms   drain -> advert 1
			20ms   abandon -> advert 0; release; active to backup, forced
			6s     undrain
			6325ms timer -> backup to probing, nobody-heard; probe 3`},
		{"undrain: what the owner advertised long ago is no reason to displace it", "", newcomer, `
			0ms    .13 adverts 1
			10ms   drain
			6s     undrain
			6s     timer is at 6.325s
			6325ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"undrain: a node that never heard its group asks again", "", newcomer, `
			10ms   drain
			1s     undrain
			1325ms timer -> backup to probing, nobody-heard; probe 1`},
	})
}
