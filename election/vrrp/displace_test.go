package vrrp

import (
	"testing"
	"time"
)

// displacing: healthy, with the addresses ordered that are to displace .13,
// which advertises 64 or, where this node preempts, 192.
func displacing(s *script) time.Time {
	s.joined(true)
	advert := ".13 adverts 64"
	if s.cfg.Preempt {
		advert = ".13 adverts 192"
	}
	s.step(epoch, s.advert(advert))
	now := s.m.Deadline()
	s.step(now, s.advert(advert))
	s.step(now, Tick{})
	s.mustBe(Displacing)
	return now
}

func TestBands(t *testing.T) {
	run(t, []transcript{
		{"band: a healthy owner is not displaced by a healthy backup of higher priority", "priority 254", newcomer, `
			0ms   .13 adverts 128
			0ms   timer is at 300.78125ms
			100ms .13 adverts 128
			100ms timer is at 400.78125ms`},
		{"band: an unhealthy owner is left after the skew", "", newcomer, `
			0ms  .13 adverts 127
			25ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"band: a long interval does not stretch the skew before a live owner is left", "", newcomer, `
			0ms  .13 adverts 127 every 1s
			25ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"band: a draining owner is left after the skew", "", newcomer, `
			0ms  .13 adverts 1
			25ms timer -> backup to displacing, owner-draining; hold 1`},
		{"band: 255, an address owner, is a healthy one and is not displaced", "preempt on, priority 254", newcomer, `
			0ms .13 adverts 255
			0ms timer is at 300.78125ms`},
		{"band: 128 is healthy", "", newcomer, `
			0ms .13 adverts 128
			0ms timer is at 325ms`},
		{"band: 2 is unhealthy", "", newcomer, `
			0ms .13 adverts 2
			0ms timer is at 25ms`},
		{"band: an unhealthy backup does not displace an unhealthy owner of lower priority", "", unhealthyNewcomer, `
			0ms .13 adverts 2
			0ms timer is at 375ms`},
		{"band: an unhealthy backup does not displace a draining owner: it serves", "", unhealthyNewcomer, `
			0ms .13 adverts 1
			0ms timer is at 375ms
			100ms .13 adverts 1
			100ms timer is at 475ms`},
		{"band: an unhealthy backup takes over from a draining owner that falls silent", "", unhealthyNewcomer, `
			0ms   .13 adverts 1
			375ms timer -> backup to active, owner-silent; advert 64; hold 1 after silence`},
		{"band: an unhealthy backup takes over from one zero without another", "", unhealthyBackup, `
			100ms .13 adverts 0
			275ms timer -> backup to active, owner-resigned; advert 64; hold 1`},
		{"band: to an unhealthy backup repeated zeros are a sign of life", "", unhealthyBackup, `
			100ms .13 adverts 0
			200ms .13 adverts 0
			300ms .13 adverts 0
			400ms .13 adverts 0
			500ms .13 adverts 0
			500ms timer is at 675ms`},
		{"band: to a healthy backup repeated zeros do not re-arm the skew timer", "", backup, `
			100ms .13 adverts 0
			110ms .13 adverts 0
			120ms .13 adverts 0
			125ms timer -> backup to active, owner-resigned; advert 192; hold 1`},
		{"band: adverts of a lower band do not re-arm the skew timer", "", newcomer, `
			0ms  .13 adverts 64
			10ms .13 adverts 64
			20ms .13 adverts 64
			25ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"band: an owner that becomes well again is not left", "", newcomer, `
			0ms   .13 adverts 64
			10ms  .13 adverts 192
			10ms  timer is at 335ms`},
		{"band: a drained owner that is undrained is not left", "", newcomer, `
			0ms   .13 adverts 1
			10ms  .13 adverts 192
			10ms  timer is at 335ms`},
		{"band: a backup that becomes healthy leaves an unhealthy owner", "", unhealthyNewcomer, `
			0ms  .13 adverts 64
			50ms healthy
			75ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"band: a backup that becomes unhealthy leaves nobody", "", newcomer, `
			0ms  .13 adverts 64
			10ms unhealthy
			10ms timer is at 375ms`},
		{"band: of two owners the one that will win counts", "", backup, `
			50ms  .11 adverts 64
			50ms  timer is at 325ms
			100ms .14 adverts 192
			100ms timer is at 425ms
			150ms .13 adverts 192
			150ms timer is at 425ms`},
		{"band: the zero of one that lost a duel does not end the winner's life", "", backup, `
			50ms .11 adverts 0
			50ms timer is at 325ms`},
		{"band: the successor of an owner that fell silent counts, though it is inferior", "", backup, `
			310ms .11 adverts 150
			310ms timer is at 635ms`},
		{"band: the successor counts, though it missed the last advert heard here", "", newcomer, `
			0ms   .13 adverts 192
			100ms .13 adverts 192
			305ms .11 adverts 150
			305ms timer is at 630ms`},
	})
}

