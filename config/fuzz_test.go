package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse holds: no file makes Parse panic, every problem is one line that
// begins with the file's name, and a good file survives being written out and
// does not differ from itself.
func FuzzParse(f *testing.F) {
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range yamlBlocks(string(doc)) {
		f.Add([]byte(b.text))
	}
	for _, seed := range []string{
		"", "---\n---\n", "vips:\n\t- a", "vips: &a [*a]\n", "a: !!binary x", "? [a]\n: b", "<<: {vips: []}\n",
		"vips: [{addresses: [192.0.2.10], health: [{type: exec, command: [/x, \"\\u2028\\x85\\r\\n\"]}]}]",
		"vips: [{addresses: [\"fe80::1\"], interface: e, vrrp: {vrid: 00, priority: 1_000}}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Parse("f", file)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") || !printable(line) {
					t.Errorf("%q is not a problem of one line", line)
				}
			}
			return
		}
		written, err := Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("f", written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if diff := cmp.Diff(c, again, addressesEqual()); diff != "" {
			t.Errorf("read -, read again +:\n%s", diff)
		}
		unchanged := Difference{}
		for _, v := range c.VIPs {
			unchanged.Unchanged = append(unchanged.Unchanged, v.Name)
		}
		if diff := cmp.Diff(unchanged, Diff(c, again), addressesEqual()); diff != "" {
			t.Errorf("differs from itself: want -, got +:\n%s", diff)
		}
	})
}

// FuzzReadPeers holds: no file makes ReadPeers panic, and what it gives are
// addresses that hosts can have, once each.
func FuzzReadPeers(f *testing.F) {
	f.Add([]byte("192.0.2.11 # cp1\n\n2001:db8::1\r\n"))
	f.Add([]byte("fe80::1%\n::ffff:1.2.3.4\n#"))
	f.Fuzz(func(t *testing.T, file []byte) {
		peers, err := ReadPeers(file)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "line ") || !printable(line) {
					t.Errorf("%q is not a problem of one line", line)
				}
			}
		}
		seen := map[string]bool{}
		for _, p := range peers {
			if _, err := unicastAddress(p.String()); err != nil || seen[p.String()] {
				t.Errorf("%s: twice %v, %v", p, seen[p.String()], err)
			}
			seen[p.String()] = true
		}
	})
}
