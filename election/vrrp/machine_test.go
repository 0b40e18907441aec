package vrrp

import "testing"

func TestInit(t *testing.T) {
	run(t, []transcript{
		{"6.4.1 Startup with a priority below 255: wait as Backup for Active_Down_Interval", "", nowhere, `
			0ms healthy
			0ms no timer
			0ms up         -> init to backup, startup
			0ms timer is at 325ms`},
		{"6.4.1 before Startup nothing is heard and no timer runs", "", nowhere, `
			0ms .13 adverts 192
			9s  tick
			9s  up         -> init to backup, startup
			9s  timer is at 9.375s`},
		{"6.4.2 Shutdown of a backup: cancel the timer, Init, nothing is sent", "", backup, `
			50ms down no-carrier -> release; backup to init, no-carrier
			50ms no timer
			1s   tick`},
		{"6.4.3 Shutdown of an owner: send priority 0, cancel the timer, Init", "", owner, `
			50ms down tracked-interface -> advert 0; release; active to init, tracked-interface
			50ms no timer
			1s   tick`},
		{"an owner without a link releases the VIP at once", "", lonelyOwner, `
			50ms down no-carrier -> advert 0; release; active to init, no-carrier`},
		{"a link that goes down again: release once more, no transition", "", nowhere, `
			0ms down no-interface -> release
			1s  down no-carrier   -> release`},
		{"a link that comes back makes a newcomer: it asks before it claims", "", owner, `
			50ms  down no-carrier -> advert 0; release; active to init, no-carrier
			1s    up              -> init to backup, startup
			1325ms timer          -> backup to probing, nobody-heard; probe 2`},
		{"a link that comes back forgets the owner and its interval", "", newcomer, `
			0ms  .13 adverts 192 every 1s
			0ms  timer is at 3.25s
			50ms down no-carrier -> release; backup to init, no-carrier
			60ms up              -> init to backup, startup
			60ms timer is at 385ms`},
		{"a displacing node without a link undoes", "", displacing, `
			10ms down no-carrier -> release; displacing to init, no-carrier
			20ms held 1`},
		{"a new own address changes nothing but the tie rule", "", owner, `
			10ms up as .14
			20ms .13 adverts 192 -> report rival by .13; advert 192; defend against .13`},
	})
}

