package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/daemon"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/router"
)

// guide is the page whose examples are tried.
const guide = "../../../docs/bgp.md"

// example is the guide's first block in a language below a heading; routers' have
// none.
func example(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut("\n"+string(text), "\n"+heading+"\n")
	for found {
		var fence, block string
		_, below, found = strings.Cut(below, "\n```")
		fence, below, _ = strings.Cut(below, "\n")
		block, below, _ = strings.Cut(below, "\n```\n")
		if found && fence == language {
			return block + "\n"
		}
	}
	t.Fatalf("%s has no block of %q below %q", guide, language, heading)
	return ""
}

// The examples of the guide are fed to the real routers, and to vipd, as they stand.
func TestTheGuidesExamplesWork(t *testing.T) {
	frr := func(ctx context.Context, h *lab.Host, config string) (router.Router, error) {
		return router.StartFRRAs(ctx, h, config)
	}
	bird := func(ctx context.Context, h *lab.Host, config string) (router.Router, error) {
		return router.StartBIRDAs(ctx, h, config)
	}
	const top = "# BGP"
	rows := []struct {
		name string
		// router and node are the headings above the two sides.
		router, node string
		start        func(context.Context, *lab.Host, string) (router.Router, error)
		bfd          bgp.BFDState
	}{
		{"FRR and its nodes with BFD", "### FRR", "### FRR", frr, bgp.BFDUp},
		{"BIRD and its nodes with BFD", "### BIRD 2", "### BIRD 2", bird, bgp.BFDUp},
		{"FRR and the first example of all", "### FRR", top, frr, ""},
		{"BIRD and the first example of all", "### BIRD 2", top, bird, ""},
	}
	routers, nodes := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.11/24")
	vip := netip.MustParsePrefix("198.51.100.10/32")
	labtest.Require(t, "vtysh", "bird")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			l := labtest.New(t, lab.Options{Hosts: 1, Router: true})
			node := l.Hosts[0]
			s := &stage{&Fabric{Lab: l, Vipd: daemon.Vipd{Binary: vipdBinary()}, daemons: map[*lab.Host]*lab.Proc{}}, t}
			for h, own := range map[*lab.Host]netip.Prefix{l.Router: routers, node: nodes} {
				_, err := h.Run(s.ctx(), "ip", "address", "add", own.String(), "dev", h.Interface)
				s.must(err)
			}
			var err error
			s.Router, err = row.start(s.ctx(), l.Router, example(t, row.router, ""))
			s.must(err)
			s.runAs(node, example(t, row.node, "yaml"))
			s.awaitHops(vip.Addr(), nodes.Addr())
			s.await("the session", func() error {
				n := s.neighbours(node)
				if len(n) != 1 || n[0].State != bgp.Established || !slices.Equal(n[0].Announced, []netip.Prefix{vip}) || n[0].BFD != row.bfd {
					return fmt.Errorf("%+v", n)
				}
				return nil
			})
			if states, err := s.Router.BFD(s.ctx()); row.bfd == bgp.BFDUp && (err != nil || states[nodes.Addr()] != "up") {
				t.Errorf("BFD at the router: %v, %v", states, err)
			}
		})
	}
}

// runAs starts vipd with a configuration as an operator writes it, but for where it
// keeps what several on one host cannot share.
func (s *stage) runAs(h *lab.Host, config string) {
	s.t.Helper()
	file := s.Vipd.ConfigFile(h)
	dir := filepath.Dir(file)
	config += fmt.Sprintf("\nmetrics: {listen: \"\"}\ncontrol: {socket: %s}\nstate_dir: %s\ndata_dir: %s\n",
		s.Vipd.Socket(h), filepath.Join(dir, "state"), filepath.Join(dir, "data"))
	s.must(errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(file, []byte(config), 0o600)))
	p, err := h.Start("vipd", s.Vipd.Binary, "run", "--config", file)
	s.must(err)
	s.daemons[h] = p
}
