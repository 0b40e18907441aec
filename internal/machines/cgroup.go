package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vipd/vipd/internal/lab"
)

// newCgroup makes an empty cgroup, at the top, of the second version.
func newCgroup(name string) (string, error) {
	top, err := unifiedHierarchy()
	if err != nil {
		return "", err
	}
	path := filepath.Join(top, name)
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // as cgroups are
		return "", fmt.Errorf("make cgroup: %w", err)
	}
	return path, nil
}

// unifiedHierarchy is where cgroups of the second version are mounted, on some
// machines beside those of the first (proc(5), mountinfo).
func unifiedHierarchy() (string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		mount, kind, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); strings.HasPrefix(kind, "cgroup2 ") && len(fields) > 4 {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroup2 file system is mounted")
}

// killCgroup kills whatever is in a cgroup or below it. A machine's first process
// outlives a killed nspawn.
func killCgroup(path string) error {
	if err := os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0); err != nil {
		return fmt.Errorf("kill all processes of a cgroup: %w", err)
	}
	return nil
}

// removeCgroup removes a cgroup with all below it, once its processes have ended.
func removeCgroup(ctx context.Context, path string) error {
	return lab.AwaitEvery(ctx, poll, "the end of all processes in "+path, func() error {
		var below []string
		err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				below = append(below, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, path := range slices.Backward(below) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}
