package peer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"time"
)

const (
	// nonceTurn is the age at which a nonce is replaced.
	nonceTurn = 5 * time.Second
	// nonceLife is the age up to which an echo of a nonce counts. A hello that
	// was held back for longer is worth nothing.
	nonceLife = 2 * nonceTurn
)

// challenges draws the nonces of a node and recognises their echoes. Nonces come
// from a secret of this life, so nobody can know one before it is sent.
type challenges struct {
	mac               hash.Hash
	drawn             uint64
	current, previous challenge
	// count and sum are here because what is passed to a hash escapes.
	count [8]byte
	sum   [sha256.Size]byte
}

func newChallenges(secret [32]byte) challenges {
	return challenges{mac: hmac.New(sha256.New, secret[:])}
}

// challenge is a nonce and when it was drawn; the zero time: none.
type challenge struct {
	nonce Nonce
	at    time.Time
}

// nonce returns the nonce to send.
func (c *challenges) nonce(now time.Time) Nonce {
	if !within(now, c.current.at, nonceTurn) {
		c.previous, c.current = c.current, c.draw(now)
	}
	return c.current.nonce
}

// void makes all echoes of earlier nonces worthless.
func (c *challenges) void() { c.current, c.previous = challenge{}, challenge{} }

// echoed reports whether a nonce that counts is among the echoes.
func (c *challenges) echoed(now time.Time, echoes []Nonce) bool {
	for _, own := range [...]*challenge{&c.current, &c.previous} {
		if within(now, own.at, nonceLife) && slices.Contains(echoes, own.nonce) {
			return true
		}
	}
	return false
}

func (c *challenges) draw(now time.Time) challenge {
	c.drawn++
	binary.BigEndian.PutUint64(c.count[:], c.drawn)
	c.mac.Reset()
	c.mac.Write(c.count[:])
	return challenge{nonce: Nonce(c.mac.Sum(c.sum[:0])[:8]), at: now}
}
