package peer

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestKeyFiles(t *testing.T) {
	binary := bytes.Repeat([]byte{0, '\n', 0xff, '#'}, 8)
	rows := []struct {
		name    string
		content string
		keys    int
		err     string
	}{
		{"a key", keyOne, 1, ""},
		{"a key and a newline", keyOne + "\n", 1, ""},
		{"two keys, comments, empty lines and blanks around", "# new\r\n  " + keyTwo + "\t\r\n\n# old\n" + keyOne + "\n", 2, ""},
		{"random bytes are one key, newlines and all", string(binary), 1, ""},
		{"nothing", "", 0, "the key file holds no key"},
		{"comments only", "# " + keyOne, 0, "the key file holds no key"},
		{"three keys", keyOne + "\n" + keyTwo + "\n" + keyOne + "3", 0, "the key file holds 3 keys; use one, or two during a change"},
		{"a short key", keyOne[1:], 0, "key 1 of the key file has 31 bytes; use 32 or more random ones"},
		{"a short second key", keyOne + "\nsecret", 0, "key 2 of the key file has 6 bytes; use 32 or more random ones"},
		{"few random bytes", string(binary[1:]), 0, "key 1 of the key file has 31 bytes; use 32 or more random ones"},
		{"the same key twice", keyOne + "\n" + keyOne, 0, "the key file holds the same key twice"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ring, err := NewKeyring([]byte(row.content), "kubernetes")
			if err != nil {
				if err.Error() != row.err {
					t.Errorf("error %q, want %q", err, row.err)
				}
				return
			}
			if row.err != "" || len(ring.keys) != row.keys {
				t.Errorf("%d keys and no error, want %d and %q", len(ring.keys), row.keys, row.err)
			}
		})
	}
}

func TestTags(t *testing.T) {
	src := addr("192.0.2.12")
	plain, _ := fullHello().Append(nil, 0)
	seal := func(r *Keyring) []byte { return r.seal(slices.Clone(plain), src) }
	foreign, err := NewKeyring([]byte(keyOne), "other")
	must(t, err)
	short := slices.Clone(plain[:headerLength])
	short[flagsOffset] = flagTagged
	rows := []struct {
		name     string
		mine     *Keyring
		datagram []byte
		from     string
		want     error
	}{
		{"the same key", ring(t, keyOne), seal(ring(t, keyOne)), "192.0.2.12", nil},
		{"an old key that is still accepted", ring(t, keyTwo, keyOne), seal(ring(t, keyOne)), "192.0.2.12", nil},
		{"a new key that is accepted already", ring(t, keyOne, keyTwo), seal(ring(t, keyTwo, keyOne)), "192.0.2.12", nil},
		{"no tag", ring(t, keyOne), plain, "192.0.2.12", ErrUntagged},
		{"another key", ring(t, keyOne), seal(ring(t, keyTwo)), "192.0.2.12", ErrKey},
		{"the same key in a cluster of another name", ring(t, keyOne), seal(foreign), "192.0.2.12", ErrKey},
		{"sent on by another address", ring(t, keyOne), seal(ring(t, keyOne)), "192.0.2.13", ErrTag},
		{"sent on over IPv6", ring(t, keyOne), seal(ring(t, keyOne)), "2001:db8::12", ErrTag},
		{"marked as tagged and too short for a tag", ring(t, keyOne), short, "192.0.2.12", ErrMalformed},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			body, err := row.mine.open(row.datagram, addr(row.from))
			if !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			if err == nil && !bytes.Equal(body[headerLength:], plain[headerLength:]) {
				t.Error("the tag changed what it covers")
			}
		})
	}
}

// Whatever byte is changed, the datagram is refused.
func TestEachBitIsCovered(t *testing.T) {
	mine, src := ring(t, keyOne), addr("192.0.2.12")
	plain, _ := fullHello().Append(nil, 0)
	sealed := mine.seal(plain, src)
	for i := range sealed {
		if i < 5 {
			continue // magic and major version decide before the tag does
		}
		for b := range 8 {
			forged := slices.Clone(sealed)
			forged[i] ^= 1 << b
			if _, err := mine.open(forged, src); err == nil {
				t.Errorf("bit %d of byte %d is free to change", b, i)
			}
		}
	}
	if _, err := mine.open(sealed, src); err != nil {
		t.Errorf("the datagram as it was: %v", err)
	}
}

func TestSenderTakesANewKey(t *testing.T) {
	src := addr("192.0.2.12")
	s := NewSender(nil)
	send := func() (datagram []byte) {
		s.Each(sparseHello(), src, func(b []byte) { datagram = slices.Clone(b) })
		return datagram
	}
	if _, err := ring(t, keyOne).open(send(), src); !errors.Is(err, ErrUntagged) {
		t.Errorf("without a key: %v", err)
	}
	s.Rekey(ring(t, keyTwo))
	if _, err := ring(t, keyTwo).open(send(), src); err != nil {
		t.Errorf("with a key: %v", err)
	}
	s.Rekey(nil)
	if _, err := ring(t, keyTwo).open(send(), src); !errors.Is(err, ErrUntagged) {
		t.Errorf("without a key again: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	mine := ring(f, keyOne)
	src := addr("192.0.2.12")
	plain, _ := fullHello().Append(nil, 0)
	f.Add(plain)
	f.Add(ring(f, keyTwo).seal(slices.Clone(plain), src))
	f.Add([]byte(strings.Repeat("v", headerLength)))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if !versionKnown(datagram) {
			return
		}
		if _, err := mine.open(datagram, src); err == nil {
			t.Errorf("a tag was guessed: %x", datagram)
		}
	})
}
