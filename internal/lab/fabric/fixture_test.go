package fabric

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/tool"
)

// patience is for anything that takes a few seconds on an idle machine.
const patience = 40 * time.Second

// binaryFlag is the flag that holds the path of the vipd under test.
const binaryFlag = "vipd"

func TestMain(m *testing.M) {
	tool.Main()
	os.Exit(run(m))
}

// run builds vipd once, if any test is going to need it, and runs the tests.
func run(m *testing.M) int {
	binary := flag.String(binaryFlag, "", "the vipd to test; empty: it is built from this tree")
	flag.Parse()
	if *binary != "" || testing.Short() || os.Geteuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "vipd-fabric-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary directory
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
func vipdBinary() string { return flag.Lookup(binaryFlag).Value.String() }

// stage is a fabric with verbs that end the test when something is not so.
type stage struct {
	*Fabric
	t *testing.T
}

// open sets a fabric up, or skips the test where there can be none.
func open(t *testing.T, opts Options, programs ...string) *stage {
	t.Helper()
	labtest.Require(t, append(programs, "vtysh")...)
	opts.Vipd, opts.Viplab = vipdBinary(), labtest.Self(t)
	f, err := Open(labtest.Context(t, patience), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.Logs())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stage{f, t}
}

func (s *stage) ctx() context.Context { return labtest.Context(s.t, patience) }

// must ends the test on an error.
func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// await waits for a condition.
func (s *stage) await(what string, cond func() error) {
	s.t.Helper()
	s.must(lab.AwaitEvery(s.ctx(), 20*time.Millisecond, what, cond))
}

func (s *stage) speaker(h *lab.Host) int {
	s.t.Helper()
	pid, err := s.Fabric.speaker(s.ctx(), h)
	s.must(err)
	return pid
}