func TestPreempt(t *testing.T) {
	run(t, []transcript{
		{"6.1 Preempt_Mode True: an owner of lower priority is displaced after the skew", "preempt on", newcomer, `
			0ms  .13 adverts 191
			25ms timer -> backup to displacing, higher-priority; hold 1`},
		{"6.4.2 Preempt_Mode True: one of equal priority is not, whatever its address", "preempt on", newcomer, `
			0ms .11 adverts 192
			0ms timer is at 325ms`},
		{"6.1 Preempt_Mode holds among unhealthy nodes too", "preempt on", unhealthyNewcomer, `
			0ms  .13 adverts 63
			75ms timer -> backup to displacing, higher-priority; hold 1`},
		{"preempt: an unhealthy node never displaces a healthy one", "preempt on", unhealthyNewcomer, `
			0ms .13 adverts 128
			0ms timer is at 375ms`},
		{"preempt_delay: health must have been good for so long", "preempt on, preempt-delay 10s", unhealthyNewcomer, `
			0ms    .13 adverts 150
			100ms  healthy
			5s     .13 adverts 150
			10s    .13 adverts 150
			10100ms timer -> backup to displacing, higher-priority; hold 1`},
		{"preempt_delay: health that was good long ago delays nothing", "preempt on, preempt-delay 10s", newcomer, `
			0ms  .13 adverts 150
			25ms timer -> backup to displacing, higher-priority; hold 1`},
		{"preempt_delay: does not keep anyone at an owner of a lower band", "preempt on, preempt-delay 10s", unhealthyNewcomer, `
			0ms   .13 adverts 64
			100ms healthy
			125ms timer -> backup to displacing, owner-unhealthy; hold 1`},
		{"preempt_delay: does not keep anyone waiting for one that fell silent", "preempt on, preempt-delay 10s", unhealthyNewcomer, `
			0ms   .13 adverts 150
			100ms healthy
			325ms timer -> backup to active, owner-silent; advert 192; hold 1 after silence`},
		{"preempt_delay: a lower band ends the delay", "preempt on, preempt-delay 10s", unhealthyNewcomer, `
			0ms   .13 adverts 150
			100ms healthy
			200ms .13 adverts 64
			200ms timer is at 225ms`},
		{"preempt_delay: holds for an owner that comes back into the band", "preempt on, preempt-delay 10s", unhealthyNewcomer, `
			0ms   .13 adverts 64
			100ms healthy
			110ms .13 adverts 150
			110ms timer is at 435ms`},
	})
}

