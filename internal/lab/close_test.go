package lab_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestCloseLeavesNothing(t *testing.T) {
	labtest.Require(t)
	l, err := lab.New(lab.Options{Hosts: 2, Router: true})
	if err != nil {
		t.Fatal(err)
	}
	prefix := strings.TrimSuffix(l.Switch.Namespace, "switch")
	running, err := l.Hosts[0].Start("sleep", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := l.Hosts[1].Start("sleep", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// A daemon that left its process group.
	if _, err := l.Hosts[0].Run(labtest.Context(t, patience), "setsid", "--fork", "sh", "-c", "exec sleep 600 >/dev/null 2>&1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*lab.Proc{running, frozen} {
		if code, err := p.Wait(labtest.Context(t, patience)); code != -1 || err != nil {
			t.Errorf("%s on %s: exit code %d, %v; want killed", p.Name, p.Host, code, err)
		}
	}
	if left := leftovers(t, prefix); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// TestKilledLabLeavesNothing kills the process that has a lab; this test's
// binary, run as labHolder, is that process.
func TestKilledLabLeavesNothing(t *testing.T) {
	outer := labtest.New(t, lab.Options{Hosts: 1})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			holder, err := outer.Hosts[0].Start("holder", "env", labHolder+"=1", labtest.Self(t), "-test.run=^TestHoldLab$")
			if err != nil {
				t.Fatal(err)
			}
			if err := holder.AwaitLog(labtest.Context(t, patience), "holding "); err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(holder.Log(), "holding ")
			prefix := strings.Fields(text)[0]
			if len(leftovers(t, prefix)) == 0 {
				t.Fatal("the lab does not exist")
			}
			if err := holder.Signal(sig); err != nil {
				t.Fatal(err)
			}
			err = lab.Await(labtest.Context(t, patience), "the lab to vanish", func() error {
				if left := leftovers(t, prefix); len(left) > 0 {
					return fmt.Errorf("left: %v", left)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

const labHolder = "LAB_TEST_HOLD"

// TestHoldLab builds a lab and waits to be killed. It is no test by itself.
func TestHoldLab(t *testing.T) {
	if os.Getenv(labHolder) == "" {
		t.Skip("run by TestKilledLabLeavesNothing")
	}
	l, err := lab.New(lab.Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Hosts[0].Start("sleep", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("holding", strings.TrimSuffix(l.Switch.Namespace, "switch"))
	<-p.Done()
}

// leftovers lists the namespaces of a lab.
func leftovers(t *testing.T, prefix string) []string {
	t.Helper()
	paths, err := filepath.Glob("/run/netns/" + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
