package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// shadows lists the VIPs on lo as ip(8) tells them.
func (h host) shadows() []string {
	h.t.Helper()
	var links []struct {
		Addresses []struct {
			Local         string `json:"local"`
			Length        int    `json:"prefixlen"`
			Scope         string `json:"scope"`
			Deprecated    bool   `json:"deprecated"`
			NoPrefixRoute bool   `json:"noprefixroute"`
			Dynamic       bool   `json:"dynamic"`
		} `json:"addr_info"`
	}
	text := h.ip("-j", "-d", "addr", "show", "dev", "lo")
	if err := json.Unmarshal([]byte(text), &links); err != nil {
		h.t.Fatalf("%v in %q", err, text)
	}
	var there []string
	for _, a := range links[0].Addresses {
		if addr, err := netip.ParseAddr(a.Local); err == nil && slices.Contains(vips, addr) {
			there = append(there, fmt.Sprintf("%s/%d %s deprecated=%v noprefixroute=%v dynamic=%v",
				a.Local, a.Length, a.Scope, a.Deprecated, a.NoPrefixRoute, a.Dynamic))
		}
	}
	slices.Sort(there)
	return there
}

var (
	bothShadows = []string{
		"192.0.2.10/32 host deprecated=false noprefixroute=true dynamic=true",
		"2001:db8::10/128 global deprecated=true noprefixroute=true dynamic=true",
	}
	noDeadline time.Time
)

const (
	arpIgnoreFile   = "net/ipv4/conf/eth0/arp_ignore"
	arpAnnounceFile = "net/ipv4/conf/eth0/arp_announce"
)

// quietness is arp_ignore and arp_announce of eth0.
func (h host) quietness() string {
	return h.readSysctl(arpIgnoreFile) + h.readSysctl(arpAnnounceFile)
}

