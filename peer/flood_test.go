package peer

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// flood lets nodes from-th to to-th, that nobody knows, say hello once each.
func flood(t *testing.T, table *Table, now time.Time, from, to int, keys *Keyring) (refused int) {
	t.Helper()
	for i := from; i < to; i++ {
		v := newVoice(t, fmt.Sprintf("f%06d", i), "192.0.2.200", keys)
		v.hello.Boot = Boot([]byte(fmt.Sprintf("f%07d", i)))
		if keys != nil {
			v.echo(table, now)
		}
		switch _, err := table.Received(now, v.say()); {
		case errors.Is(err, ErrFull):
			refused++
		case err != nil:
			t.Fatalf("node %d of the flood: %v", i, err)
		}
	}
	return refused
}

func TestFloodOfUnknownNodesIsBounded(t *testing.T) {
	table := newTestTable(nil)
	listed := newVoice(t, "cp3", "192.0.2.13", nil)
	received(t, table, epoch, listed.say(), nil)
	if got := flood(t, table, epoch, 0, 2000, nil); got != 2000-(maxPeers-1) {
		t.Errorf("%d were refused", got)
	}
	if len(table.peers) != maxPeers {
		t.Errorf("%d peers", len(table.peers))
	}
	if n := table.Node(listed.hello.ID); n == nil || n.Condition != Alive {
		t.Error("a flood displaced a listed peer")
	}
	var h Hello
	table.Greet(epoch, &h)
	if len(h.Echoes) > maxEchoes {
		t.Errorf("%d echoes", len(h.Echoes))
	}
}

func TestListedPeerFindsAPlaceInAFlood(t *testing.T) {
	table := newTestTable(nil)
	flood(t, table, epoch, 0, 100, nil)
	v := newVoice(t, "cp3", "192.0.2.13", nil)
	received(t, table, epoch, v.say(), nil)
	flood(t, table, epoch, 100, 200, nil)
	if table.Node(v.hello.ID) == nil {
		t.Error("a flood displaced it again")
	}
}

func TestUnknownNodeTakesThePlaceOfOneThatIsGone(t *testing.T) {
	table := newTestTable(nil)
	flood(t, table, epoch, 0, maxPeers, nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), ErrFull)
	later := epoch.Add(Lifetime)
	table.Tick(later)
	received(t, table, later, v.say(), nil)
	if len(table.peers) != maxPeers {
		t.Errorf("%d peers", len(table.peers))
	}
}

func TestListedPeerThatIsSilentOutlivesUnknownNodes(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp3", "192.0.2.13", nil)
	received(t, table, epoch, v.say(), nil)
	later := epoch.Add(Lifetime)
	table.Tick(later)
	flood(t, table, later, 0, 100, nil)
	if table.Node(v.hello.ID) == nil {
		t.Error("status forgot a configured peer because of a flood")
	}
}

// Old hellos of many earlier lives are authentic, and anyone can send them. They
// fill the places of strangers and nothing else; the table asks for no more
// answers than Beat allows, and a peer still gets through.
func TestFloodOfAuthenticStrangers(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	for i := range 500 {
		v := newVoice(t, "cp2", "192.0.2.12", keys)
		v.hello.Boot = Boot([]byte(fmt.Sprintf("b%07d", i)))
		received(t, table, epoch, v.say(), ErrUnproven)
	}
	if len(table.strangers) != maxStrangers || len(table.peers) != 0 {
		t.Errorf("%d strangers, %d peers", len(table.strangers), len(table.peers))
	}
	v := newVoice(t, "cp2", "192.0.2.12", keys)
	received(t, table, epoch, v.say(), ErrUnproven)
	var h Hello
	table.Greet(epoch, &h)
	if got := h.Echoes[len(h.Echoes)-1]; got != v.hello.Nonce && h.Echoes[0] != v.hello.Nonce {
		t.Errorf("the newest stranger is not echoed: %v", h.Echoes)
	}
	v.hello.Echoes = []Nonce{h.Nonce}
	received(t, table, epoch, v.say(), nil)
}

func TestHolderOfTheKeyCannotOverfillTheTable(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	if got := flood(t, table, epoch, 0, 100, keys); got != 100-maxPeers {
		t.Errorf("%d were refused", got)
	}
}

// Each start of a daemon is a life. When they follow so fast that one has to be
// forgotten while a nonce it echoed still counts, all nonces go with it: else
// its hellos could be replayed.
func TestManyLivesInAShortTime(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	var first *Datagram
	for i := range maxPast + 2 {
		v := newVoice(t, "cp2", "192.0.2.12", keys)
		v.hello.Boot = Boot([]byte(fmt.Sprintf("b%07d", i)))
		d := v.echo(table, epoch).say()
		if first == nil {
			first = d
		}
		received(t, table, epoch, d, nil)
	}
	if len(table.past) > maxPast {
		t.Errorf("%d past lives", len(table.past))
	}
	received(t, table, epoch, first, ErrUnproven)
}

func TestGroupsOfOnePeerAreBounded(t *testing.T) {
	table := newTestTable(nil)
	v := newVoice(t, "cp2", "192.0.2.12", nil)
	received(t, table, epoch, v.say(), nil)
	for i := range 2 * maxMembers {
		v.hello.Statements[0].VIPs = addrs(fmt.Sprintf("10.0.%d.%d", i/256, i%256))
		received(t, table, epoch, v.say(), nil)
	}
	if n := len(table.Node(v.hello.ID).Members); n != maxMembers {
		t.Errorf("%d groups", n)
	}
}

func TestWordsAreBounded(t *testing.T) {
	var p Parser
	var h Hello
	said := sparseHello()
	for i := range 3 * maxWords {
		said.Version = fmt.Sprintf("v%d", i)
		b, _ := said.Append(nil, 0)
		must(t, p.Parse(b, &h))
	}
	if len(p.words) > maxWords {
		t.Errorf("%d words", len(p.words))
	}
}
