package peer

import (
	"fmt"
	"testing"
	"time"
)

// hotPaths are what a node does for each hello and for each refused datagram.
func hotPaths(tb testing.TB) []struct {
	name string
	do   func()
} {
	var t testing.T
	keys := ring(tb, keyOne)
	datagram, _ := fullHello().Append(nil, 0)
	sealed := ring(tb, keyOne).seal(append([]byte(nil), datagram...), addr("192.0.2.12"))
	var p Parser
	var h Hello
	said := fullHello()
	sender := NewSender(ring(tb, keyOne))
	src := addr("192.0.2.12")
	send := func([]byte) {}

	now := epoch
	table := newTestTable(keys)
	voices := make([]*voice, 5)
	for i := range voices {
		voices[i] = newVoice(&t, fmt.Sprintf("cp%d", i+2), fmt.Sprintf("192.0.2.%d", i+12), keys)
	}
	d := Datagram{Interface: eth0, HopLimit: HopLimit}
	var greeting Hello
	replayed := *voices[0].echo(table, now).say()
	table.Received(now, &replayed)
	take := func(b []byte) { d.Payload = b }
	round := func() {
		now = now.Add(time.Second)
		table.Greet(now, &greeting)
		for _, v := range voices {
			v.hello.Echoes = append(v.hello.Echoes[:0], greeting.Nonce)
			d.Src = v.addr
			v.sender.Each(&v.hello, v.addr, take)
			if _, err := table.Received(now, &d); err != nil {
				panic(err)
			}
		}
		table.Tick(now)
	}
	return []struct {
		name string
		do   func()
	}{
		{"parse", func() { _ = p.Parse(datagram, &h) }},
		{"check a tag", func() { _, _ = keys.open(sealed, src) }},
		{"send", func() { sender.Each(said, src, send) }},
		{"a second with five peers", round},
		{"refuse a replayed hello", func() { table.Received(now, &replayed) }},
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for _, path := range hotPaths(t) {
		t.Run(path.name, func(t *testing.T) {
			for range 20 { // until all memory has grown
				path.do()
			}
			if n := testing.AllocsPerRun(100, path.do); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkHotPaths(b *testing.B) {
	for _, path := range hotPaths(b) {
		b.Run(path.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				path.do()
			}
		})
	}
}
