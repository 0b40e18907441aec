// Package arrows holds the tests of the project's shape: which package may use
// which, and what must stay out of decision code. docs/design.md has the
// picture.
package arrows

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vipd/vipd/"

// layer is a row of the picture; a package may use packages of its uses only.
type layer struct {
	packages []string
	uses     []string
}

func layers() []layer {
	pure := []string{"election", "election/vrrp", "election/lease", "config", "health/counter", "peer", "bgp", "bgp/bfd"}
	edges := []string{"election/vrrp/rawsock", "election/lease/etcd", "peer/udp", "vip", "flow", "health", "internal/follow", "internal/drainmark", "internal/instance", "internal/alarm", "internal/logqueue", "systemd", "bgp/gobgp", "bgp/bfd/udp", "bgp/process", "bgp/path"}
	// below is what edges and surfaces may share: system calls, programs of the
	// operator's, HTTP listeners, notes on disk, the host's own addresses.
	below := []string{"internal/dontwait", "internal/program", "internal/listener", "internal/lasting", "internal/ownaddress"}
	core := []string{"agent", "bgp/speaker"}
	surface := []string{"control", "metrics", "readiness"}
	// files are written for operators.
	files := []string{"internal/setup", "internal/keepalived"}
	// judges decide of what edges see; looks are the edges' edge: they gather it.
	judges, looks := []string{"doctor"}, []string{"doctor/survey"}
	all := slices.Concat(pure, edges, core, surface, files, judges, looks)
	return []layer{
		{packages: []string{"election", "health/counter", "peer", "bgp", "bgp/bfd"}},
		{packages: []string{"config"}, uses: []string{"bgp"}},
		{packages: []string{"election/vrrp"}, uses: []string{"election"}},
		{packages: []string{"election/lease"}, uses: []string{"election", "election/vrrp"}},
		{packages: below},
		{packages: files, uses: []string{"config"}},
		{packages: edges, uses: slices.Concat(pure, below)},
		{packages: core, uses: pure},
		{packages: surface, uses: slices.Concat(pure, core, below)},
		{packages: judges, uses: slices.Concat(pure, []string{"agent"})},
		{packages: looks, uses: slices.Concat(pure, edges, core, surface, judges)},
		{packages: []string{"cmd/vipd"}, uses: slices.Concat(all, below)},
	}
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestArrows(t *testing.T) {
	known := map[string][]string{}
	for _, l := range layers() {
		for _, p := range l.packages {
			known[p] = l.uses
		}
	}
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		uses, ok := known[name]
		if !ok {
			if !isTestSupport(name) {
				t.Errorf("package %s stands in no layer", name)
			}
			continue
		}
		for _, imported := range p.Imports {
			if used, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(uses, used) {
				t.Errorf("%s may not use %s", name, used)
			}
		}
	}
}

// isTestSupport: these packages serve tests, demo and bench only.
func isTestSupport(name string) bool {
	return name == "cmd/viplab" || strings.HasPrefix(name, "internal/lab") ||
		strings.HasPrefix(name, "internal/e2e") || name == "internal/interop" || name == "internal/moves" || name == "internal/machines" || name == "internal/packages" ||
		name == "internal/arrows" || name == "deploy/hooks" || strings.HasSuffix(name, "test")
}

