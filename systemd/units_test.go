package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exposureLimit is the most that `systemd-analyze security` may find, in tenths.
// What is left is what vipd is for: addresses, raw packets, the host's network.
const exposureLimit = "19"

func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skipf("needs systemd-analyze: %v", err)
	}
	root := host(t)
	for _, unit := range []string{"vipd.service", "vipd-shutdown.service"} {
		t.Run(unit+": systemd has no fault to find", func(t *testing.T) {
			// Manual pages are made when a package is.
			out, err := exec.Command(analyze, "verify", "--man=no", "--root="+root, unit).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
		t.Run(unit+": it may do little else than its work", func(t *testing.T) {
			out, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+exposureLimit, unit).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// host is the root of a file system that has what the units name: systemd's own
// units, theirs, and the programs.
func host(t *testing.T) string {
	t.Helper()
	const units = "usr/lib/systemd/system"
	root := t.TempDir()
	targets, err := filepath.Glob("/" + units + "/*.target")
	if err != nil || len(targets) == 0 {
		t.Skipf("needs systemd's units in /%s: %v", units, err)
	}
	for _, file := range append(targets, "vipd.service", "vipd-shutdown.service") {
		put(t, filepath.Join(root, units, filepath.Base(file)), read(t, file), 0o644)
	}
	for _, program := range []string{"usr/bin/vipd", "bin/true", "bin/kill"} {
		put(t, filepath.Join(root, program), "#!/bin/sh\n", 0o755)
	}
	return root
}

// The drop-in is for a unit that is there: it may add nothing but what it is for.
func TestTheKeysDropInAddsOneCapability(t *testing.T) {
	for _, key := range []string{"AmbientCapabilities", "CapabilityBoundingSet"} {
		if got := values(read(t, "vipd-keys.conf"), key); got != "CAP_DAC_READ_SEARCH" {
			t.Errorf("%s=%s", key, got)
		}
		if got := values(read(t, "vipd.service"), key); got != "CAP_NET_ADMIN CAP_NET_RAW" {
			t.Errorf("without it: %s=%s", key, got)
		}
	}
}

// The unit keeps BFD from real time, and the drop-in undoes just that.
func TestTheRealTimeDropInGivesTheLowestPriority(t *testing.T) {
	for _, row := range []struct{ key, without, with string }{
		{"LimitRTPRIO", "", "1"},
		{"RestrictRealtime", "yes", "no"},
	} {
		if got := values(read(t, "vipd.service"), row.key); got != row.without {
			t.Errorf("without it: %s=%s", row.key, got)
		}
		if got := values(read(t, "vipd-realtime.conf"), row.key); got != row.with {
			t.Errorf("%s=%s", row.key, got)
		}
	}
	if got := values(read(t, "vipd-realtime.conf"), "SystemCallFilter"); got != "sched_setattr" {
		t.Errorf("SystemCallFilter=%s", got)
	}
}

// values are those of a key, in order.
func values(unit, key string) string {
	var all []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			all = append(all, value)
		}
	}
	return strings.Join(all, " ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
