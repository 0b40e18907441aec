package flow

import "testing"

// Open streams and new connections, 50 streams and 100 connections a second for
// each family, live through moves in any order.
func TestMovesLoseNothing(t *testing.T) {
	rows := []struct {
		name    string
		nodes   []string
		moves   []string
		cookies bool
	}{
		{"to a successor", []string{"a", "b"}, []string{"b"}, false},
		{"to a successor and back", []string{"a", "b"}, []string{"b", "a"}, false},
		{"round three nodes, with SYN cookies forced", []string{"a", "b", "c"}, []string{"b", "c", "a"}, true},
		{"in any order among five nodes", []string{"a", "b", "c", "d", "e"}, []string{"c", "b", "e", "a", "d", "b", "c"}, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, row.nodes...)
			for _, n := range c.nodes {
				if row.cookies {
					n.sysctl("net/ipv4/tcp_syncookies", "2")
				}
			}
			tr := c.load(25, vips...)
			tr.flows()
			for _, to := range row.moves {
				c.move(to)
				tr.flows()
			}
			tr.stop()
		})
	}
}