func TestHoldShadow(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	hold := func() (bool, error) { return f.HoldShadow(t.Context(), "eth0", vips, time.Minute, noDeadline) }
	rows := []struct {
		name    string
		before  func()
		created bool
	}{
		{"nothing there: created", func() {}, true},
		{"all there: refreshed", func() {}, false},
		{"one deleted by somebody: created again", func() { a.ip("addr", "del", vip4.String()+"/32", "dev", "lo") }, true},
		{"the address is on eth0 too, as on the way here", func() { a.ip("addr", "add", vip4.String()+"/32", "dev", "eth0") }, false},
	}
	for _, row := range rows {
		row.before()
		created, err := hold()
		if err != nil || created != row.created {
			t.Errorf("%s: created %v, %v", row.name, created, err)
		}
		if diff := cmp.Diff(bothShadows, a.shadows()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		if got := a.quietness(); got != "12" {
			t.Errorf("%s: arp_ignore and arp_announce are %s, want 12", row.name, got)
		}
	}
	found, err := f.FindShadows(t.Context(), append([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, vips...))
	if diff := cmp.Diff(vips, found, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("found, %v (-want +got):\n%s", err, diff)
	}
	if err := f.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := a.quietness(); got != "12" {
		t.Errorf("rules have changed what a shadow needs: %s", got)
	}
	for range 2 {
		if err := f.ReleaseShadow(t.Context(), "eth0", vips); err != nil {
			t.Error(err)
		}
		if left, quiet := a.shadows(), a.quietness(); len(left) > 0 || quiet != "00" {
			t.Errorf("released: %v is there, and settings %s", left, quiet)
		}
	}
}

func TestShadowExpires(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	if _, err := f.HoldShadow(t.Context(), "eth0", vips, time.Second, noDeadline); err != nil {
		t.Fatal(err)
	}
	await(t, "the shadow to expire", func() bool { return len(a.shadows()) == 0 })
}

func TestHoldShadowRefusals(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	rows := []struct {
		name     string
		ctx      context.Context
		ifname   string
		lifetime time.Duration
		deadline time.Time
		want     error
	}{
		{"no such interface", t.Context(), "eth9", time.Minute, noDeadline, unix.ENODEV},
		{"cancelled", cancelled, "eth0", time.Minute, noDeadline, context.Canceled},
		{"too late", t.Context(), "eth0", time.Minute, time.Now(), ErrDeadline},
		{"a lifetime that the kernel would take for none", t.Context(), "eth0", 999 * time.Millisecond, noDeadline, nil},
	}
	for _, row := range rows {
		created, err := f.HoldShadow(row.ctx, row.ifname, vips, row.lifetime, row.deadline)
		if created || err == nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%s: created %v, %v", row.name, created, err)
		}
		if left := a.shadows(); len(left) > 0 {
			t.Errorf("%s: %v is there", row.name, left)
		}
	}
}

// The clock passes the deadline while an address is in the kernel, as it does
// when the process is frozen there.
func TestHoldShadowStalledInTheKernelUndoesAll(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	start, looks := time.Now(), 0
	f.now = func() time.Time {
		if looks++; looks > 2 {
			return start.Add(time.Hour)
		}
		return start
	}
	if _, err := f.HoldShadow(t.Context(), "eth0", vips, time.Minute, start.Add(time.Minute)); !errors.Is(err, ErrDeadline) {
		t.Errorf("got %v", err)
	}
	if left := a.shadows(); len(left) > 0 {
		t.Errorf("%v is there", left)
	}
}

// Settings are put back to what they were, whoever ends the shadow.
func TestSettingsArePutBack(t *testing.T) {
	rows := []struct {
		name          string
		before        string // arp_ignore and arp_announce
		during        string
		while         func(host)
		after         string
		killed        bool
		nothingToSave bool
	}{
		{"as they were", "00", "12", nil, "00", false, false},
		{"stricter ones stay", "22", "22", nil, "22", false, true},
		{"one of each", "02", "12", nil, "02", false, false},
		{"what somebody changes meanwhile stays", "00", "12", func(h host) { h.sysctl(arpIgnoreFile, "8") }, "80", false, false},
		{"by the next life, after a kill", "01", "12", nil, "01", true, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a := newSegment(t).host("a")
			a.sysctl(arpIgnoreFile, row.before[:1])
			a.sysctl(arpAnnounceFile, row.before[1:])
			memory := filepath.Join(t.TempDir(), "settings.json")
			f := a.flowRemembering(memory)
			if err := f.Apply(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := f.HoldShadow(t.Context(), "eth0", vips, time.Minute, noDeadline); err != nil {
				t.Fatal(err)
			}
			if got := a.quietness(); got != row.during {
				t.Errorf("during the shadow %s, want %s", got, row.during)
			}
			if _, err := os.Stat(memory); (err != nil) != row.nothingToSave {
				t.Errorf("the file during the shadow: %v", err)
			}
			if row.while != nil {
				row.while(a)
			}
			if row.killed {
				f.Close()
				f = a.flowRemembering(memory)
				// Nobody knows yet whether the shadow is wanted.
				if got := a.quietness(); got != row.during {
					t.Errorf("after the start %s, want %s", got, row.during)
				}
				if err := f.Apply(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				// Nobody wants it, and it stands: this host must not answer for it.
				if got := a.quietness(); got != row.during {
					t.Errorf("beside a shadow of the former life %s, want %s", got, row.during)
				}
			}
			if err := f.ReleaseShadow(t.Context(), "eth0", vips); err != nil {
				t.Fatal(err)
			}
			if got := a.quietness(); got != row.after {
				t.Errorf("at the end %s, want %s", got, row.after)
			}
			if _, err := os.Stat(memory); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file at the end: %v", err)
			}
		})
	}
}

// An interface that is made anew has settings of its own.
func TestSettingsOfAnInterfaceThatIsGone(t *testing.T) {
	a := newSegment(t).host("a")
	f := a.flow()
	if err := f.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.HoldShadow(t.Context(), "eth0", vips, time.Minute, noDeadline); err != nil {
		t.Fatal(err)
	}
	a.ip("link", "del", "eth0")
	if err := f.ReleaseShadow(t.Context(), "eth0", vips); err != nil {
		t.Error(err)
	}
	if len(f.loans.list) > 0 {
		t.Errorf("still to be put back: %+v", f.loans.list)
	}
}
