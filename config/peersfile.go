package config

import (
	"bytes"
	"net/netip"
)

// ReadPeers reads a peers file: one address a line; blank lines, and what
// follows a '#', are ignored. An address that stands twice counts once. The
// error is [Problems], one for every line that is wrong, without the file's
// name, which the caller knows. No address at all is no error.
func ReadPeers(data []byte) ([]netip.Addr, error) {
	var peers []netip.Addr
	seen := map[netip.Addr]bool{}
	f := newFindings("")
	line := 0
	for text := range bytes.Lines(data) {
		line++
		text, _, _ = bytes.Cut(text, []byte("#"))
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		peer, err := unicastAddress(string(text))
		if err != nil {
			f.addAt(line, "", "%s", err)
			continue
		}
		if !seen[peer] {
			seen[peer] = true
			peers = append(peers, peer)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return peers, nil
}

// CheckPeers reports, as [Problems], which of the peers read from a peers file
// cannot be peers of group v: those of another family than its adverts, and
// VIPs.
func (c *Config) CheckPeers(v VIP, peers []netip.Addr) error {
	f := newFindings("")
	for _, peer := range peers {
		if text := peerProblem(c.VIPs, v, peer); text != "" {
			f.add("", "%s", text)
		}
	}
	return f.err()
}
