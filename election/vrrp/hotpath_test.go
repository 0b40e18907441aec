package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// hotPaths are what a node does for each advert and at each interval.
func hotPaths(tb testing.TB) []struct {
	name string
	do   func()
} {
	frame := readDatagram(tb, "keepalived-ipv4")
	frame6 := readDatagram(tb, "keepalived-ipv6")
	var received Packet
	out := Packet{VRID: 51, Priority: 200, Interval: 100 * ms, Addresses: []netip.Addr{last(".10"), last(".20")}}
	buffer := make([]byte, 0, 64)

	healthy := Packet{VRID: 51, Priority: 192, Interval: 100 * ms, Addresses: []netip.Addr{last(".10")}}
	inferior, resigned := healthy, healthy
	inferior.Priority, resigned.Priority = 150, 0
	follower, now := runningMachine(false)
	master, _ := runningMachine(true)
	later := func() time.Time {
		now = now.Add(100 * ms)
		return now
	}
	return []struct {
		name string
		do   func()
	}{
		{"parse IPv4", func() { _ = Parse(frame, &received) }},
		{"parse IPv6", func() { _ = Parse(frame6, &received) }},
		{"append", func() { buffer = out.Append(buffer[:0], frame.Src, frame.Dst) }},
		{"step backup on advert", func() { follower.Step(later(), Advert{From: last13, Packet: &healthy}) }},
		{"step owner on advert of an inferior owner", func() { master.Step(later(), Advert{From: last13, Packet: &inferior}) }},
		{"step owner on advert of one that resigns", func() { master.Step(later(), Advert{From: last13, Packet: &resigned}) }},
		{"step owner on tick", func() {
			now = master.Deadline()
			master.Step(now, Tick{})
		}},
	}
}

var last13 = last(".13")

// runningMachine is a healthy node that hears .13, or that has taken over from
// it.
func runningMachine(owns bool) (*Machine, time.Time) {
	m := New(Config{
		VRID: 51, Addresses: []netip.Addr{last(".10")}, Rhythm: Rhythm{Interval: 100 * ms},
		Priority: 200, UnhealthyPriority: 100, FollowChecksum: true,
	}, false)
	now := epoch
	m.Step(now, Health{Healthy: true})
	m.Step(now, LinkUp{Own: last(".12")})
	m.Step(now, Advert{From: last13, Packet: &Packet{VRID: 51, Priority: 192, Interval: 100 * ms, Addresses: []netip.Addr{last(".10")}}})
	if owns {
		now = m.Deadline()
		m.Step(now, Tick{})
	}
	return m, now
}

func TestHotPathsAllocateNothing(t *testing.T) {
	for _, path := range hotPaths(t) {
		t.Run(path.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(1000, path.do); n != 0 {
				t.Errorf("%v allocations, want none", n)
			}
		})
	}
}

func BenchmarkParse(b *testing.B)  { benchmark(b, "parse IPv4") }
func BenchmarkAppend(b *testing.B) { benchmark(b, "append") }

func BenchmarkStep(b *testing.B) {
	for _, name := range []string{"step backup on advert", "step owner on advert of an inferior owner", "step owner on tick"} {
		b.Run(name[len("step "):], func(b *testing.B) { benchmark(b, name) })
	}
}

func benchmark(b *testing.B, name string) {
	for _, path := range hotPaths(b) {
		if path.name != name {
			continue
		}
		b.ReportAllocs()
		for b.Loop() {
			path.do()
		}
		return
	}
	b.Fatalf("no such path: %q", name)
}
