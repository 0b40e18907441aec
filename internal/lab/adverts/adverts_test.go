package adverts

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/election/vrrp"
)

// capture is a file with an advert of each family, as tcpdump writes it.
func capture() []byte {
	order := binary.NativeEndian
	b := make([]byte, 24)
	record := func(seconds, micros uint32, frame []byte) {
		for _, v := range []uint32{seconds, micros, uint32(len(frame)), uint32(len(frame))} {
			b = order.AppendUint32(b, v)
		}
		b = append(b, frame...)
	}
	ethernet := func(etherType uint16) []byte {
		return binary.BigEndian.AppendUint16([]byte{1, 0, 0x5e, 0, 0, 18, 2, 0, 0, 0, 0, 0x0b}, etherType)
	}
	p := vrrp.Packet{VRID: 51, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}
	src := netip.MustParseAddr("192.0.2.11")
	message := p.Append(nil, src, vrrp.MulticastIPv4)
	four := append(ethernet(0x0800), 0x45, 0, 0, byte(20+len(message)), 0, 0, 0, 0, 255, 112, 0, 0)
	four = append(append(append(four, src.AsSlice()...), vrrp.MulticastIPv4.AsSlice()...), message...)
	four = append(four, make([]byte, 10)...) // what the link layer pads

	src = netip.MustParseAddr("fe80::11")
	p = vrrp.Packet{VRID: 52, Priority: 0, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr("fe80::10")}}
	message = p.Append(nil, src, vrrp.MulticastIPv6)
	six := append(ethernet(0x86dd), 0x60, 0, 0, 0, 0, byte(len(message)), 112, 255)
	six = append(append(append(six, src.AsSlice()...), vrrp.MulticastIPv6.AsSlice()...), message...)

	record(1000, 5, four)
	record(1001, 0, six)
	return b
}

func TestRead(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 0, 0x0b}
	first := Advert{At: time.Unix(1000, 5000), MAC: mac, VRID: 51, Priority: 200, Interval: time.Second}
	second := Advert{At: time.Unix(1001, 0), MAC: mac, VRID: 52, Interval: time.Second}
	whole := capture()
	broken := bytes.Clone(whole)
	broken[24+16+14+20+2]++ // the priority, so that the checksum is wrong
	rows := []struct {
		name string
		file []byte
		want []Advert
		bad  bool
	}{
		{"both families", whole, []Advert{first, second}, false},
		{"a record that is not whole yet", whole[:len(whole)-1], []Advert{first}, false},
		{"nothing yet", whole[:10], nil, false},
		{"an advert that is not valid", broken, nil, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "capture.pcap")
			if err := os.WriteFile(path, row.file, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Read(path)
			if (err != nil) != row.bad {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("adverts (-want +got):\n%s", diff)
			}
		})
	}
}
