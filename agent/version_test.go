package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election"
	"github.com/vipd/vipd/election/vrrp"
)

const (
	version2 = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {version: 2, password: k8s-vip}}]`
	version3 = `vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {version: 3, password: k8s-vip}}]`
)

// The nodes change their version one after the other: the VIP stays where it is
// throughout, whichever of them goes first.
func TestRollingChangeOfVersion(t *testing.T) {
	rows := []struct {
		name       string
		from, to   string
		ownerFirst bool
	}{
		{"from 2 to 3, the owner first", version2, version3, true},
		{"from 2 to 3, the owner last", version2, version3, false},
		{"from 3 to 2, the owner first", version3, version2, true},
		{"from 3 to 2, the owner last", version3, version2, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a, b := l.pair(row.from)
				c := l.node(13, row.from)
				c.awaitReady()
				nodes := []*node{b, c, a}
				if row.ownerFirst {
					nodes = []*node{a, b, c}
				}
				began := time.Now()
				for _, n := range nodes {
					n.mustReload(row.to)
					time.Sleep(10 * time.Second)
					if diff := cmp.Diff([]string{"cp11"}, l.holders(theVIP)); diff != "" {
						t.Fatalf("holders after the change of %s (-want +got):\n%s", n.name, diff)
					}
				}
				l.untouched(began, theVIP)
				l.unbroken()
				b.tells("init -> backup: startup")
				c.tells("init -> backup: startup")
			})
		})
	}
}

// A takeover works half way through the change, in either direction.
func TestTakeoverBetweenVersions(t *testing.T) {
	for _, row := range []struct{ name, owner, backup string }{
		{"version 3 from version 2", version2, version3},
		{"version 2 from version 3", version3, version2},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lan) {
				a := l.node(11, row.owner)
				a.awaitSeated()
				b := l.node(12, row.backup)
				b.awaitReady()
				a.powerOff()
				b.awaitSeated()
				if got := b.status("apiserver").Reason; got != election.OwnerSilent {
					t.Errorf("it took over for %s", got)
				}
			})
		})
	}
}

// Version 2 is heard with the group's password only, version 3 always.
func TestPasswords(t *testing.T) {
	const heard, refused = 1, 0
	group := func(password string) string {
		return fmt.Sprintf(`vips: [{name: apiserver, addresses: [192.0.2.10], vrrp: {password: %q}}]`, password)
	}
	secret := vrrp.Password([]byte("secret12"))
	rows := []struct {
		name   string
		file   string
		advert vrrp.Packet
		want   uint64
	}{
		{"the password that is configured: heard", group("secret12"), vrrp.Packet{Version: vrrp.Version2, Password: secret}, heard},
		{"another password: discard", group("secret13"), vrrp.Packet{Version: vrrp.Version2, Password: secret}, refused},
		{"a password that only begins alike: discard", group("secret1"), vrrp.Packet{Version: vrrp.Version2, Password: secret}, refused},
		{"none, where one is configured: discard", group("secret12"), vrrp.Packet{Version: vrrp.Version2}, refused},
		{"one, where none is configured: discard", group(""), vrrp.Packet{Version: vrrp.Version2, Password: secret}, refused},
		{"none, where none is configured: heard", group(""), vrrp.Packet{Version: vrrp.Version2}, heard},
		{"version 3, where one is configured: heard", group("secret12"), vrrp.Packet{}, heard},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			hushedBubble(t, func(t *testing.T, l *lan) {
				a := l.node(11, row.file)
				a.awaitSeated()
				src := both[0].Next()
				p := row.advert
				p.VRID, p.Priority, p.Interval, p.Addresses = 10, 1, time.Second, both[:1]
				l.mu.Lock()
				l.deliver(a.sockets[0], vrrp.Frame{Src: src, Dst: vrrp.MulticastIPv4, TTL: vrrp.TTL, Payload: p.Append(nil, src, vrrp.MulticastIPv4)})
				l.mu.Unlock()
				dropped := discarded(a, "password")
				if got := a.status("apiserver").Counters.AdvertsReceived.Load(); got != row.want || dropped != 1-row.want {
					t.Errorf("received %d, discarded %d for its password", got, dropped)
				}
			})
		})
	}
}
