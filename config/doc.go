// Package config turns vipd's configuration file into a checked [Config] in
// which every default is filled in, and tells what changed between two of
// them.
//
//	file ── Load ──► Parse ──► YAML nodes       syntax; one document
//	                    │         │ schema      keys, kinds, ranges: each row of schema.go
//	                    │         ▼
//	                    │      Config ── derive defaults that depend on other keys
//	                    │         │ check       what must hold between keys
//	                    ▼         ▼
//	               Problems   *Config ── CheckHost, Warnings   against this host's interfaces
//	                              ├───── Marshal               `vipd check`
//	                              └───── Diff                  reload
//
// All problems of a file are found in one pass and each names file, line and
// key. Keys are known from one place, schema.go: reading, writing, comparing
// and the test of the documentation all go by it.
//
// The package is pure but for load.go: [Load] and [SocketOf] read the file, and [Parse] asks
// for the host name when the file names no node.
package config
