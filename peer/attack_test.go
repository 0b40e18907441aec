package peer

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// attacker knows all hellos that a node ever heard or sent, and not the key.
type attacker struct {
	random   *rand.Rand
	captured []captive
	wrong    *Keyring
}

// datagram is one of the captured hellos again, or one forged from them. What
// was lost on the way to the node is not among them: to deliver that, late, is
// what a network does too.
func (a *attacker) datagram() *Datagram {
	c := a.captured[a.random.IntN(len(a.captured))]
	d := &Datagram{Src: c.src, Interface: eth0, HopLimit: HopLimit, Payload: slices.Clone(c.bytes)}
	body := len(d.Payload) - tagLength
	switch a.random.IntN(10) {
	case 0:
		d.Src = addr("192.0.2.66")
	case 1:
		d.Payload[5+a.random.IntN(len(d.Payload)-5)] ^= 1 << a.random.IntN(8)
	case 2:
		d.Payload = d.Payload[:a.random.IntN(len(d.Payload))]
	case 3: // without its tag
		d.Payload = d.Payload[:body]
		d.Payload[flagsOffset] = 0
	case 4: // with a number yet to come, under another key
		d.Payload = d.Payload[:body]
		d.Payload[16+a.random.IntN(8)]++
		d.Payload = a.wrong.seal(d.Payload, d.Src)
	case 5: // one hello's head with another one's tag
		other := a.captured[a.random.IntN(len(a.captured))].bytes
		copy(d.Payload[body:], other[len(other)-tagLength:])
		d.Payload[16+7]++
	}
	return d
}

// A forged, replayed or unauthenticated hello changes nothing: a table that is
// attacked all the time knows at each moment exactly what its twin knows that is
// left alone. Nodes restart, die, come back and change, on a bad link.
func TestAttacksChangeNothing(t *testing.T) {
	for seed := range uint64(4) {
		l := newLAN(t, seed)
		l.drop, l.double, l.delay = 10, 5, 50*ms
		keys := l.keyed(keyOne)
		victim := l.join(1, keys)
		a := &attacker{random: rand.New(rand.NewPCG(seed, 1)), wrong: ring(t, keyTwo)}
		var twin *Table
		attacks := 0
		l.observed = func(n *node, happened step) {
			if n != victim {
				return
			}
			// The node's own table is the one left alone.
			if twin == nil {
				twin = n.newTable()
			}
			switch {
			case happened.arrived != nil:
				twin.Received(happened.at, &Datagram{Src: happened.arrived.src, Interface: eth0, HopLimit: HopLimit, Payload: happened.arrived.bytes})
				a.captured = append(a.captured, *happened.arrived)
			case happened.greeted:
				twin.Greet(happened.at, &Hello{})
				for _, c := range l.captured[max(0, len(l.captured)-8):] {
					if c.src == n.addr {
						a.captured = append(a.captured, c)
					}
				}
			default:
				twin.Tick(happened.at)
			}
			for range 3 {
				if len(a.captured) == 0 {
					break
				}
				d := a.datagram()
				attacks++
				if _, err := twin.Received(happened.at, d); err == nil {
					t.Fatalf("seed %d: believed %x from %v", seed, d.Payload, d.Src)
				}
			}
			// DeepEqual because cmp takes a hundred times as long.
			if alone, attacked := known(n.table), known(twin); !reflect.DeepEqual(alone, attacked) {
				diff := cmp.Diff(alone, attacked, equateEmpty, cmp.AllowUnexported(Member{}))
				t.Fatalf("seed %d, %v: -left alone +attacked:\n%s", seed, happened.at.Sub(epoch), diff)
			}
		}
		for i := range byte(3) {
			l.join(i+2, keys)
		}
		for range 60 {
			l.run(time.Duration(l.random.IntN(3000)) * ms)
			n := l.nodes[l.random.IntN(len(l.nodes))]
			switch l.random.IntN(4) {
			case 0:
				if n == victim {
					twin = nil
				}
				n.start()
			case 1:
				if n != victim {
					n.up = !n.up
				}
			default:
				n.change(func(s *Statement) { s.Connections++; s.Role = Role(l.random.IntN(int(roles))) })
			}
		}
		if attacks < 1000 {
			t.Errorf("seed %d: only %d attacks", seed, attacks)
		}
	}
}

func known(table *Table) []Node {
	var all []Node
	for n := range table.All() {
		all = append(all, *n)
	}
	return all
}
