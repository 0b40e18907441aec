package flow

import "testing"

// So many open connections at once that there is no room to note them: new ones
// are served, and carried ones live on.
func TestNoRoomToNoteWhoIsOpening(t *testing.T) {
	c := newCluster(t, "a", "b")
	tr := c.load(25, vips...)
	tr.flows()
	b := c.nodes["b"]
	for _, r := range b.flow.rulesets {
		r.named(setSeen).Size = 4
	}
	c.move("b")
	for range 3 {
		tr.flows()
	}
	for _, r := range b.flow.rulesets {
		list, err := b.flow.tables.elements(r, setFull)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			t.Error("there was room, so nothing is tested")
		}
	}
	tr.stop()
}
