package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImportFollowsIncludes(t *testing.T) {
	const instance = "vrrp_instance a {\n interface eth0\n virtual_router_id 5\n priority 200\n include addresses\n}\n"
	tests := []struct {
		name  string
		files map[string]string
		want  exit
		// out is in what is printed, told in what is told.
		out, told string
	}{
		{"relative to the file that includes, by a pattern",
			map[string]string{"keepalived.conf": "include conf.d/*.conf", "conf.d/a.conf": instance, "conf.d/addresses": "virtual_ipaddress { 192.0.2.10 }\nsmtp_alert\n"},
			exitDone, "addresses: [192.0.2.10]", "conf.d/addresses:2: smtp_alert is not translated"},
		{"a file that is not there is told with its line",
			map[string]string{"keepalived.conf": instance}, exitFailed, "", "keepalived.conf:5: include addresses: file does not exist"},
		{"a pattern that nothing matches is no mistake, nor is a directory",
			map[string]string{"keepalived.conf": "include none/*\ninclude conf*\n" + instance, "conf.d/a.conf": "nonsense {", "addresses": "virtual_ipaddress { 192.0.2.10 }"},
			exitDone, "addresses: [192.0.2.10]", ""},
		{"a pattern that is none",
			map[string]string{"keepalived.conf": "include conf[\n"}, exitFailed, "", "keepalived.conf:1: include conf["},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := newRun(t)
			if code := r.command(t.Context(), "import", "keepalived", filepath.Join(dir, "keepalived.conf")); code != test.want {
				t.Fatalf("exit code %d, want %d: %s", code, test.want, &r.err)
			}
			if !strings.Contains(r.out.String(), test.out) || !strings.Contains(r.err.String(), test.told) {
				t.Errorf("stdout:\n%s\nstderr:\n%s", &r.out, &r.err)
			}
			if test.want != exitDone && r.out.Len() > 0 {
				t.Errorf("half of a configuration was printed:\n%s", &r.out)
			}
		})
	}
}

func TestImportKeepsInstancesApartWhenTold(t *testing.T) {
	const text = "vrrp_sync_group g { group { a b } }\n" +
		"vrrp_instance a {\n interface eth0\n virtual_router_id 5\n priority 200\n virtual_ipaddress { 192.0.2.10 }\n}\n" +
		"vrrp_instance b {\n interface eth0\n virtual_router_id 6\n priority 200\n virtual_ipaddress { 192.0.2.20 }\n}\n"
	for flag, groups := range map[string]int{"--apart=false": 1, "--apart": 2} {
		r := newRun(t)
		if code := r.command(t.Context(), "import", flag, "keepalived", file(t, text)); code != exitDone {
			t.Fatalf("exit code %d: %s", code, &r.err)
		}
		if got := strings.Count(r.out.String(), "- name: "); got != groups {
			t.Errorf("%s: %d groups, want %d:\n%s", flag, got, groups, &r.out)
		}
	}
}

func TestKubeadmNeedsTheNameOfOneOfSeveralVIPs(t *testing.T) {
	several := file(t, "vips: [{name: api, addresses: [192.0.2.10]}, {name: web, addresses: [192.0.2.20]}]\n")
	r := newRun(t)
	if code := r.command(t.Context(), "kubeadm", "--config", several); code != exitUsage || !strings.Contains(r.err.String(), "api, web") {
		t.Errorf("exit code %d: %s", code, &r.err)
	}
	r = newRun(t)
	if code := r.command(t.Context(), "kubeadm", "--vip", "web", "--config", several); code != exitDone || !strings.Contains(r.out.String(), "controlPlaneEndpoint: 192.0.2.20:6443") {
		t.Errorf("exit code %d: %s%s", code, &r.out, &r.err)
	}
}
