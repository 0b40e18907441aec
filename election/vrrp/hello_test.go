package vrrp

import "testing"

func TestNamedSuccessor(t *testing.T) {
	run(t, []transcript{
		{"a backup of rank one waits for the other one when the owner drains", "peers .13 .14", backup, `
			100ms .13 adverts 1
			100ms timer is at 225ms`},
		{"named after the advert: only the skew", "peers .13 .14", backup, `
			100ms .13 adverts 1
			101ms named by .13
			101ms timer is at 126ms
			126ms timer  -> backup to displacing, owner-draining; hold 1
			130ms held 1 -> displacing to active, owner-draining; advert 192`},
		{"named before the advert: only the skew", "peers .13 .14", backup, `
			99ms  named by .13
			99ms  timer is at 335ms
			100ms .13 adverts 1
			100ms timer is at 125ms`},
		{"named by an owner that resigns: only the skew", "peers .13 .14", backup, `
			99ms  named by .13
			100ms .13 adverts 0
			100ms timer is at 125ms`},
		{"named by another than the owner: nothing changes", "peers .13 .14", backup, `
			99ms  named by .11
			100ms .13 adverts 1
			100ms timer is at 225ms`},
		{"named by an owner that serves on: nothing changes", "peers .13 .14", backup, `
			99ms  named by .13
			100ms .13 adverts 192
			100ms timer is at 435ms`},
		{"named no more before the advert: it waits", "peers .13 .14", backup, `
			98ms  named by .13
			99ms  named by nobody
			100ms .13 adverts 1
			100ms timer is at 225ms`},
		{"a drained node that is named stays a backup", "", backup, `
			10ms drain
			20ms named by .13
			30ms .13 adverts 1
			30ms no timer`},
		{"an unhealthy node that is named does not displace", "", unhealthyBackup, `
			20ms named by .13
			30ms .13 adverts 1
			30ms timer is at 405ms`},
		{"a named node does not hurry when the owner falls silent", "peers .13 .14", backup, `
			10ms named by .13
			10ms timer is at 335ms`},
	})
}

func TestMembers(t *testing.T) {
	run(t, []transcript{
		{"where the configuration lists nobody, members order equal backups", "own .13", backup, `
			1ms members .11 .14
			1ms timer is at 335ms`},
		{"the highest of the members has no tie skew", "own .14", newcomer, `
			0ms timer is at 345ms
			1ms members .11 .12
			1ms timer is at 325ms`},
		{"members that are gone leave the address to decide", "own .14", newcomer, `
			1ms members .11 .12
			2ms members
			2ms timer is at 345ms`},
		{"configured peers come before members", "peers .13 .14", backup, `
			1ms members .15 .16 .17
			1ms timer is at 335ms`},
		{"an owner is not delayed by them", "", owner, `
			1ms   members .13 .14
			100ms timer -> advert 192`},
	})
}

func TestCompany(t *testing.T) {
	run(t, []transcript{
		{"a lonely owner has its priority when an owner would have been heard since", "", lonelyOwner, `
			100ms timer   -> advert 128
			150ms company
			200ms timer   -> advert 128
			300ms timer   -> advert 128
			400ms timer   -> advert 128
			500ms timer   -> advert 128
			600ms timer   -> advert 192`},
		{"company again does not lengthen it", "", lonelyOwner, `
			10ms  company
			100ms timer   -> advert 128
			200ms timer   -> advert 128
			300ms timer   -> advert 128
			390ms company
			400ms timer   -> advert 128
			500ms timer   -> advert 192`},
		{"a lonely owner in company still loses to a seated one", "", lonelyOwner, `
			10ms company
			20ms .11 adverts 192 -> active to backup, duel-lost; release; advert 128; reach 1 of .11`},
		{"company long before the claim: the owner is not lonely", "", newcomer, `
			0ms   company
			325ms timer         -> backup to probing, nobody-heard; probe 1
			410ms probed 1 free -> probing to active, nobody-heard; advert 192; hold 2`},
		{"company before the link came up does not count", "", nowhere, `
			0ms company
			0ms healthy
			0ms up               -> init to backup, startup
			325ms timer          -> backup to probing, nobody-heard; probe 1
			410ms probed 1 free  -> probing to active, nobody-heard; advert 128; hold 2`},
		{"company is forgotten with the link", "", newcomer, `
			0ms    company
			50ms   down no-carrier -> release; backup to init, no-carrier
			60ms   up              -> init to backup, startup
			385ms  timer           -> backup to probing, nobody-heard; probe 1
			470ms probed 1 free   -> probing to active, nobody-heard; advert 128; hold 2`},
	})
}
