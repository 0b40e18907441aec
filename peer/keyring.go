package peer

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net/netip"
)

const (
	// minKey is the length of the shortest key accepted, in bytes: what
	// HMAC-SHA256 can use (RFC 2104 section 3).
	minKey = 32
	// maxKeys: one to send with, and one more to accept during a change.
	maxKeys = 2
)

// Keyring authenticates hellos with the keys of a key file. It belongs to one
// goroutine.
type Keyring struct {
	keys []key
	// source and sum are here because what is passed to a hash escapes.
	source [16]byte
	sum    [macLength]byte
}

// key is made of one line of the key file.
type key struct {
	id  [keyIDLength]byte
	mac hash.Hash
}

// NewKeyring derives the keys of a cluster from the content of a key file.
//
// The file is text with one key on a line, of 32 characters or more; empty
// lines and lines that begin with # do not count. The first key is the one to
// send with; a second one is accepted too, for the time of a change. A file with
// any byte outside printable ASCII is one key, as a whole.
//
// Keys of one file in clusters of different names are different keys.
func NewKeyring(content []byte, cluster string) (*Keyring, error) {
	secrets := secrets(content)
	switch {
	case len(secrets) == 0:
		return nil, errors.New("the key file holds no key")
	case len(secrets) > maxKeys:
		return nil, fmt.Errorf("the key file holds %d keys; use one, or two during a change", len(secrets))
	}
	ring := &Keyring{}
	for i, s := range secrets {
		if len(s) < minKey {
			return nil, fmt.Errorf("key %d of the key file has %d bytes; use %d or more random ones", i+1, len(s), minKey)
		}
		k, err := derive(s, cluster)
		if err != nil {
			return nil, fmt.Errorf("derive key %d of the key file: %w", i+1, err)
		}
		ring.keys = append(ring.keys, k)
	}
	if len(ring.keys) == maxKeys && ring.keys[0].id == ring.keys[1].id {
		return nil, errors.New("the key file holds the same key twice")
	}
	return ring, nil
}

// secrets are the keys of a file as they stand there.
func secrets(content []byte) [][]byte {
	if bytes.ContainsFunc(content, func(r rune) bool {
		return (r < ' ' || r > '~') && r != '\n' && r != '\r' && r != '\t'
	}) {
		return [][]byte{content}
	}
	var keys [][]byte
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			keys = append(keys, line)
		}
	}
	return keys
}

// derive makes a key for hellos by HKDF (RFC 5869), so that the same file may
// serve other purposes under other labels, and its content never stands in a
// hash that others see.
func derive(secret []byte, cluster string) (key, error) {
	okm, err := hkdf.Key(sha256.New, secret, []byte("vipd"), "hello 1 "+cluster, keyIDLength+sha256.Size)
	if err != nil {
		return key{}, err
	}
	return key{
		id:  [keyIDLength]byte(okm[:keyIDLength]),
		mac: hmac.New(sha256.New, okm[keyIDLength:]),
	}, nil
}

// seal marks the datagram as tagged and appends the tag of the first key.
func (r *Keyring) seal(datagram []byte, src netip.Addr) []byte {
	k := &r.keys[0]
	datagram[flagsOffset] |= flagTagged
	datagram = append(datagram, k.id[:]...)
	return append(datagram, r.tag(k, datagram, src)...)
}

// open checks the tag of a datagram of this version and returns it without the
// tag. The error is ErrUntagged, ErrMalformed, ErrKey or ErrTag.
func (r *Keyring) open(datagram []byte, src netip.Addr) ([]byte, error) {
	body, tagged, err := untag(datagram)
	if err != nil {
		return nil, err
	}
	if !tagged {
		return nil, ErrUntagged
	}
	signed, tag := datagram[:len(datagram)-macLength], datagram[len(datagram)-macLength:]
	id := [keyIDLength]byte(datagram[len(body):])
	for i := range r.keys {
		if r.keys[i].id != id {
			continue
		}
		if !hmac.Equal(tag, r.tag(&r.keys[i], signed, src)) {
			return nil, ErrTag
		}
		return body, nil
	}
	return nil, ErrKey
}

// untag takes the tag off a datagram of this version without checking it.
func untag(datagram []byte) (body []byte, tagged bool, err error) {
	if datagram[flagsOffset]&flagTagged == 0 {
		return datagram, false, nil
	}
	if len(datagram) < headerLength+tagLength {
		return nil, true, ErrMalformed
	}
	return datagram[:len(datagram)-tagLength], true, nil
}

// tag computes HMAC-SHA256 (RFC 2104) over the source address, IPv4 in its IPv6
// form, and the datagram with the key's identifier. The address is in it so that
// nobody can send another node's hello on as if it came from himself.
func (r *Keyring) tag(k *key, signed []byte, src netip.Addr) []byte {
	r.source = src.As16()
	k.mac.Reset()
	k.mac.Write(r.source[:])
	k.mac.Write(signed)
	return k.mac.Sum(r.sum[:0])
}
