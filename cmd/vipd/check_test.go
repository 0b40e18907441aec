package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/config"
)

func TestCheckPrintsTheResolvedConfiguration(t *testing.T) {
	r := newRun(t)
	path := file(t, "node: cp1\nvips: [{addresses: [192.0.2.10]}]\n")
	if code := r.command(t.Context(), "check", "--config", path); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	golden(t, "check", r.out.String())
	if r.err.Len() > 0 {
		t.Errorf("stderr: %s", &r.err)
	}
	again := newRun(t)
	if code := again.command(t.Context(), "check", "--config", file(t, r.out.String())); code != exitDone {
		t.Fatalf("what check printed is not good: %s", &again.err)
	}
	if diff := cmp.Diff(r.out.String(), again.out.String()); diff != "" {
		t.Errorf("check of what check printed (-first +second):\n%s", diff)
	}
}

func TestCheckAgainstTheHost(t *testing.T) {
	dir := t.TempDir()
	peers := filepath.Join(dir, "peers")
	if err := os.WriteFile(peers, []byte("192.0.2.12\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		text string
		want exit
		tell string
	}{
		{"the node's own address as VIP is an error that names the key",
			"vips: [{addresses: [192.0.2.11]}]", exitUsage, "vips[0].addresses[0]: 192.0.2.11 is this node's own address on eth0"},
		{"an interface that is not there is a warning",
			"vips: [{addresses: [192.0.2.10], interface: eth7}]", exitDone, "warning: vips[0].interface: eth7 does not exist"},
		{"a VIP that no interface has a subnet for is a warning, and is printed without an interface",
			"vips: [{addresses: [198.51.100.10]}]", exitDone, "warning: vips[0].interface: no interface has a subnet with 198.51.100.10"},
		{"a peers file that is not there is a warning",
			"vips: [{addresses: [192.0.2.10], vrrp: {peers_file: " + dir + "/none}}]", exitDone, "warning: vips[0].vrrp.peers_file: " + dir + "/none"},
		{"a wrong line in a peers file is a warning",
			"vips: [{addresses: [192.0.2.10], vrrp: {peers_file: " + peers + "}}]", exitDone, "nobody"},
		{"a password file that is not there is a warning",
			"vips: [{addresses: [198.51.100.10], announce: bgp, election: none}]\nbgp: {asn: 1, neighbors: [{address: 192.0.2.1, asn: 2, password_file: " + dir + "/none}]}",
			exitDone, "none: no such file or directory; there is no session with 192.0.2.1 without it"},
		{"a web_config that is not there is a warning",
			"vips: [{addresses: [192.0.2.10]}]\nmetrics: {web_config: " + dir + "/none}", exitDone, "warning: metrics.web_config: " + dir + "/none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRun(t)
			if code := r.command(t.Context(), "check", "--config", file(t, test.text)); code != test.want {
				t.Errorf("exit code %d, want %d", code, test.want)
			}
			if !strings.Contains(r.err.String(), test.tell) {
				t.Errorf("stderr does not say %q:\n%s", test.tell, &r.err)
			}
			if printed := r.out.Len() > 0; printed != (test.want == exitDone) {
				t.Errorf("stdout: %s", &r.out)
			}
		})
	}
}

func TestHostInterfacesHaveTheLoopback(t *testing.T) {
	host, err := hostInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range host {
		if i.Name == "lo" {
			want := config.Interface{Name: "lo", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}}
			if len(i.Prefixes) == 0 || i.Prefixes[0] != want.Prefixes[0] {
				t.Errorf("lo has %v, want %v first", i.Prefixes, want.Prefixes)
			}
			return
		}
	}
	t.Errorf("no lo among %v", host)
}
