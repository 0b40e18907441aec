package flow

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

// listed is what nft(8) says of a table, without what differs each time.
func (h host) listed(family string) string {
	h.t.Helper()
	text := h.run("nft", "list", "table", family, tableName)
	return regexp.MustCompile(` expires [0-9a-z]+| # progname \S+|\tflags (owner|persist|owner,persist|)\n\n`).ReplaceAllString(text, "")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRulesAsNftListsThem(t *testing.T) {
	h := newSegment(t).host("a")
	f := h.flow()
	owner := Group{Name: "apiserver", Interface: "eth0", Addresses: vips, Port: testPort, Role: Owner, Lifetime: time.Minute}
	rows := []struct {
		name   string
		file   string
		groups func() []Group
	}{
		{"a VIP that nobody owned before", "owner", func() []Group { return []Group{owner} }},
		{"an owner with a predecessor", "successor", func() []Group {
			g := owner
			g.Prev = Node{V4: NextHop{Addr: h.addr4.Next()}, V6: NextHop{Addr: h.addr6.Next()}}
			return []Group{g}
		}},
		{"a shadow at the end of the chain", "shadow", func() []Group {
			g := owner
			g.Role = Shadow
			g.Owner = Node{V4: NextHop{Addr: h.addr4.Next()}, V6: NextHop{Addr: h.addr6.Next()}}
			return []Group{g}
		}},
		{"nothing", "empty", func() []Group { return nil }},
	}
	for _, row := range rows {
		if err := f.Apply(t.Context(), row.groups()); err != nil {
			t.Fatal(err)
		}
		f.settled(t)
		golden(t, row.file+".ip", h.listed("ip"))
		golden(t, row.file+".ip6", h.listed("ip6"))
	}
}

// settled ends the drop windows.
func (f *Flow) settled(t *testing.T) {
	t.Helper()
	for _, r := range f.rulesets {
		f.tables.conn.FlushSet(r.named(setSettling))
	}
	if err := f.tables.commit(); err != nil {
		t.Fatal(err)
	}
}
