package peer

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Setting is a key of the configuration that has to be the same on all nodes.
// The numbers are the wire's: none is ever used for another key.
type Setting uint8

// The settings. SettingCluster belongs to the daemon, all others to a group.
const (
	SettingCluster Setting = iota + 1
	SettingAddresses
	SettingPort
	SettingAnnounce
	SettingElection
	SettingFence
	SettingVRID
	SettingVRRPVersion
	SettingAdvertInterval
	SettingPreempt
	SettingHandoverPreserve
	SettingHandoverGrace
)

// String is the key's path in the configuration, for a group's keys below the
// group.
func (s Setting) String() string {
	return word(s, "unknown", "cluster", "addresses", "port", "announce", "election", "fence",
		"vrrp.vrid", "vrrp.version", "vrrp.advert_interval", "vrrp.preempt",
		"handover.preserve", "handover.grace")
}

// Digest is a short hash of the value of a setting: enough to see that two nodes
// differ, and in which key. Secrets have no place here, however short the hash.
type Digest struct {
	Setting Setting
	Hash    uint32
}

// DigestOf returns the digest of a value. The text has to be the same on all
// nodes that mean the same: sorted, with defaults filled in.
func DigestOf(s Setting, value string) Digest {
	sum := sha256.Sum256([]byte("vipd setting " + s.String() + "=" + value))
	return Digest{Setting: s, Hash: binary.BigEndian.Uint32(sum[:])}
}

// Differing lists the settings that both sides tell and that differ, in the
// order of mine. What one side does not tell is no difference: it may be of
// another version.
func Differing(mine, theirs []Digest) []Setting {
	var different []Setting
	for _, m := range mine {
		same := func(d Digest) bool { return d.Setting == m.Setting }
		if i := slices.IndexFunc(theirs, same); i >= 0 && theirs[i].Hash != m.Hash {
			different = append(different, m.Setting)
		}
	}
	return different
}
