package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// loans remembers changed settings in a file, so that the next life can put them
// back. They do not outlive the host's.
type loans struct {
	path string
	list []loan
}

// loanFile is the file's content. The file may outlive a reboot, the settings do
// not.
type loanFile struct {
	BootID   string `json:"boot_id"`
	Settings []loan `json:"settings"`
}

// loadLoans reads the file; none if it is missing or of another boot. With an
// error it returns no loans, ready for use.
func loadLoans(path string) (*loans, error) {
	l := &loans{path: path}
	b, err := os.ReadFile(path) //nolint:gosec // the configured state directory
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read changed settings: %w", err)
	}
	var content loanFile
	if err := json.Unmarshal(b, &content); err != nil {
		return l, fmt.Errorf("read changed settings %s: %w", path, err)
	}
	boot, err := bootID()
	if err != nil {
		return l, err
	}
	if content.BootID == boot {
		l.list = content.Settings
	}
	return l, nil
}

// find returns the loan of a setting.
func (l *loans) find(link link, s setting) (loan, bool) {
	at := slices.IndexFunc(l.list, func(o loan) bool { return o.covers(link, s) })
	if at < 0 {
		return loan{}, false
	}
	return l.list[at], true
}

// add remembers a loan, before it is taken.
func (l *loans) add(o loan) error { return l.replace(append(slices.Clone(l.list), o)) }

// remove forgets a loan, after it was given back.
func (l *loans) remove(o loan) error {
	return l.replace(slices.DeleteFunc(slices.Clone(l.list), func(other loan) bool { return other == o }))
}

// replace writes the file so that a reader finds the old content or the new one,
// also after a crash. In memory the list is replaced in any case.
func (l *loans) replace(list []loan) error {
	l.list = list
	if err := l.write(); err != nil {
		return fmt.Errorf("remember changed settings: %w", err)
	}
	return nil
}

func (l *loans) write() error {
	if len(l.list) == 0 {
		if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	b, err := json.Marshal(loanFile{boot, l.list})
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(l.path), ".settings-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }() // fails when it was renamed
	_, err = next.Write(b)
	if err := errors.Join(err, next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), l.path)
}

func bootID() (string, error) {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "", fmt.Errorf("learn which boot this is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
