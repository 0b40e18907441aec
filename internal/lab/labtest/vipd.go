package labtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vipd/vipd/internal/lab/tool"
)

// vipdFlag is the flag that holds the path of the vipd under test.
const vipdFlag = "vipd"

// MainWithVipd is Main for packages whose tests run vipd, too. Unless the flag
// -vipd names a binary, it is built from this tree, once; with -vipd-race it has
// the race detector.
func MainWithVipd(m *testing.M) {
	tool.Main()
	os.Exit(withVipd(m))
}

func withVipd(m *testing.M) int {
	binary := flag.String(vipdFlag, "", "the vipd to test; empty: it is built from this tree")
	race := flag.Bool("vipd-race", false, "build vipd with the race detector")
	flag.Parse()
	if *binary != "" || testing.Short() || os.Geteuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "vipd-test-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
		*binary = filepath.Join(dir, "vipd")
		err = build(*binary, *race)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(path string, race bool) error {
	args, cgo := []string{"build", "-o", path}, "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "github.com/vipd/vipd/cmd/vipd")...) //nolint:gosec // a path of our own
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build vipd: %w\n%s", err, out)
	}
	return nil
}

// Vipd is the path of the vipd under test.
func Vipd() string { return flag.Lookup(vipdFlag).Value.String() }