func TestStartupDelay(t *testing.T) {
	run(t, []transcript{
		{"startup_delay: hear for that long before the first claim", "startup-delay 2s", newcomer, `
			0ms    timer is at 2s
			325ms  tick
			2000ms timer -> backup to probing, nobody-heard; probe 1`},
		{"startup_delay: an owner that falls silent meanwhile is waited for", "startup-delay 2s", newcomer, `
			0ms    .13 adverts 192
			0ms    timer is at 2s
			2000ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"startup_delay: a lower band is not left before its end", "startup-delay 2s", newcomer, `
			0ms    .13 adverts 64
			1900ms .13 adverts 64
			1900ms timer is at 2s
			2000ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"startup_delay: an owner of a lower band that fell silent meanwhile is not displaced but succeeded", "startup-delay 2s", newcomer, `
			0ms    .13 adverts 64
			2000ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"startup_delay: begins anew when the link comes back", "startup-delay 2s", newcomer, `
			1s down no-carrier -> release; backup to init, no-carrier
			5s up              -> init to backup, startup
			5s timer is at 7s`},
	})
}

func TestBackup(t *testing.T) {
	run(t, []transcript{
		{"6.1 Active_Down_Interval is three intervals and the skew of the own priority", "priority 128", newcomer, `
			0ms .13 adverts 192
			0ms timer is at 350ms`},
		{"6.1 Active_Adver_Interval is the own one until an owner was heard", "interval 1s", newcomer, `
			0ms timer is at 3.25s`},
		{"6.4.2 Active_Adver_Interval is the one advertised", "interval 1s", newcomer, `
			0ms .13 adverts 192 every 40ms
			0ms timer is at 130ms`},
		{"6.4.2 the owner's longer interval is taken over at once", "", backup, `
			100ms .13 adverts 192 every 1s
			100ms timer is at 3.35s`},
		{"6.4.2 an advert of a better owner starts Active_Down_Timer anew", "", backup, `
			0ms   timer is at 325ms
			100ms .13 adverts 200
			100ms timer is at 425ms`},
		{"6.4.2 Active_Down_Timer fires: advertise first, then the addresses, Active", "", backup, `
			325ms timer  -> backup to active, owner-silent; advert 192; hold 1 after silence
			425ms timer  -> advert 192`},
		{"6.4.2 a timer that fires early is ignored", "", backup, `
			324ms tick
			325ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"6.4.2 priority 0: Active_Down_Timer is set to Skew_Time", "", backup, `
			100ms .13 adverts 0
			125ms timer -> backup to active, owner-resigned; advert 192; hold 1`},
		{"6.4.2 Preempt_Mode False: a lower priority of the same band starts the timer anew", "", backup, `
			100ms .13 adverts 128
			100ms timer is at 425ms`},
		{"6.4.2 with the health the priority changes, and with it the skew", "", backup, `
			100ms unhealthy
			100ms timer is at 375ms
			200ms healthy
			200ms timer is at 325ms`},
		{"7.1 an interval that differs from the own one is taken, not refused", "", backup, `
			100ms .13 adverts 192 every 300ms
			1s    .13 adverts 192 every 300ms
			1s    timer is at 1.975s`},
		{"the advert of an unhealthy owner is a sign of life to an unhealthy backup", "", unhealthyNewcomer, `
			0ms   .13 adverts 2
			0ms   timer is at 375ms
			100ms .13 adverts 2
			100ms timer is at 475ms`},
		{"all nodes unhealthy: silence still makes one of them the owner", "", unhealthyBackup, `
			375ms timer -> backup to active, owner-silent; advert 64; hold 1 after silence`},
		{"a drained backup never takes over from silence", "", backup, `
			10ms drain
			10ms no timer
			9s   tick`},
		{"a drained backup never takes over from an owner that resigns", "", backup, `
			10ms drain
			20ms .13 adverts 0
			20ms no timer`},
		{"a drained backup never displaces", "", backup, `
			10ms drain
			20ms .13 adverts 64
			20ms no timer`},
		{"an undrained backup waits as one that has just begun", "", backup, `
			10ms  drain
			10s   undrain
			10s   timer is at 10.325s`},
		{"an undrained backup leaves an owner of a lower band at once", "", backup, `
			10ms  drain
			990ms .13 adverts 64
			1s    undrain
			1s    timer is at 1.025s`},
		{"abandon as backup only makes sure that the addresses are off", "", backup, `
			10ms abandon -> release
			10ms timer is at 325ms`},
		{"a leftover address is taken off when an owner is heard", "leftover", newcomer, `
			50ms  .13 adverts 192 -> release
			150ms .13 adverts 192`},
		{"a leftover address stays on while the last word was a resignation", "leftover", newcomer, `
			50ms .13 adverts 0
			75ms timer -> backup to active, owner-resigned; advert 192; hold 1`},
	})
}

func TestTieSkew(t *testing.T) {
	run(t, []transcript{
		{"8.3.2 equal backups, nobody knows the other: address modulo 4, a step of an eighth of the interval, 10 ms at most", "own .15", newcomer, `
			0ms .14 adverts 192
			0ms timer is at 355ms`},
		{"8.3.2 equal backups that know each other: a step for each higher address", "peers .11 .13 .14", newcomer, `
			0ms .11 adverts 192
			0ms timer is at 345ms`},
		{"the owner does not count: it is the one that is gone", "peers .11 .13 .14", newcomer, `
			0ms .14 adverts 192
			0ms timer is at 335ms`},
		{"the highest address of the known peers waits for nobody", "peers .9 .10 .11", newcomer, `
			0ms .11 adverts 192
			0ms timer is at 325ms`},
		{"a step is never shorter than 2 ms", "peers .13, interval 10ms", newcomer, `
			0ms .11 adverts 192 every 10ms
			0ms timer is at 34.5ms`},
		{"the step is 10 ms at most, however long the owner's interval", "peers .13", newcomer, `
			0ms .11 adverts 192 every 1s
			0ms timer is at 3.26s`},
		{"an owner that resigned is left a step apart too", "peers .13 .14", newcomer, `
			0ms .11 adverts 192
			100ms .11 adverts 0
			100ms timer is at 145ms`},
		{"an owner that serves on is left 100 ms apart: nobody waits", "peers .13 .14", newcomer, `
			0ms .11 adverts 1
			0ms timer is at 225ms`},
		{"a list of peers that grows moves the timer", "", newcomer, `
			0ms  .11 adverts 192
			50ms configure peers .13 .14
			50ms timer is at 345ms`},
	})
}

