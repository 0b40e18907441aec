package vip

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files of packets that this package builds")

// readFrame reads an Ethernet frame from testdata: lines of hexadecimal digits
// below comment lines that tell where it comes from.
func readFrame(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.TrimSpace(line))
		}
	}
	frame, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return frame
}

// compareFrame compares a frame that this package built with its golden file.
func compareFrame(t *testing.T, name string, frame []byte) {
	t.Helper()
	if *update {
		writeFrame(t, name, frame)
	}
	if diff := cmp.Diff(hex.Dump(readFrame(t, name)), hex.Dump(frame)); diff != "" {
		t.Errorf("%s (-golden +built):\n%s", name, diff)
	}
}

func writeFrame(t *testing.T, name string, frame []byte) {
	t.Helper()
	var text strings.Builder
	text.WriteString("# Built by this package and read by tshark; rewritten by: go test ./vip -run " + t.Name() + " -update\n")
	for line := range slices.Chunk(frame, 32) {
		text.WriteString(hex.EncodeToString(line) + "\n")
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".hex"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
