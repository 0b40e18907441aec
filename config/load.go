package config

import (
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
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

// SocketOf is control.socket as a configuration file has it, whatever else is
// wrong with the file: commands must find the daemon that runs on an older
// version of it. Empty: the file cannot be read, or does not say.
func SocketOf(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return ""
	}
	var said struct {
		Control struct {
			Socket string `yaml:"socket"`
		} `yaml:"control"`
	}
	if err := yaml.Unmarshal(data, &said); err != nil {
		return ""
	}
	return said.Control.Socket
}
