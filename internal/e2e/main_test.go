package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vipd/vipd/internal/lab/tool"
)

// binaryFlag is the flag that holds the path of the vipd under test.
const binaryFlag = "vipd"

func TestMain(m *testing.M) {
	tool.Main()
	os.Exit(run(m))
}

// run builds vipd once, if any test is going to need it, and runs the tests.
func run(m *testing.M) int {
	binary := flag.String(binaryFlag, "", "the vipd to test; empty: it is built from this tree")
	race := flag.Bool("vipd-race", false, "build vipd with the race detector")
	flag.Parse()
	if *binary != "" || testing.Short() || os.Geteuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "vipd-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
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
	args := []string{"build", "-o", path}
	cgo := "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "github.com/vipd/vipd/cmd/vipd")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build vipd: %w\n%s", err, out)
	}
	return nil
}

// vipdBinary is the path of the vipd under test.
func vipdBinary() string { return flag.Lookup(binaryFlag).Value.String() }
