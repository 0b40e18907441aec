// Package lasting keeps notes on disk that outlive a power-off: what a node has
// to know when nobody can tell it yet.
package lasting

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Directory holds notes, each a file. It is made when the first one is stored.
type Directory string

// Load returns a note; nil, without an error, if there is none.
func (d Directory) Load(name string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(string(d), name)) //nolint:gosec // the operator names the directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was noted: %w", err)
	}
	return content, nil
}

// Store replaces a note, whole or not at all. It is on disk when the error is nil.
func (d Directory) Store(name string, content []byte) error {
	err := os.MkdirAll(string(d), 0o750)
	if err == nil {
		err = Replace(filepath.Join(string(d), name), content)
	}
	if err != nil {
		return fmt.Errorf("note %s for the next start: %w; make data_dir writable for vipd", name, err)
	}
	return nil
}

// Replace writes a file so that a reader finds the old content or the new one,
// also after a power-off.
func Replace(path string, content []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }() // fails when it was renamed
	_, err = next.Write(content)
	if err == nil {
		err = next.Sync()
	}
	if err := errors.Join(err, next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
