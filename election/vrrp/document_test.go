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
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "vrrp.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`"[^"\n]+"`).FindAllString(string(document), -1)
	if len(quoted) == 0 {
		t.Fatal("docs/vrrp.md quotes no test row")
	}
	for _, row := range quoted {
		if !strings.Contains(tests.String(), "{"+row+", ") {
			t.Errorf("docs/vrrp.md quotes %s, and there is no such test row", row)
		}
	}
}
