package flow

import (
	"path/filepath"
	"testing"
)

// Carried connections and a look for another path need the same setting, each in
// its own time.
func TestAcceptLocalIsShared(t *testing.T) {
	const file = "net/ipv4/conf/eth0/accept_local"
	c := newCluster(t, "a", "b")
	c.byMAC = true
	a := c.nodes["a"]
	a.flow.Close()
	memory := filepath.Join(t.TempDir(), "settings.json")
	a.flow = a.flowRemembering(memory)
	is := func(what, want string) {
		t.Helper()
		if got := a.readSysctl(file); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	borrow := func() func() error {
		t.Helper()
		giveBack, err := a.flow.AcceptLocal("eth0")
		if err != nil {
			t.Fatal(err)
		}
		return giveBack
	}
	give := func(back func() error) {
		t.Helper()
		if err := back(); err != nil {
			t.Fatal(err)
		}
	}
	c.move("b")
	is("before", "0")
	first := borrow()
	second := borrow()
	is("while two ask", "1")
	give(first)
	is("while one asks", "1")
	c.move("a") // whose own clients of b are to be let in
	give(second)
	is("while connections are carried", "1")
	third := borrow()
	c.move("b")
	is("when they are not any more, and one asks", "1")
	give(third)
	is("when nobody needs it", "0")

	borrow() // and is killed
	a.flow.Close()
	a.flow = a.flowRemembering(memory)
	c.apply(a)
	is("in the next life", "0")
}