func TestLateBackup(t *testing.T) {
	run(t, []transcript{
		{"a backup that was late lets silence begin anew", "", backup, `
			5s    tick
			5s    timer is at 5.325s
			5325ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"a backup that is late again and again takes over the third time", "", backup, `
			5s  tick
			10s tick
			15s tick -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"a backup that was late goes by the adverts that had queued up", "", backup, `
			5s    .13 adverts 192
			5s    tick
			5s    timer is at 5.325s
			10s   tick
			10s   timer is at 10.325s
			15s   tick
			15s   timer is at 15.325s`},
		{"a backup that was not late by Active_Down_Interval takes over", "", backup, `
			650ms tick -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"a change of health does not undo what a late backup granted", "", backup, `
			5s tick
			5s unhealthy
			5s timer is at 5.375s`},
		{"a late backup forgets that it wanted to displace, until the next advert", "", newcomer, `
			0ms  .13 adverts 64
			5s   tick
			5s   timer is at 5.325s
			5010ms .13 adverts 64
			5010ms timer is at 5.035s`},
	})
}

func TestConfigure(t *testing.T) {
	run(t, []transcript{
		{"a lengthened interval is announced by three adverts at the old spacing", "", owner, `
			50ms  configure interval 1s -> advert 192 every 1s
			150ms timer -> advert 192 every 1s
			250ms timer -> advert 192 every 1s
			350ms timer -> advert 192 every 1s
			1350ms timer -> advert 192 every 1s`},
		{"a shortened interval holds at once", "interval 1s", owner, `
			500ms configure interval 100ms -> advert 192
			600ms timer -> advert 192`},
		{"an interval lengthened and shortened again is never overrun", "", owner, `
			50ms  configure interval 1s   -> advert 192 every 1s
			60ms  configure interval 40ms -> advert 192 every 40ms
			100ms timer -> advert 192 every 40ms
			140ms timer -> advert 192 every 40ms`},
		{"an interval lengthened in an earlier ownership is forgotten", "", owner, `
			50ms  configure interval 1s -> advert 192 every 1s
			60ms  .13 adverts 200 -> active to backup, higher-priority; release; advert 192 every 1s; reach 1 of .13
			385ms timer -> backup to active, owner-silent; advert 192 every 1s; hold 2 after silence
			1385ms timer -> advert 192 every 1s`},
		{"a changed priority is advertised at once", "", owner, `
			50ms configure priority 150 -> advert 150
			150ms timer -> advert 150`},
		{"a changed priority is weighed at once", "preempt on", backup, `
			50ms configure priority 224
			50ms timer is at 62.5ms`},
		{"preemption that is switched off ends a displacement", "preempt on, priority 224", displacing, `
			10ms configure preempt off -> release; displacing to backup, reload
			20ms held 1`},
		{"checksum auto: RFC 9568's form until the group was heard", "", lonelyOwner, `
			100ms timer -> advert 128`},
		{"checksum auto: the form that the group was heard to use", "", backup, `
			100ms .13 adverts 192 in pseudo-header
			425ms timer -> backup to active, owner-silent; advert 192 in pseudo-header; hold 1 after silence`},
		{"checksum auto: a foreign group's form is not followed", "", newcomer, `
			100ms .13 adverts 192
			150ms .14 adverts 192 of .77 in pseudo-header -> report foreign by .14
			425ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"checksum auto: an owner follows an inferior one too", "", owner, `
			50ms .11 adverts 150 in pseudo-header -> report rival by .11; advert 192 in pseudo-header; defend against .11`},
		{"checksum rfc9568: whatever is heard", "checksum rfc9568", backup, `
			100ms .13 adverts 192 in pseudo-header
			425ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"checksum pseudo-header: whatever is heard", "checksum pseudo-header", backup, `
			325ms timer -> backup to active, owner-silent; advert 192 in pseudo-header; hold 1 after silence`},
		{"checksum: a reload to a fixed form holds at once", "", owner, `
			50ms configure checksum pseudo-header -> advert 192 in pseudo-header`},
	})
}
