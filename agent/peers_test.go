package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vipd/vipd/election/vrrp"
)

func TestUnicastPeers(t *testing.T) {
	file := func(peer string) string {
		return `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [` + peer + `]}}]`
	}
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.node(11, file("192.0.2.12")), l.bare(12, file("192.0.2.11"))
		a.awaitSeated()
		b.start()
		b.awaitReady()
		stranger := l.node(13, file("192.0.2.12"))
		stranger.awaitAt(StateBackup) // the VIP is answered for, so it is not claimed
		time.Sleep(time.Minute)
		if got := discarded(b, "unknown-peer"); got != 0 {
			t.Errorf("%d adverts of strangers before there were any", got)
		}
		// A stranger's adverts, made by hand: it advertises to b what would win.
		l.mu.Lock()
		p := vrrp.Packet{VRID: 10, Priority: 254, Interval: 100 * time.Millisecond, Addresses: both[:1]}
		src, dst := stranger.own()[0].Addr(), b.own()[0].Addr()
		l.deliver(b.sockets[0], vrrp.Frame{Src: src, Dst: dst, TTL: vrrp.TTL, Payload: p.Append(nil, src, dst)})
		l.mu.Unlock()
		synctest.Wait()
		if got := discarded(b, "unknown-peer"); got != 1 {
			t.Errorf("%d adverts of strangers, want 1", got)
		}
		if got := b.status("apiserver").Owner; got != "192.0.2.11" {
			t.Errorf("owner %q", got)
		}
		a.powerOff()
		b.awaitSeated()
	})
}

func discarded(n *node, reason string) uint64 {
	synctest.Wait()
	return (*n.process.agent.Loop().Discarded.Load())[reason]
}

func TestWhatIsDiscardedIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a := l.node(11, apiserver)
		a.awaitSeated()
		src := both[0].Next()
		p := vrrp.Packet{VRID: 10, Priority: 100, Interval: time.Second, Addresses: both[:1]}
		good := vrrp.Frame{Src: src, Dst: vrrp.MulticastIPv4, TTL: vrrp.TTL, Payload: p.Append(nil, src, vrrp.MulticastIPv4)}
		p.VRID = 99
		rows := map[string]vrrp.Frame{
			"ttl":          {Src: good.Src, Dst: good.Dst, TTL: 254, Payload: good.Payload},
			"length":       {Src: good.Src, Dst: good.Dst, TTL: vrrp.TTL, Payload: good.Payload[:4]},
			"checksum":     {Src: good.Src, Dst: good.Dst, TTL: vrrp.TTL, Payload: append([]byte{0x31, 11}, good.Payload[2:]...)},
			"unknown-vrid": {Src: good.Src, Dst: good.Dst, TTL: vrrp.TTL, Payload: p.Append(nil, src, vrrp.MulticastIPv4)},
		}
		l.mu.Lock()
		for _, f := range rows {
			l.deliver(a.sockets[0], f)
		}
		a.sockets[0].refused["fragment"] = 7
		l.mu.Unlock()
		for reason := range rows {
			if got := discarded(a, reason); got != 1 {
				t.Errorf("%s: %d, want 1", reason, got)
			}
		}
		if got := discarded(a, "fragment"); got != 7 {
			t.Errorf("refused below VRRP: %d, want 7", got)
		}
		// A socket that is closed takes its counts along.
		l.mu.Lock()
		a.sockets[0].refused["fragment"] = 9
		l.mu.Unlock()
		a.unplug("eth0")
		if got := discarded(a, "fragment"); got != 9 {
			t.Errorf("refused by a socket that is closed now: %d, want 9", got)
		}
	})
}

func TestPeersFileIsFollowed(t *testing.T) {
	const file = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers_file: /etc/vipd/peers}}]`
	const path = "/etc/vipd/peers"
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.bare(11, file), l.bare(12, file)
		for _, n := range []*node{a, b} {
			n.write(path, "192.0.2.11\n192.0.2.12 # cp12\n")
		}
		a.start()
		a.awaitSeated()
		b.start()
		b.awaitReady()

		// A bad file changes nothing; so does one that disappears.
		b.write(path, "192.0.2.11\nnonsense\n")
		time.Sleep(time.Minute)
		if got := b.status("apiserver").Owner; got != "192.0.2.11" {
			t.Errorf("owner %q after a bad file", got)
		}

		// A joiner that only some list: it asks, and does not claim.
		c := l.bare(13, file)
		c.write(path, "192.0.2.11\n192.0.2.12\n192.0.2.13\n")
		c.start()
		await(t, "the joiner tells why it waits", func() bool { return c.status("apiserver").Reason == "vip-answered" })
		if !a.seated() || len(l.holders(theVIP)) != 1 {
			t.Error("the joiner moved the VIP")
		}
		for _, n := range []*node{a, b} {
			n.write(path, "192.0.2.11\n192.0.2.12\n192.0.2.13\n")
		}
		c.awaitReady()
		l.unbroken()

		// Empty is unicast to nobody, not multicast: the others hear silence.
		a.write(path, "")
		c.awaitSeated()
	})
}

func TestReloadFromMulticastToUnicast(t *testing.T) {
	bubble(t, func(t *testing.T, l *lan) {
		a, b := l.pair(apiserver)
		began := time.Now()
		b.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11]}}]`)
		a.mustReload(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {peers: [192.0.2.12]}}]`)
		time.Sleep(time.Minute)
		l.untouched(began, theVIP)
		l.mu.Lock()
		joined := a.sockets[0].joined || b.sockets[0].joined
		l.mu.Unlock()
		if joined {
			t.Error("the multicast group was not left")
		}
		b.tells("init -> backup: startup")
		a.mustReload(apiserver)
		b.mustReload(apiserver)
		time.Sleep(time.Minute)
		l.untouched(began, theVIP)
		b.tells("init -> backup: startup")
	})
}
