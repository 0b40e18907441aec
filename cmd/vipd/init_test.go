package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitPrintsWhatCheckTakes(t *testing.T) {
	r := newRun(t)
	if code := r.command(t.Context(), "init", "--vip", "192.0.2.10,2001:db8::10", "--endpoint", "k8s.example.com:6443", "--interface", "eth0", "--vrid", "51"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	again := newRun(t)
	if code := again.command(t.Context(), "check", "--config", file(t, r.out.String())); code != exitDone {
		t.Fatalf("check: exit code %d: %s\nof:\n%s", code, &again.err, &r.out)
	}
	for _, want := range []string{"vrid: 51", "endpoint: k8s.example.com:6443", "interface: eth0", "192.0.2.11:9650"} {
		if !strings.Contains(again.out.String(), want) {
			t.Errorf("check does not print %q:\n%s", want, &again.out)
		}
	}
}

func TestInitWritesAFileOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vipd")
	path := filepath.Join(dir, "vipd.yaml")
	write := func(want exit, args ...string) *run {
		t.Helper()
		r := newRun(t)
		if code := r.command(t.Context(), append([]string{"init", "--write", "--config", path}, args...)...); code != want {
			t.Fatalf("exit code %d, want %d: %s", code, want, &r.err)
		}
		return r
	}
	holds := func(vip string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), vip) {
			t.Errorf("%s does not hold %s: %v\n%s", path, vip, err, text)
		}
	}
	r := write(exitDone, "--vip", "192.0.2.10")
	holds("192.0.2.10")
	if !strings.Contains(r.out.String(), "kubeadm init --control-plane-endpoint 192.0.2.10:6443") {
		t.Errorf("the next step is not told: %s", &r.out)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v; the daemon's user has to read it", info.Mode(), err)
	}
	write(exitFailed, "--vip", "192.0.2.20")
	holds("192.0.2.10")
	write(exitDone, "--vip", "192.0.2.20", "--force")
	holds("192.0.2.20")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the file: %v, %v", entries, err)
	}
}

func TestInitExplainsAnInterfaceWithoutTheDefaultRoute(t *testing.T) {
	r := newRun(t)
	r.defaultRoute = func(bool) string { return "wan0" }
	if code := r.command(t.Context(), "init", "--vip", "192.0.2.10"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.err)
	}
	if !strings.Contains(r.err.String(), "default route of this host is on wan0") {
		t.Errorf("stderr: %s", &r.err)
	}
}

func TestDefaultRoute(t *testing.T) {
	const (
		header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		four   = "\t00000000\t010200C0\t0003\t0\t0\t"
		six    = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 "
	)
	tests := []struct {
		name, table, want string
		find              func([]byte) string
	}{
		{"IPv4: none", header + "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "", defaultRoute4},
		{"IPv4: the lowest metric wins", header + "wlan0" + four + "600\t00000000\t0\t0\t0\n" + "eth0" + four + "100\t00000000\t0\t0\t0\n", "eth0", defaultRoute4},
		{"IPv4: half of the addresses is no default", header + "tun0" + four + "0\t00000080\t0\t0\t0\n", "", defaultRoute4},
		{"IPv6: none but the kernel's reject route", six + "ffffffff 00000001 00000000 00200200       lo\n", "", defaultRoute6},
		{"IPv6: the lowest metric wins, which is hexadecimal", six + "00000400 00000001 00000000 00000003     eth1\n" + six + "00000064 00000001 00000000 00000003     eth0\n", "eth0", defaultRoute6},
		{"IPv6: a network is no default", "20010db8000000000000000000000000 40" + six[35:] + "00000100 00000001 00000000 00000001     eth0\n", "", defaultRoute6},
		{"nothing that can be read", "?\n", "", defaultRoute4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.find([]byte(test.table)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
