package lasting

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNotes(t *testing.T) {
	d := Directory(filepath.Join(t.TempDir(), "made", "when", "missing"))
	if content, err := d.Load("note"); content != nil || err != nil {
		t.Errorf("none yet: got %q, %v", content, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := d.Store("note", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if content, err := d.Load("note"); string(content) != text || err != nil {
			t.Errorf("got %q, %v, want %q", content, err, text)
		}
	}
	files, err := os.ReadDir(string(d))
	if err != nil || len(files) != 1 {
		t.Errorf("got %v, %v, want the note alone", files, err)
	}
}

func TestADirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Directory(file).Store("note", nil); err == nil {
		t.Error("stored in a directory that is a file")
	}
	if _, err := Directory(file).Load("note"); err == nil {
		t.Error("loaded from a directory that is a file")
	}
}
