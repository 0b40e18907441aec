package flow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoansOfAnEarlierLife(t *testing.T) {
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	const one = `{"interface":"eth0","index":2,"setting":19,"former":0,"now":1}`
	rows := []struct {
		name    string
		content string
		want    []loan
		err     string
	}{
		{"of this boot", fmt.Sprintf(`{"boot_id":%q,"settings":[%s]}`, boot, one), []loan{{"eth0", 2, arpIgnore, 0, 1}}, ""},
		{"of another boot: the settings are gone", fmt.Sprintf(`{"boot_id":"x","settings":[%s]}`, one), nil, ""},
		{"garbage", "{", nil, "read changed settings"},
	}
	for _, row := range rows {
		path := filepath.Join(t.TempDir(), "settings.json")
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := loadLoans(path)
		if (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %v", row.name, err)
		}
		if diff := cmp.Diff(row.want, l.list); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
	if l, err := loadLoans(filepath.Join(t.TempDir(), "none")); err != nil || len(l.list) > 0 {
		t.Errorf("no file: %v, %v", l.list, err)
	}
}

func TestLoansAreRememberedUntilGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	l, err := loadLoans(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := loan{"eth0", 2, arpIgnore, 0, 1}, loan{"eth0", 2, arpAnnounce, 0, 2}
	steps := []struct {
		name string
		do   func() error
		want []loan
	}{
		{"one", func() error { return l.add(one) }, []loan{one}},
		{"two", func() error { return l.add(two) }, []loan{one, two}},
		{"one given back", func() error { return l.remove(one) }, []loan{two}},
		{"both given back", func() error { return l.remove(two) }, nil},
		{"again", func() error { return l.remove(two) }, nil},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		next, err := loadLoans(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, next.list); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
