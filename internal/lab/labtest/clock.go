package labtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ClockJumps are what the wall clock of VipdWithJumps is wrong by, for ClockStep
// each, in turn and from the beginning again.
func ClockJumps() []time.Duration { return []time.Duration{0, time.Hour, -10 * time.Minute} }

// ClockStep is the time between two jumps.
const ClockStep = time.Second

// reading is how package time's Now begins: it has the wall clock's seconds and the
// monotonic clock's nanoseconds.
const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"

// VipdWithJumps builds a vipd whose wall clock jumps, for hours and back, while its
// monotonic clock goes on: a machine whose clock is stepped again and again, which
// cannot be had for one process otherwise (time_namespaces(7) have no CLOCK_REALTIME).
// It is the program of this tree with another package time, which is compiled once.
func VipdWithJumps(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "vipd")
	overlay, err := jumpingClock(dir)
	if err != nil {
		t.Fatalf("make a clock that jumps: %v", err)
	}
	// The whole of Go's library is compiled for it the first time; others may go first.
	cmd := exec.CommandContext(t.Context(), "nice", "go", "build", "-overlay", overlay, "-o", binary, "github.com/vipd/vipd/cmd/vipd") //nolint:gosec // paths of our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build vipd with a clock that jumps: %v\n%s", err, out)
	}
	return binary
}

// jumpingClock writes what go build's -overlay wants, and the package time that it
// names.
func jumpingClock(dir string) (overlay string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its place: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original) //nolint:gosec // Go's own
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), reading) != 1 {
		return "", fmt.Errorf("%s does not read the clocks as it did: this Go's Now begins otherwise than\n%s", original, reading)
	}
	jumping := strings.Replace(string(source), reading, reading+"\tsec += jump(mono)\n", 1) + jump()
	file := filepath.Join(dir, "time.go")
	if err := os.WriteFile(file, []byte(jumping), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// jump is the source of what tells the error in seconds.
func jump() string {
	var b strings.Builder
	b.WriteString("\nfunc jump(mono int64) int64 {\n\tjumps := [...]int64{")
	for _, d := range ClockJumps() {
		fmt.Fprintf(&b, "%d, ", int64(d/time.Second))
	}
	fmt.Fprintf(&b, "}\n\treturn jumps[mono/%d%%int64(len(jumps))]\n}\n", ClockStep.Nanoseconds())
	return b.String()
}
