package peer

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files of hellos")

// The wire form is a promise to other versions: a difference here is a change of
// the protocol, and belongs into docs/peers.md.
func TestWireForm(t *testing.T) {
	rows := []struct {
		name  string
		hello *Hello
		keys  *Keyring
	}{
		{"sparse", sparseHello(), nil},
		{"full", fullHello(), nil},
		{"tagged", sparseHello(), ring(t, keyOne)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			datagram, _ := row.hello.Append(nil, 0)
			if row.keys != nil {
				datagram = row.keys.seal(datagram, addr("192.0.2.11"))
			}
			got := annotate(t, datagram)
			file := filepath.Join("testdata", row.name+".txt")
			if *update {
				must(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			must(t, err)
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-%s +encoded:\n%s", file, diff)
			}
		})
	}
}

// annotate shows a datagram a section a line, in hexadecimal digits.
func annotate(t *testing.T, datagram []byte) string {
	t.Helper()
	var out strings.Builder
	line := func(what string, b []byte) { fmt.Fprintf(&out, "%-16s%s\n", what, hex.EncodeToString(b)) }
	line("magic", datagram[:4])
	line("version, flags", datagram[4:8])
	line("boot", datagram[8:16])
	line("sequence", datagram[16:24])
	line("nonce", datagram[24:32])
	body, tagged, err := untag(datagram)
	must(t, err)
	var walk func(indent, noun string, b []byte)
	walk = func(indent, noun string, b []byte) {
		for len(b) > 0 {
			kind, value, rest, ok := cut(b)
			if !ok {
				t.Fatalf("cut short: %x", b)
			}
			what := fmt.Sprintf("%s%s %d", indent, noun, kind)
			if kind == sectionStatement && noun == "section" {
				line(what, b[:fieldHead])
				walk("  ", "field", value)
			} else {
				line(what, b[:fieldHead+len(value)])
			}
			b = rest
		}
	}
	walk("", "section", body[headerLength:])
	if tagged {
		line("key", datagram[len(body):len(body)+keyIDLength])
		line("tag", datagram[len(body)+keyIDLength:])
	}
	return out.String()
}

// Each golden file reads back into what it was made from.
func TestWireFormReadsBack(t *testing.T) {
	for name, want := range map[string]*Hello{"sparse": sparseHello(), "full": fullHello()} {
		t.Run(name, func(t *testing.T) {
			datagram := readHex(t, name)
			var p Parser
			var got Hello
			must(t, p.Parse(datagram, &got))
			if diff := cmp.Diff(want, &got, equateEmpty); diff != "" {
				t.Errorf("-said +heard:\n%s", diff)
			}
		})
	}
}

func readHex(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	must(t, err)
	var datagram []byte
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		b, err := hex.DecodeString(fields[len(fields)-1])
		must(t, err)
		datagram = append(datagram, b...)
	}
	return datagram
}
