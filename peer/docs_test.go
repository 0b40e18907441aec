package peer

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docTable returns the rows of the table of docs/peers.md whose head begins with
// the words, the cells without blanks and back quotes.
func docTable(t *testing.T, head string) [][]string {
	t.Helper()
	doc, err := os.ReadFile("../docs/peers.md")
	must(t, err)
	_, after, found := strings.Cut(string(doc), "\n| "+head)
	if !found {
		t.Fatalf("docs/peers.md has no table %q", head)
	}
	var rows [][]string
	for i, line := range strings.Split(after, "\n") {
		if i < 2 {
			continue
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for _, cell := range strings.Split(line[1:len(line)-1], "|") {
			cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "`", "")))
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestDocumentedNumbers(t *testing.T) {
	var want, settings [][]string
	said := func(word string) string {
		if word == "unknown" {
			return "not said"
		}
		return word
	}
	for n := range uint8(roles) {
		row := []string{strconv.Itoa(int(n)), said(Role(n).String()), "", ""}
		if n < uint8(bands) {
			row[2] = said(Band(n).String())
		}
		if n < uint8(apiServers) {
			row[3] = said(APIServer(n).String())
		}
		want = append(want, row)
	}
	if diff := cmp.Diff(want, docTable(t, "number | role")); diff != "" {
		t.Errorf("words, -code +docs/peers.md:\n%s", diff)
	}
	for s := SettingCluster; s.String() != "unknown"; s++ {
		settings = append(settings, []string{strconv.Itoa(int(s)), s.String()})
	}
	if diff := cmp.Diff(settings, docTable(t, "number | setting")); diff != "" {
		t.Errorf("settings, -code +docs/peers.md:\n%s", diff)
	}
}

func TestDocumentedRefusals(t *testing.T) {
	var want, got []string
	for _, err := range []error{
		ErrHopLimit, ErrInterface, ErrVersion, ErrMalformed, ErrUntagged, ErrKey, ErrTag,
		ErrOwn, ErrReplayed, ErrUnproven, ErrStale, ErrForeign, ErrNamesake, ErrFull,
	} {
		want = append(want, err.Error())
	}
	for _, row := range docTable(t, "reason |") {
		got = append(got, row[0])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-code +docs/peers.md:\n%s", diff)
	}
}

func TestDocumentedPlaces(t *testing.T) {
	want := map[string]string{
		"UDP port, source and destination": fmt.Sprintf("%d (hello.port)", Port),
		"IPv4 group":                       Group(false).String(),
		"IPv6 group":                       Group(true).String(),
		"TTL, hop limit":                   fmt.Sprintf("%d, sent and demanded", HopLimit),
		"longest datagram":                 fmt.Sprintf("%d bytes; never fragmented", MaxSize),
		"type of service":                  "CS6 (0xc0)",
	}
	got := map[string]string{}
	for _, row := range docTable(t, "what | value") {
		got[row[0]] = row[1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-code +docs/peers.md:\n%s", diff)
	}
}

// The example of the document is the golden file.
func TestDocumentedHello(t *testing.T) {
	doc, err := os.ReadFile("../docs/peers.md")
	must(t, err)
	golden, err := os.ReadFile("testdata/full.txt")
	must(t, err)
	example := regexp.MustCompile("(?s)```hello\n(.*?)```").FindSubmatch(doc)
	if example == nil {
		t.Fatal("docs/peers.md shows no hello")
	}
	if diff := cmp.Diff(string(golden), string(example[1])); diff != "" {
		t.Errorf("-golden file +docs/peers.md:\n%s", diff)
	}
}