func TestDisplace(t *testing.T) {
	run(t, []transcript{
		{"displace: the advert goes out when the addresses are held", "", displacing, `
			0ms  timer is at 300ms
			30ms held 1  -> displacing to active, owner-unhealthy; advert 192
			130ms timer  -> advert 192`},
		{"displace: the owner serves on and may advertise meanwhile", "", displacing, `
			20ms .13 adverts 64
			20ms timer is at 300ms
			30ms held 1 -> displacing to active, owner-unhealthy; advert 192`},
		{"displace: the result of another attempt says nothing", "", displacing, `
			30ms held 7
			30ms timer is at 300ms`},
		{"displace: no result in 300 ms: undone, the next try after a second", "", displacing, `
			100ms .13 adverts 64
			200ms .13 adverts 64
			300ms timer         -> report undone by .13; release; displacing to backup, hold-failed
			310ms held 1
			350ms .13 adverts 64
			350ms timer is at 675ms
			1290ms .13 adverts 64
			1300ms timer        -> backup to displacing, owner-unhealthy; hold 2`},
		{"displace: addresses that the kernel refuses: undone at once", "", displacing, `
			20ms not held 1     -> report undone by .13; release; displacing to backup, hold-failed
			20ms timer is at 325ms`},
		{"displace: each undone try doubles the pause, up to 32 s", "", displacing, `
			0ms    not held 1 -> report undone by .13; release; displacing to backup, hold-failed
			970ms  .13 adverts 64
			1s     timer      -> backup to displacing, owner-unhealthy; hold 2
			1s     not held 2 -> report undone by .13; release; displacing to backup, hold-failed
			2970ms .13 adverts 64
			3s     timer      -> backup to displacing, owner-unhealthy; hold 3
			3s     not held 3 -> report undone by .13; release; displacing to backup, hold-failed
			6970ms .13 adverts 64
			7s     timer      -> backup to displacing, owner-unhealthy; hold 4
			7s     not held 4 -> report undone by .13; release; displacing to backup, hold-failed
			14970ms .13 adverts 64
			15s    timer      -> backup to displacing, owner-unhealthy; hold 5
			15s    not held 5 -> report undone by .13; release; displacing to backup, hold-failed
			30970ms .13 adverts 64
			31s    timer      -> backup to displacing, owner-unhealthy; hold 6
			31s    not held 6 -> report undone by .13; release; displacing to backup, hold-failed
			62970ms .13 adverts 64
			63s    timer      -> backup to displacing, owner-unhealthy; hold 7
			63s    not held 7 -> report undone by .13; release; displacing to backup, hold-failed
			94970ms .13 adverts 64
			95s    timer      -> backup to displacing, owner-unhealthy; hold 8`},
		{"displace: an undone try does not delay a takeover from silence", "", displacing, `
			0ms   not held 1 -> report undone by .13; release; displacing to backup, hold-failed
			325ms timer      -> backup to active, owner-silent; advert 192; hold 2 after silence`},
		{"displace: an undone try does not delay a takeover from zero", "", displacing, `
			0ms  not held 1 -> report undone by .13; release; displacing to backup, hold-failed
			50ms .13 adverts 0
			75ms timer      -> backup to active, owner-resigned; advert 192; hold 2`},
		{"displace: the owner became well meanwhile: withdraw, and no pause for the next time", "", displacing, `
			10ms .13 adverts 192 -> release; displacing to backup, higher-priority
			20ms held 1
			50ms .13 adverts 64
			75ms timer -> backup to displacing, owner-unhealthy; hold 2`},
		{"displace: another node was faster: withdraw", "", displacing, `
			10ms .11 adverts 150 -> release; displacing to backup, higher-priority
			20ms held 1
			20ms timer is at 335ms`},
		{"displace: the owner resigns: advertise now, the addresses are on their way", "", displacing, `
			10ms .13 adverts 0  -> displacing to active, owner-resigned; advert 192
			20ms held 1
			110ms timer         -> advert 192`},
		{"displace: the owner falls silent: advertise, and announce again behind its fence", "interval 20ms", fastDisplacing, `
			0ms  timer is at 65ms
			65ms timer -> displacing to active, owner-silent; advert 192 every 20ms; hold 2 after silence`},
		{"displace: a node that was away itself undoes and waits", "", displacing, `
			5s    tick -> report undone by .13; release; displacing to backup, hold-failed
			5s    timer is at 5.325s`},
		{"displace: a node that was away, and whose queue shows that the owner lives, undoes", "", displacing, `
			5s .13 adverts 64
			5s tick -> report undone by .13; release; displacing to backup, hold-failed
			5s timer is at 5.325s`},
		{"displace: this node became unhealthy: withdraw", "", displacing, `
			10ms unhealthy -> release; displacing to backup, unhealthy
			20ms held 1`},
		{"displace: this node is drained: withdraw", "", displacing, `
			10ms drain -> release; displacing to backup, drain
			10ms no timer
			20ms held 1`},
		{"displace: abandoned by the operator", "", displacing, `
			10ms abandon -> release; displacing to backup, forced
			20ms held 1`},
	})
}

// fastDisplacing: .13 advertises 64 every 20 ms, which is shorter than the wait
// for the addresses.
func fastDisplacing(s *script) time.Time {
	s.joined(true)
	s.step(epoch, s.advert(".13 adverts 64 every 20ms"))
	now := s.m.Deadline()
	s.step(now, s.advert(".13 adverts 64 every 20ms"))
	s.step(now, Tick{})
	s.mustBe(Displacing)
	return now
}
