// Package follow tells when the content of a file changes.
package follow

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// period is the time between two looks at a file. Reading is chosen over
	// inotify: it sees every way of replacing a file, on every file system.
	period = time.Second
	// maxSize bounds what is read, in bytes.
	maxSize = 1 << 20
)

// Follower follows files. The zero value is ready.
type Follower struct{}

// Follow calls fn with the file's content at once and after each change, and
// with the error each time one begins, until ctx ends.
func (Follower) Follow(ctx context.Context, path string, fn func(content []byte, err error)) error {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	var last []byte
	var lastErr string
	first := true
	for {
		content, err := read(path)
		switch {
		case err != nil && err.Error() != lastErr:
			fn(nil, err)
		case err == nil && (first || lastErr != "" || !bytes.Equal(content, last)):
			fn(content, nil)
			last = content
		}
		first, lastErr = false, ""
		if err != nil {
			lastErr = err.Error()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSize)
	}
	return content, nil
}
