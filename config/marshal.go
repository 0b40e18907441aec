package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Marshal writes a configuration with every key, in the order of the schema.
// Keys that are not for the type of a health check are left out. Parse reads
// the result back as an equal Config.
func Marshal(c *Config) ([]byte, error) { return encode(writeKeys(configKeys(), c, 0)) }

func encode(n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(n); err != nil {
		return nil, fmt.Errorf("write configuration as YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write configuration as YAML: %w", err)
	}
	return out.Bytes(), nil
}
