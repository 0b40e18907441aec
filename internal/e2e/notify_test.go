package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/internal/lab"
)

// telling is a program that writes down what it is told and what it may do.
const telling = `#!/bin/sh
echo "$VIPD_VIP $VIPD_STATE $VIPD_REASON owner=$VIPD_OWNER $(sed -n 's/^\(CapPrm\|NoNewPrivs\):./\1=/p' /proc/self/status | tr '\n' ' ')" >>"$1"
`

// hanging is a program that never ends.
const hanging = `#!/bin/sh
exec sleep infinity
`

func TestNotify(t *testing.T) {
	const stuck = "cp3"
	program := func(h *lab.Host) string { return filepath.Join(h.Dir(), "notify.sh") }
	told := func(h *lab.Host) string { return filepath.Join(h.Dir(), "notify.told") }
	s := open(t, setup{
		before: func(h *lab.Host) error {
			text := telling
			if h.Name == stuck {
				text = hanging
			}
			if err := os.MkdirAll(h.Dir(), 0o755); err != nil {
				return err
			}
			return os.WriteFile(program(h), []byte(text), 0o755)
		},
		config: func(h *lab.Host) config {
			return config{keys: []string{fmt.Sprintf("notify: [%s, %s]", program(h), told(h))}}
		},
	})

	// A program that hangs keeps its node from nothing.
	s.makeOwner(s.Lab.Hosts[2])
	s.makeOwner(s.Lab.Hosts[0])
	s.makeOwner(s.Lab.Hosts[1])

	for _, h := range s.Lab.Hosts[:2] {
		var want []string
		for _, e := range s.histories()[h.Name] {
			if e.From != e.To {
				want = append(want, fmt.Sprintf("%s %s %s owner=%s CapPrm=%016d NoNewPrivs=1", e.VIP, e.To, e.Reason, e.Owner, 0))
			}
		}
		s.await("the program to have been told all", func() error {
			text, err := os.ReadFile(told(h))
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(string(text), " \n"), " \n")); diff != "" {
				return fmt.Errorf("the program on %s (-history +told):\n%s", h, diff)
			}
			return nil
		})
	}
}

// healthy tells whether a node is healthy for a VIP.
func healthy(v agent.VIPStatus) bool { return v.Healthy }