// Each of these libraries stands behind one package of the daemon only.
func TestLibrariesStayBehindOnePackage(t *testing.T) {
	rows := map[string][]string{
		"github.com/mdlayher/arp":                        {"vip"},
		"github.com/mdlayher/ndp":                        {"vip"},
		"github.com/vishvananda/netlink":                 {"vip", "flow", "bgp/path", "bgp/gobgp", "internal/ownaddress"},
		"github.com/google/nftables":                     {"flow"},
		"github.com/osrg/gobgp/v3/pkg/server":            {"bgp/gobgp"},
		"github.com/osrg/gobgp/v3/api":                   {"bgp/gobgp"},
		"go.etcd.io/etcd/client/v3":                      {"election/lease/etcd"},
		"google.golang.org/grpc":                         {"election/lease/etcd"},
		"go.uber.org/zap":                                {"election/lease/etcd"},
		"github.com/prometheus/client_golang/prometheus": {"metrics"},
		"github.com/coreos/go-systemd/v22/daemon":        {"systemd"},
		"github.com/coreos/go-systemd/v22/journal":       {"systemd"},
		"github.com/coreos/go-systemd/v22/login1":        {"systemd"},
		"github.com/godbus/dbus/v5":                      {"systemd"},
		"go.yaml.in/yaml/v3":                             {"config", "health"},
		"github.com/spf13/cobra":                         {"cmd/vipd"},
	}
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if isTestSupport(name) {
			continue
		}
		for library, allowed := range rows {
			if slices.Contains(p.Imports, library) && !slices.Contains(allowed, name) {
				t.Errorf("%s uses %s; only %v may", name, library, allowed)
			}
		}
	}
}

// Election and fence must not hang on the wall clock: a clock step would move
// the VIP. Pure packages get the time passed in; the packages that carry out
// their decisions compare readings of the monotonic clock, and neither turn one
// into a calendar time, which loses that reading, nor make a time out of one.
func TestNoWallClockInDecisions(t *testing.T) {
	pure := []string{"election", "election/vrrp", "election/lease", "health/counter", "peer", "bgp", "bgp/bfd"}
	acting := []string{"agent", "vip", "election/vrrp/rawsock", "election/lease/etcd", "peer/udp", "bgp/bfd/udp", "bgp/speaker", "bgp/process"}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker"}
	made := []string{"Unix", "UnixMilli", "UnixMicro", "Date", "Parse", "ParseInLocation"}
	turned := []string{
		"Unix", "UnixNano", "UnixMilli", "UnixMicro", "UTC", "Local", "Round(0)", "Truncate(0)",
		"Format", "AppendFormat", "GobEncode", "MarshalText",
	}
	allowed := map[string][]string{
		"agent/counters.go":             {"Unix"},          // metrics tell when the last reload was
		"agent/publish.go":              {"UTC", "Format"}, // status tells since when the node is drained
		"election/lease/etcd/record.go": {"UTC", "Format"}, // etcd tells people since when an owner is one
		"vip/capture_linux.go":          {"Unix"},          // a read deadline that is long past
	}
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		isPure := slices.Contains(pure, name)
		if !isPure && !slices.Contains(acting, name) {
			continue
		}
		for _, file := range p.GoFiles {
			ofTime, ofValues := selectors(t, filepath.Join(p.Dir, file))
			for _, use := range ofTime {
				if isPure && slices.Contains(clock, use) {
					t.Errorf("%s/%s reads a clock: time.%s", name, file, use)
				}
			}
			isCalendar := func(use string, all []string) bool {
				return slices.Contains(all, use) && !slices.Contains(allowed[name+"/"+file], use)
			}
			for _, use := range ofTime {
				if isCalendar(use, made) {
					t.Errorf("%s/%s makes a time of a calendar time: time.%s", name, file, use)
				}
			}
			for _, use := range ofValues {
				if isCalendar(use, turned) {
					t.Errorf("%s/%s turns a time into a calendar time: %s", name, file, use)
				}
			}
		}
	}
}

// selectors lists X of each time.X in a file, and of each X of anything else; a
// call of such an X with nothing but 0 is listed as X(0) too.
func selectors(t *testing.T, file string) (ofTime, ofValues []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if method, ok := ofZero(call); ok {
				ofValues = append(ofValues, method+"(0)")
			}
		}
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
			ofTime = append(ofTime, s.Sel.Name)
		} else {
			ofValues = append(ofValues, s.Sel.Name)
		}
		return true
	})
	return ofTime, ofValues
}

// ofZero tells the method that is called with nothing but 0: so Round and
// Truncate strip a time of its monotonic reading.
func ofZero(call *ast.CallExpr) (method string, ok bool) {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) != 1 {
		return "", false
	}
	arg, ok := call.Args[0].(*ast.BasicLit)
	return s.Sel.Name, ok && arg.Value == "0"
}
