package interop

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

func TestMain(m *testing.M) {
	tool.Main()
	os.Exit(run(m))
}

// run builds vipd once, if any test is going to need it, and runs the tests.
// Most of a story is waiting, so more of them run at once than there are
// processors.
func run(m *testing.M) int {
	binary := flag.String(vipdFlag, "", "the vipd to test; empty: it is built from this tree")
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	flag.Parse()
	if *binary != "" || testing.Short() || os.Geteuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "vipd-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*binary = filepath.Join(dir, "vipd")
	cmd := exec.Command("go", "build", "-o", *binary, "github.com/vipd/vipd/cmd/vipd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build vipd: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// vipdBinary is the path of the vipd under test.
func vipdBinary() string { return flag.Lookup(vipdFlag).Value.String() }
