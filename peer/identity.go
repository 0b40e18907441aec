package peer

import (
	"crypto/sha256"
	"encoding/hex"
)

// ID stands for a node in hellos. It is made from the node's name, so it
// outlives restarts of the daemon, as the node's connections do.
type ID [8]byte

// IDOf returns the ID of the node with this name.
func IDOf(name string) ID {
	sum := sha256.Sum256([]byte("vipd node " + name))
	return ID(sum[:8])
}

// String is the ID in hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the ID names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// Boot is one life of a daemon: random bytes drawn at its start.
type Boot [8]byte

// Nonce is what a node draws for others to echo. An echo proves that the hello
// with it was made after the nonce.
type Nonce [8]byte
