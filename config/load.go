package config

import (
	"fmt"
	"io"
	"os"
)

// This file is the package's edge: what it asks the system for stands here.

// Load reads and checks the file at path. The error is [Problems] when the
// file could be read but not used.
func Load(path string) (*Config, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	// One byte more than allowed tells Parse that the file is too large.
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// hostname is what the node is called when the file does not say.
func hostname() (string, error) { return os.Hostname() }
