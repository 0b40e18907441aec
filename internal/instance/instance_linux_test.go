package instance

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestOnlyOneHoldsTheLock(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "made", "when", "missing")
	first, err := Acquire(directory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(directory); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: got %v, want %v", err, ErrRunning)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := Acquire(directory)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}
