package vip

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// Host A's knocks at host B, of which the captures in testdata are the answers.
func knockAt(port uint16, addr netip.Addr, acked uint32) knock {
	from := netip.MustParseAddr("192.0.2.11")
	if addr.Is6() {
		from = netip.MustParseAddr("2001:db8::11")
	}
	return knock{
		mac: macA, station: macB,
		from: netip.AddrPortFrom(from, 50000+port-6443), to: netip.AddrPortFrom(addr, port),
		sequence: acked - 1,
	}
}

func TestKnockFrames(t *testing.T) {
	for family, k := range map[string]knock{"4": knockAt(6443, vip4, 0x9e8ce11a), "6": knockAt(6443, vip6, 0xe1f4e10e)} {
		introduction, err := k.introduction()
		if err != nil {
			t.Fatal(err)
		}
		compareFrame(t, "knock-introduction-"+family, introduction)
		compareFrame(t, "knock-syn-"+family, k.syn())
		compareFrame(t, "knock-farewell-"+family, k.farewell())
	}
}

func TestKnockReplies(t *testing.T) {
	keep := func(b []byte) []byte { return b }
	// tcp changes a byte of the TCP header.
	tcp := func(at int, change func(byte) byte) func([]byte) []byte {
		return func(b []byte) []byte {
			start := ethernetLength + ipv6Length
			if binary.BigEndian.Uint16(b[12:]) == etherTypeIPv4 {
				start = ethernetLength + ipv4Length
			}
			b[start+at] = change(b[start+at])
			return b
		}
	}
	flags := func(f byte) func([]byte) []byte { return tcp(13, func(byte) byte { return f }) }
	other := func(b byte) byte { return b ^ 1 }
	families := []struct {
		open, closed           knock
		synACK, rst            string
		srcAddress, dstAddress int
	}{
		{knockAt(6443, vip4, 0x9e8ce11a), knockAt(6444, vip4, 0x2f0fa504), "linux-syn-ack-4", "linux-rst-4", ethernetLength + 12, ethernetLength + 16},
		{knockAt(6443, vip6, 0xe1f4e10e), knockAt(6444, vip6, 0x5de74ad1), "linux-syn-ack-6", "linux-rst-6", ethernetLength + 8, ethernetLength + 24},
	}
	for _, f := range families {
		at := func(offset int) func([]byte) []byte {
			return func(b []byte) []byte { b[offset] ^= 1; return b }
		}
		rows := []struct {
			name   string
			knock  knock
			file   string
			change func([]byte) []byte
			want   reply
		}{
			{"SYN-ACK", f.open, f.synACK, keep, portOpen},
			{"SYN-ACK with ECE (RFC 3168)", f.open, f.synACK, flags(0x52), portOpen},
			{"RST that acknowledges the SYN", f.closed, f.rst, keep, portClosed},
			{"the same, from another MAC than the one knocked at", f.open, f.synACK, func(b []byte) []byte { copy(b[6:], macOther); return b }, portOpen},
			{"from this interface itself", f.open, f.synACK, func(b []byte) []byte { copy(b[6:], macA); return b }, noReply},
			{"answer to another knock", f.closed, f.synACK, keep, noReply},
			{"RFC 9293 3.10.7.3: SYN-ACK for another number", f.open, f.synACK, tcp(11, other), noReply},
			{"RFC 9293 3.10.7.3: RST for another number", f.closed, f.rst, tcp(11, other), noReply},
			{"RFC 9293 3.10.7.3: RST without ACK", f.closed, f.rst, flags(flagRST), noReply},
			{"a SYN of the other side", f.open, f.synACK, flags(flagSYN), noReply},
			{"an ACK, as from a connection in TIME_WAIT", f.open, f.synACK, flags(flagACK), noReply},
			{"SYN and RST", f.open, f.synACK, flags(flagSYN | flagRST | flagACK), noReply},
			{"from another port", f.open, f.synACK, tcp(1, other), noReply},
			{"to another port", f.open, f.synACK, tcp(3, other), noReply},
			{"from another address", f.open, f.synACK, at(f.srcAddress), noReply},
			{"to another address", f.open, f.synACK, at(f.dstAddress), noReply},
		}
		for _, row := range rows {
			frame := row.change(readFrame(t, row.file))
			if got := row.knock.reply(frame); got != row.want {
				t.Errorf("%s (%s): got %d, want %d", row.name, row.file, got, row.want)
			}
		}
		frame := readFrame(t, f.synACK)
		if n := testing.AllocsPerRun(100, func() { f.open.reply(frame) }); n != 0 {
			t.Errorf("reading an answer allocates %v times", n)
		}
	}
}

func TestKnockFilter(t *testing.T) {
	withOptions := func(b []byte) []byte {
		b[ethernetLength] = 0x46
		return slices.Insert(b, ethernetLength+ipv4Length, 1, 1, 1, 1)
	}
	keep := func(b []byte) []byte { return b }
	open4, open6 := knockAt(6443, vip4, 0), knockAt(6443, vip6, 0)
	rows := []struct {
		name   string
		knock  knock
		file   string
		change func([]byte) []byte
		passes bool
	}{
		{"SYN-ACK over IPv4", open4, "linux-syn-ack-4", keep, true},
		{"behind IPv4 options", open4, "linux-syn-ack-4", withOptions, true},
		{"SYN-ACK over IPv6", open6, "linux-syn-ack-6", keep, true},
		{"from and to other ports over IPv4", open4, "linux-rst-4", keep, false},
		{"from and to other ports over IPv6", open6, "linux-rst-6", keep, false},
		{"the knock itself over IPv4", open4, "knock-syn-4", keep, false},
		{"the knock itself over IPv6", open6, "knock-syn-6", keep, false},
		{"not TCP", open6, "linux-echo-request", keep, false},
		{"cut short", open4, "linux-syn-ack-4", func(b []byte) []byte { return b[:ethernetLength+ipv4Length+2] }, false},
	}
	for _, row := range rows {
		machine, err := bpf.NewVM(row.knock.filter())
		if err != nil {
			t.Fatal(err)
		}
		n, err := machine.Run(row.change(readFrame(t, row.file)))
		if err != nil || n > 0 != row.passes {
			t.Errorf("%s: passes %v (%v), want %v", row.name, n > 0, err, row.passes)
		}
		if _, err := assemble(row.knock.filter()); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
