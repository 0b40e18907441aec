package vrrp

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentQuotesRows: each test row that docs/vrrp.md quotes exists.
func TestDocumentQuotesRows(t *testing.T) {
	tests := testsIn(t, ".")
	for _, row := range inDocument(t, `"[^"\n]+"`) {
		if !strings.Contains(tests, "{"+row[0]+", ") {
			t.Errorf("docs/vrrp.md quotes %s, and there is no such test row", row[0])
		}
	}
}

// TestDocumentRowsAreShown: each rule in docs/vrrp.md has a test, or says why there
// is none.
func TestDocumentRowsAreShown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "vrrp.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) < 4 || !strings.HasPrefix(line, "| ") || cells[2] == "shown by" {
			continue
		}
		rules++
		shown, deviation := strings.TrimSpace(cells[2]), strings.Trim(cells[len(cells)-1], " |")
		if proof := regexp.MustCompile("\"[^\"]+\"|`[a-z]+\\.Test").MatchString(shown); !proof && deviation == "" {
			t.Errorf("docs/vrrp.md has nothing to show for %s", cells[0])
		}
	}
	if rules < 50 {
		t.Fatalf("docs/vrrp.md has %d rules: their tables have another form now", rules)
	}
}

// TestDocumentNamesTests: each test of another package that docs/vrrp.md names
// exists.
func TestDocumentNamesTests(t *testing.T) {
	top := filepath.Join("..", "..")
	tests := map[string]string{
		"agent":   testsIn(t, filepath.Join(top, "agent")),
		"vip":     testsIn(t, filepath.Join(top, "vip")),
		"rawsock": testsIn(t, "rawsock"),
	}
	for _, name := range inDocument(t, "`([a-z]+)\\.(Test[A-Za-z0-9]+)`") {
		if !strings.Contains(tests[name[1]], "\nfunc "+name[2]+"(") {
			t.Errorf("docs/vrrp.md names %s, and there is no such test", name[0])
		}
	}
}

// testsIn is the text of a package's tests.
func testsIn(t *testing.T, directory string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// inDocument finds all that docs/vrrp.md has of a kind.
func inDocument(t *testing.T, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "vrrp.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		t.Fatalf("docs/vrrp.md has nothing like %s", pattern)
	}
	return found
}
