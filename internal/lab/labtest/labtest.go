// Package labtest gives a test a lab that ends with the test, and lets its
// binary be the programs that run on the lab's hosts:
//
//	func TestMain(m *testing.M) { labtest.Main(m) }
package labtest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/tool"
)

// Main runs the tests, or the command of package tool that the binary was called
// with: Self is where a path of viplab is wanted.
func Main(m *testing.M) {
	tool.Main()
	// The race detector lets each process linger for a second at its end, longer
	// than a check may take.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Self is the path of the test's binary.
func Self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// New builds a lab for t, skips as Require does, and fails the test when the lab
// cannot be built. If the test fails, the end of every process's log is shown.
func New(t testing.TB, opts lab.Options, programs ...string) *lab.Lab {
	t.Helper()
	Require(t, programs...)
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	l, err := lab.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			ShowLogs(t, l)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Context ends with the test or after patience, so that a wait in vain fails
// with what was awaited.
func Context(t testing.TB, patience time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Require skips the test where a lab cannot be built, or is not wanted: without
// root, without ip, nft or one of the named programs, and with -short.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a lab; not with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	for _, program := range append([]string{"ip", "nft"}, programs...) {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

// ShowLogs prints the last 4 kB that each process wrote.
func ShowLogs(t testing.TB, l *lab.Lab) {
	const shown = 4096
	for _, p := range l.Processes() {
		log := p.Log()
		if len(log) > shown {
			log = "..." + log[len(log)-shown:]
		}
		if log != "" {
			t.Logf("%s on %s:\n%s", p.Name, p.Host, log)
		}
	}
}
