package election

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOperatorsFindEveryReason: the table of reasons for operators names each
// one once, and no other.
func TestOperatorsFindEveryReason(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Reasons\n")
	if !ok {
		t.Fatal("docs/operations.md has no section of reasons")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	word := regexp.MustCompile("`([^`]+)`")
	var got []Reason
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, found := range word.FindAllStringSubmatch(cells[1], -1) {
			got = append(got, Reason(found[1]))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(Reasons())), got); diff != "" {
		t.Errorf("reasons in docs/operations.md (-code +document):\n%s", diff)
	}
}
