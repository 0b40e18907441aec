package keepalived

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

// nothing is a source without files.
func nothing(string, string) ([]File, error) { return nil, nil }

// translated is what comes of a file, and the notes.
func translated(t *testing.T, name, text string, o Options) *Translation {
	t.Helper()
	statements, err := Parse(File{name, []byte(text)}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	translation, err := Translate(statements, o)
	if err != nil {
		t.Fatal(err)
	}
	return translation
}

func TestTranslateTheCorpus(t *testing.T) {
	tests := []struct {
		file, golden string
		options      Options
	}{
		{"kubeadm.conf", "kubeadm.golden", Options{}},
		{"unicast.conf", "unicast.golden", Options{}},
		{"ipv6.conf", "ipv6.golden", Options{}},
		{"sync.conf", "sync.golden", Options{}},
		{"sync.conf", "sync-apart.golden", Options{Apart: true}},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			translation := translated(t, test.file, string(text), test.options)
			if _, err := config.Parse("vipd.yaml", translation.YAML); err != nil {
				t.Errorf("vipd cannot run it:\n%v", err)
			}
			got := string(translation.YAML) + "---- notes\n"
			for _, n := range translation.Notes {
				got += n.String() + "\n"
			}
			path := filepath.Join("testdata", test.golden)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-golden +got; go test ./internal/keepalived -update writes it):\n%s", path, diff)
			}
		})
	}
}

func TestPrioritiesGoIntoBands(t *testing.T) {
	tests := []struct {
		name     string
		priority int
		weights  []int
		want     bands
		changed  bool
	}{
		{"of the healthy band: stays", 200, nil, bands{healthy: 200}, false},
		{"the lowest healthy one stays", 128, nil, bands{healthy: 128}, false},
		{"of the unhealthy band: 127 more", 100, nil, bands{healthy: 227}, true},
		{"the highest unhealthy one", 127, nil, bands{healthy: 254}, true},
		{"the lowest one of all", 1, nil, bands{healthy: 128}, true},
		{"the owner by right", 255, nil, bands{healthy: 254}, true},
		{"a bonus carries it over the bound: both bands as they are", 100, []int{50}, bands{healthy: 150, unhealthy: 100}, false},
		{"a malus carries it below the bound: both bands as they are", 150, []int{-50}, bands{healthy: 150, unhealthy: 100}, false},
		{"a malus inside the healthy band: vipd's unhealthy priority", 200, []int{-20}, bands{healthy: 200}, false},
		{"a malus below all: vipd's unhealthy priority", 100, []int{-200}, bands{healthy: 227}, true},
		{"a bonus above all", 200, []int{100}, bands{healthy: 254}, true},
		{"several checks add up", 120, []int{20, -30, 0}, bands{healthy: 140, unhealthy: 90}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, change := banded(test.priority, test.weights)
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if (change != "") != test.changed {
				t.Errorf("change told: %q, want one: %v", change, test.changed)
			}
		})
	}
}

func TestScriptsThatNeedAShellAreTold(t *testing.T) {
	tests := []struct {
		name, script, want string
		command            []string
	}{
		{"a path", `/usr/bin/check`, "", []string{"/usr/bin/check"}},
		{"arguments in quotes", `"/usr/bin/check -x 'a b' c"`, "", []string{"/usr/bin/check", "-x", "a b", "c"}},
		{"arguments without quotes", `/usr/bin/check -x "a b"`, "", []string{"/usr/bin/check", "-x", "a b"}},
		{"shell signs in single quotes are text", `"/usr/bin/check 'a|b $c'"`, "", []string{"/usr/bin/check", "a|b $c"}},
		{"a pipe", `"/usr/bin/a | /usr/bin/b"`, "'|' for a shell", nil},
		{"a redirection", `"</dev/tcp/127.0.0.1/80"`, "'<' for a shell", nil},
		{"a variable", `"/usr/bin/a $HOME"`, "$ for a shell", nil},
		{"a command in a command", "\"/usr/bin/a `b`\"", "` for a shell", nil},
		{"a program that the path has", `"killall -0 haproxy"`, "absolute path of killall", nil},
		{"a quote that is open", `"/usr/bin/a 'b"`, "a quote is not closed", nil},
		{"nothing", ``, "no command", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			statements, err := Parse(File{"f", []byte("script " + test.script)}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			m := &model{}
			if diff := cmp.Diff(test.command, m.command(statements[0])); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			if told := len(m.notes) > 0; told != (test.want != "") {
				t.Fatalf("notes: %v", m.notes)
			}
			if test.want != "" && !strings.Contains(m.notes[0].Text, test.want) {
				t.Errorf("note %q does not say %q", m.notes[0].Text, test.want)
			}
		})
	}
}

