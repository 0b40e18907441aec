// Package drainmark keeps the note that VIPs were drained from this node. It
// survives restarts of the daemon, and not a reboot of the host.
package drainmark

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/lasting"
)

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// File is the mark in a directory.
type File struct{ path string }

// In returns the mark of a state directory.
func In(directory string) File { return File{path: filepath.Join(directory, "drained.json")} }

type content struct {
	// BootID is the kernel's, random(4): the directory may outlive a reboot.
	BootID  string               `json:"boot_id"`
	Drained map[string]time.Time `json:"drained"`
}

// Load returns what is marked; nothing without a mark of this boot.
func (f File) Load() (map[string]time.Time, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]time.Time{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the drained mark: %w", err)
	}
	var c content
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("read the drained mark %s: %w; vipd undrain replaces it", f.path, err)
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if c.BootID != boot {
		return map[string]time.Time{}, nil
	}
	return c.Drained, nil
}

// Store replaces the mark, whole or not at all; an empty one removes it.
func (f File) Store(d map[string]time.Time) error {
	if len(d) == 0 {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the drained mark: %w", err)
		}
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	b, err := json.Marshal(content{BootID: boot, Drained: d})
	if err != nil {
		return fmt.Errorf("write the drained mark: %w", err)
	}
	if err := lasting.Replace(f.path, b); err != nil {
		return fmt.Errorf("write the drained mark: %w", err)
	}
	return nil
}

func bootID() (string, error) {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "", fmt.Errorf("learn which boot this is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
