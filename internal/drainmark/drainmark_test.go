package drainmark

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMark(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := map[string]time.Time{"apiserver": since}
	rows := []struct {
		name   string
		before func(t *testing.T, f File)
		want   map[string]time.Time
		fails  bool
	}{
		{"no mark: nothing is drained", func(*testing.T, File) {}, map[string]time.Time{}, false},
		{"a stored mark is found again", func(t *testing.T, f File) { store(t, f, one) }, one, false},
		{"an empty mark removes the one before", func(t *testing.T, f File) { store(t, f, one); store(t, f, nil) }, map[string]time.Time{}, false},
		{"a mark of another boot does not count", func(t *testing.T, f File) {
			write(t, f, `{"boot_id":"another","drained":{"apiserver":"2026-01-02T03:04:05Z"}}`)
		}, map[string]time.Time{}, false},
		{"a broken mark is an error", func(t *testing.T, f File) { write(t, f, `{"boot_id":`) }, nil, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := In(t.TempDir())
			row.before(t, f)
			got, err := f.Load()
			if (err != nil) != row.fails {
				t.Fatalf("Load: %v", err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStoreLeavesTheOldMarkWhenItCannotWrite(t *testing.T) {
	f := In(filepath.Join(t.TempDir(), "missing"))
	if err := f.Store(map[string]time.Time{"apiserver": time.Now()}); err == nil {
		t.Error("Store into a missing directory: no error")
	}
}

func store(t *testing.T, f File, d map[string]time.Time) {
	t.Helper()
	if err := f.Store(d); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f File, text string) {
	t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