func TestNotesHaveTheirLines(t *testing.T) {
	const head = "vrrp_instance a {\n interface eth0\n virtual_router_id 5\n priority 200\n nopreempt\n virtual_ipaddress { 192.0.2.10 }\n"
	tests := []struct {
		name, text string
		line       int
		want       string
	}{
		{"an unknown keyword", head + "flux\n}", 7, "flux is not translated: vipd has no such setting"},
		{"an unknown block of its own", head + "}\nvrrp_track_process p {\n}", 8, "vrrp_track_process is not translated"},
		{"a number that is none", head + "priority high\n}", 7, "priority high is no number of 1 to 255; 200 is taken"},
		{"a time that is none", head + "advert_int soon\n}", 7, "advert_int soon is no time in seconds; 1s is taken"},
		{"a value that is missing", head + "advert_int\n}", 7, "advert_int has no value"},
		{"a weight that is none", head + "}\nvrrp_script s {\n script /x\n weight 300\n}", 10, "weight 300 is no number of -253 to 253"},
		{"an interval that version 2 cannot say", head + "advert_int 0.5\n}", 1, "advert_int 500ms becomes 1s, which version 2 can say"},
		{"AH", head + "authentication {\n auth_type AH\n auth_pass x\n}\n}", 1, "auth_type AH is not translated"},
		{"a password that is no ASCII", head + "authentication {\n auth_type PASS\n auth_pass Käse\n}\n}", 1, "characters other than ASCII"},
		{"a peer that is the VIP", head + "unicast_peer { 192.0.2.10 }\n}", 1, "the peer 192.0.2.10 is left out"},
		{"a sync group of unknown instances", head + "}\nvrrp_sync_group g {\n group { b }\n}", 8, "there is no vrrp_instance b"},
		{"a check that takes too long", head + "track_script { s }\n}\nvrrp_script s {\n script /x\n timeout 100\n}", 10, "timeout 1m40s becomes 1m0s"},
		{"a check that is too patient", head + "track_script { s }\n}\nvrrp_script s {\n script /x\n fall 1000\n}", 10, "fall 1000 becomes 100"},
		{"control characters do not reach the terminal", head + "\x1b]0;\n}", 7, "\ufffd]0; is not translated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			translation := translated(t, "k.conf", test.text, Options{})
			for _, n := range translation.Notes {
				if n.Line == test.line && n.File == "k.conf" && strings.Contains(n.Text, test.want) {
					return
				}
			}
			t.Errorf("no note at line %d says %q: %v", test.line, test.want, translation.Notes)
		})
	}
}

func TestTranslateRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a file without an instance", "global_defs {\n}", "no vrrp_instance"},
		{"an instance without a VRID", "vrrp_instance a {\n virtual_ipaddress { 192.0.2.10 }\n}", "k.conf:1: vrrp_instance a has no virtual_router_id"},
		{"an instance without an address", "\nvrrp_instance a {\n virtual_router_id 5\n}", "k.conf:2: vrrp_instance a has no address"},
		{"what vipd cannot run: an address twice", strings.Repeat("vrrp_instance a {\n virtual_router_id 5\n virtual_ipaddress { 192.0.2.10 }\n}\n", 2), "overlapping groups"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			statements, err := Parse(File{"k.conf", []byte(test.text)}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			translation, err := Translate(statements, Options{})
			if err == nil {
				t.Fatalf("translated:\n%s", translation.YAML)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}

// FuzzTranslate holds: no file makes Parse or Translate panic, and what they
// give is a configuration.
func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		statements, err := Parse(File{"k.conf", text}, nothing)
		if err != nil {
			return
		}
		for _, apart := range []bool{false, true} {
			translation, err := Translate(statements, Options{Apart: apart})
			if err != nil {
				continue
			}
			if _, err := config.Parse("vipd.yaml", translation.YAML); err != nil {
				t.Errorf("%v\nof:\n%s", err, translation.YAML)
			}
			for _, n := range translation.Notes {
				if strings.ContainsAny(n.Text, "\n\x1b") {
					t.Errorf("%q is not a line", n.Text)
				}
			}
		}
	})
}
