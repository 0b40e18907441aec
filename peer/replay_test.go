package peer

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// silence lets all peers of the table fall silent, while the nonce that they
// echoed last still counts: the time in which a replay is tempting.
func silence(table *Table, now time.Time) time.Time {
	now = now.Add(Lifetime)
	table.Tick(now)
	return now
}

// lives are three lives of one node that all echo the present nonce.
func lives(t *testing.T, table *Table, keys *Keyring) (first, second, third *voice) {
	var all [3]*voice
	for i := range all {
		all[i] = newVoice(t, "cp2", "192.0.2.12", keys).echo(table, epoch)
		all[i].hello.Boot[7] = byte(i)
	}
	return all[0], all[1], all[2]
}

func TestReplayOfAnEarlierLife(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	first, second, _ := lives(t, table, keys)
	old := first.say()
	received(t, table, epoch, old, nil)
	received(t, table, epoch, second.say(), nil)
	received(t, table, epoch, old, ErrReplayed)
	now := silence(table, epoch)
	received(t, table, now, old, ErrReplayed)
	if n := table.Node(IDOf("cp2")); n.Condition != Silent || n.Boot != second.hello.Boot {
		t.Errorf("%v in the life %s", n.Condition, n.Boot[:])
	}
}

// Two nodes of one name take turns to be the one that is known.
func TestReplayAfterLivesTookTurns(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	first, second, _ := lives(t, table, keys)
	received(t, table, epoch, first.say(), nil)
	received(t, table, epoch, second.say(), nil)
	now := silence(table, epoch)
	again := first.say()
	received(t, table, now, again, nil)
	now = silence(table, now)
	received(t, table, now, second.say(), nil)
	received(t, table, now, again, ErrReplayed)
	now = silence(table, now)
	received(t, table, now, again, ErrReplayed)
}

func TestReplayOfANodeThatLostItsPlace(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	v := newVoice(t, "cp2", "192.0.2.12", keys).echo(table, epoch)
	old := v.say()
	received(t, table, epoch, old, nil)
	flood(t, table, epoch.Add(ms), 0, maxPeers-1, keys)
	now := silence(table, epoch.Add(ms))
	flood(t, table, now, maxPeers, maxPeers+1, keys)
	if table.Node(v.hello.ID) != nil {
		t.Fatal("it should have made room")
	}
	received(t, table, now, old, ErrReplayed)
	if table.Node(v.hello.ID) != nil {
		t.Error("a replayed hello brought it back")
	}
}

func TestReplayOfANamesake(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	v := newVoice(t, "cp1", "192.0.2.12", keys).echo(table, epoch)
	old := v.say()
	received(t, table, epoch, old, ErrNamesake)
	received(t, table, epoch.Add(time.Second), old, ErrReplayed)
	if table.Namesake(epoch.Add(Lifetime)) {
		t.Error("a replayed hello keeps the warning up")
	}
}

// A node is echoed once, whether it has proven itself yet or not.
func TestEchoes(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	v := newVoice(t, "cp2", "192.0.2.12", keys)
	echoes := func(now time.Time) []Nonce {
		var h Hello
		table.Greet(now, &h)
		return h.Echoes
	}
	want := func(now time.Time, what string, nonces ...Nonce) {
		t.Helper()
		if diff := cmp.Diff(nonces, echoes(now), equateEmpty); diff != "" {
			t.Errorf("%s, -want +got:\n%s", what, diff)
		}
	}
	want(epoch, "nobody was heard")
	received(t, table, epoch, v.say(), ErrUnproven)
	want(epoch, "a stranger", v.hello.Nonce)
	received(t, table, epoch, v.echo(table, epoch).say(), nil)
	want(epoch, "a peer", v.hello.Nonce)
	v.hello.Nonce = Nonce{9}
	received(t, table, epoch, v.say(), nil)
	want(epoch, "a new nonce", v.hello.Nonce)
	v.hello.Echoes, v.hello.Nonce = nil, Nonce{10}
	received(t, table, epoch.Add(time.Second), v.say(), ErrStale)
	want(epoch.Add(Lifetime), "a peer that is deaf", v.hello.Nonce)
	want(epoch.Add(Lifetime+time.Second), "a peer that is gone")
}

// A stranger that says the same nonce again and again is answered by the beat.
func TestOnlyNewStrangersWait(t *testing.T) {
	keys := ring(t, keyOne)
	table := newTestTable(keys)
	v := newVoice(t, "cp2", "192.0.2.12", keys)
	for i, want := range [][]Change{{Waiting{}}, nil, nil} {
		if diff := cmp.Diff(want, received(t, table, epoch, v.say(), ErrUnproven), equateEmpty); diff != "" {
			t.Errorf("hello %d, -want +got:\n%s", i+1, diff)
		}
	}
	v.hello.Nonce[0]++
	if diff := cmp.Diff([]Change{Waiting{}}, received(t, table, epoch, v.say(), ErrUnproven)); diff != "" {
		t.Errorf("a new nonce, -want +got:\n%s", diff)
	}
}

// Nonces are never drawn twice, in one life or another.
func TestNonces(t *testing.T) {
	seen := map[Nonce]string{}
	for life := range byte(3) {
		c := newChallenges([32]byte{life})
		for i := range 100 {
			now := epoch.Add(time.Duration(i) * nonceTurn)
			n := c.nonce(now)
			if where, ok := seen[n]; ok {
				t.Fatalf("nonce %d of life %d was %s", i, life, where)
			}
			seen[n] = fmt.Sprintf("nonce %d of life %d", i, life)
			if again := c.nonce(now.Add(nonceTurn - 1)); again != n {
				t.Errorf("nonce %d did not last", i)
			}
		}
	}
}
