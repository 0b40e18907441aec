package bfd

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// up is a packet as a session that is up sends it.
func up() Packet {
	return Packet{
		State: Up, Multiplier: 3, Mine: 0x01020304, Yours: 0x05060708,
		Transmit: 300 * time.Millisecond, Receive: 200 * time.Millisecond,
	}
}

func TestAppendAndParse(t *testing.T) {
	rows := []struct {
		name string
		make func(*Packet)
		want []byte // the first four bytes
	}{
		{"up", func(*Packet) {}, []byte{0x20, 0xc0, 3, 24}},
		{"down, since nothing was heard", func(p *Packet) { p.State, p.Diagnostic, p.Yours = Down, DetectionTimeExpired, 0 }, []byte{0x21, 0x40, 3, 24}},
		{"a poll", func(p *Packet) { p.Poll = true }, []byte{0x20, 0xe0, 3, 24}},
		{"its answer", func(p *Packet) { p.Final = true }, []byte{0x20, 0xd0, 3, 24}},
		{"independent of the control plane", func(p *Packet) { p.Independent = true }, []byte{0x20, 0xc8, 3, 24}},
		{"demand mode", func(p *Packet) { p.Demand = true }, []byte{0x20, 0xc2, 3, 24}},
		{"admin-down", func(p *Packet) { p.State, p.Diagnostic = AdminDown, AdministrativelyDown }, []byte{0x27, 0x00, 3, 24}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			want := up()
			row.make(&want)
			b := want.Append(nil)
			if len(b) != PacketSize || !bytes.Equal(b[:4], row.want) {
				t.Fatalf("% x", b)
			}
			var got Packet
			if err := Parse(b, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseRefusesByRFC5880(t *testing.T) {
	rows := []struct {
		name string
		harm func([]byte) []byte
		want error
	}{
		{"6.8.6 version other than 1", func(b []byte) []byte { b[0] = b[0]&0x1f | 2<<5; return b }, ErrVersion},
		{"6.8.6 shorter than a packet", func(b []byte) []byte { return b[:23] }, ErrLength},
		{"6.8.6 length field below 24", func(b []byte) []byte { b[3] = 23; return b }, ErrLength},
		{"6.8.6 length field beyond the payload", func(b []byte) []byte { b[3] = 25; return b }, ErrLength},
		{"6.8.6 authenticated and below 26", func(b []byte) []byte { b[1] |= 4; return b }, ErrLength},
		{"6.8.6 detect multiplier 0", func(b []byte) []byte { b[2] = 0; return b }, ErrMultiplier},
		{"6.8.6 multipoint", func(b []byte) []byte { b[1] |= 1; return b }, ErrMultipoint},
		{"6.8.6 my discriminator 0", func(b []byte) []byte { clear(b[4:8]); return b }, ErrDiscriminator},
		{"6.8.6 your discriminator 0 in another state than down", func(b []byte) []byte { clear(b[8:12]); return b }, ErrDiscriminator},
		{"6.8.6 authenticated, and no authentication is in use", func(b []byte) []byte { b[1] |= 4; b[3] = 26; return append(b, 1, 2) }, ErrAuthentication},
		{"nothing", func([]byte) []byte { return nil }, ErrLength},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := up()
			var got Packet
			if err := Parse(row.harm(p.Append(nil)), &got); !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}

func TestParseTakesWhatComesBehindThePacket(t *testing.T) {
	p := up()
	var got Packet
	if err := Parse(append(p.Append(nil), 0, 0), &got); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	p := up()
	f.Add(p.Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again Packet
		if Parse(b, &p) != nil {
			return
		}
		if err := Parse(p.Append(nil), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("a packet differs from itself:\n%s", diff)
		}
	})
}
