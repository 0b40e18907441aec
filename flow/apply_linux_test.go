package flow

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Asking what the kernel can do leaves nothing behind, and an empty state needs
// no table.
func TestNothingBeforeItIsNeeded(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	if err := f.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if left := a.run("nft", "list", "ruleset"); left != "" {
		t.Errorf("there is %s", left)
	}
	if got, err := f.Counters(t.Context()); len(got) > 0 || err != nil {
		t.Errorf("counters %v, %v", got, err)
	}
}

// A group on an interface that is not there does not keep others from being
// applied.
func TestMissingInterfaceHitsItsGroupOnly(t *testing.T) {
	c := newCluster(t, "a")
	a := c.nodes["a"]
	groups := append(c.state(a), Group{
		Name: "lost", Interface: "eth9", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Port: 1, Role: Owner, Lifetime: time.Minute,
	})
	slices.Reverse(groups)
	err := a.flow.Apply(t.Context(), groups)
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "group lost") {
		t.Errorf("got %v", err)
	}
	if got := a.listed("ip"); !strings.Contains(got, `"eth0" . 192.0.2.10 . 6443`) {
		t.Errorf("the other group is not there: %s", got)
	}
}

// A kernel that can keep connections for one family only does so.
func TestOneFamilyIsUnsupported(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	f.features = Features{Missing: []Missing{{Duplication, IPv6, unix.ENOENT}}}
	g := Group{Name: "g", Interface: "eth0", Addresses: vips, Port: testPort, Role: Owner, Lifetime: time.Minute}
	if err := f.Apply(t.Context(), []Group{g}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if got := a.run("nft", "list", "tables"); got != "table ip vipd\n" {
		t.Errorf("tables: %s", got)
	}
	g.Addresses = []netip.Addr{vip4}
	if err := f.Apply(t.Context(), []Group{g}); err != nil {
		t.Errorf("IPv4 alone: %v", err)
	}
}

// The transaction is whole: what the kernel refuses leaves everything as it was,
// and the next one works.
func TestRefusedTransactionChangesNothing(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.move("b")
	b := c.nodes["b"]
	b.flow.settled(t)
	before := b.listed("ip")
	b.do(func() {
		b.flow.tables.conn.FlushSet(b.flow.rulesets[familyOf(vip4)].named(setOwned))
		b.flow.tables.conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "nobody"})
		if err := b.flow.tables.commit(); err == nil {
			t.Error("no error")
		}
	})
	if diff := cmp.Diff(before, b.listed("ip")); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	c.apply(b)
}

// A file that cannot be read is told, and costs nothing else.
func TestUnreadableMemory(t *testing.T) {
	a := newSegment(t).host("a")
	var log strings.Builder
	a.do(func() {
		f, err := New(slog.New(slog.NewTextHandler(&log, nil)), filepath.Join(t.TempDir(), "no", "such", "\x00"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.HoldShadow(t.Context(), "eth0", vips, time.Minute, time.Time{}); err != nil {
			t.Error(err)
		}
	})
	if got := a.quietness(); got != "12" {
		t.Errorf("settings are %s", got)
	}
	for _, want := range []string{"settings of an earlier life are not known", "a kill would leave a changed setting behind"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
}

// A change of roles opens the drop window; repeating the same state does not.
func TestChangeOfRolesOpensTheDropWindow(t *testing.T) {
	c := newCluster(t, "a", "b")
	a := c.nodes["a"]
	settling := func() int {
		list, err := a.flow.tables.elements(a.flow.rulesets[familyOf(vip4)], setSettling)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	a.flow.settled(t)
	c.apply(a)
	if n := settling(); n != 0 {
		t.Errorf("%d VIPs settle without a change", n)
	}
	await(t, "the window to be seen open", func() bool {
		// It may have ended before it is looked at, so it is opened until it is seen.
		if c.order = slices.Clip(c.order[:1]); settling() == 0 {
			c.order = append(c.order, c.nodes["b"])
		}
		c.apply(a)
		return settling() == 1
	})
}

// BenchmarkApply is what renewing costs each second.
func BenchmarkApply(b *testing.B) {
	f := newHost(b, "bench").flow()
	g := Group{Name: "g", Interface: "lo", Addresses: vips, Port: testPort, Role: Owner, Lifetime: time.Minute,
		Prev: Node{V4: NextHop{Addr: a4}, V6: NextHop{Addr: a6}}}
	for b.Loop() {
		if err := f.Apply(b.Context(), []Group{g}); err != nil {
			b.Fatal(err)
		}
	}
}
