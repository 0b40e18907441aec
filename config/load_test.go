package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSocketOf(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"a good file", "control: {socket: /run/a.sock}\nvips: [{addresses: [192.0.2.10]}]", "/run/a.sock"},
		{"mistakes elsewhere do not hide it", "vips: [{adresses: [192.0.2.10]}]\ncontrol: {socket: /run/a.sock}", "/run/a.sock"},
		{"not said", "vips: [{addresses: [192.0.2.10]}]", ""},
		{"no YAML", "control: {socket: /run/a.sock}\n\tvips", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "vipd.yaml")
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := SocketOf(path); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
	if got := SocketOf(filepath.Join(t.TempDir(), "missing")); got != "" {
		t.Errorf("a missing file says %q", got)
	}
}
