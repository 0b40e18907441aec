// Package adverts reads the VRRP adverts that a capture of a lab saw, with the
// kernel's time of each: who owned when, whatever the daemons say.
package adverts

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vipd/vipd/election/vrrp"
	"github.com/vipd/vipd/internal/lab/pcap"
)

// Filter is that of pcap-filter(7) for a capture that Read understands.
const Filter = "ip proto 112 or ip6 proto 112"

// Advert is one that was seen.
type Advert struct {
	At time.Time
	// MAC is the sender's.
	MAC      [6]byte
	VRID     uint8
	Priority uint8
	Interval time.Duration
}

// From reports whether the advert was sent from a MAC.
func (a Advert) From(mac net.HardwareAddr) bool { return len(mac) == 6 && a.MAC == [6]byte(mac) }

// Read reads what a capture on Ethernet has written so far; a record that is not
// whole yet is left for later. An advert that is not valid is an error.
func Read(file string) ([]Advert, error) {
	frames, err := pcap.Frames(file)
	if err != nil {
		return nil, err
	}
	var all []Advert
	for at, frame := range frames {
		a, err := parse(frame)
		if err != nil {
			return all, fmt.Errorf("advert %d of %s: %w", len(all)+1, file, err)
		}
		a.At = at
		all = append(all, a)
	}
	return all, nil
}

// parse reads an Ethernet frame.
func parse(b []byte) (Advert, error) {
	const ethernet, ipv4Header, ipv6Header, typeIPv6 = 14, 20, 40, 0x86dd
	if len(b) < ethernet+ipv4Header {
		return Advert{}, fmt.Errorf("a frame of %d bytes", len(b))
	}
	ip, f := b[ethernet:], vrrp.Frame{}
	var begin, end int
	if binary.BigEndian.Uint16(b[12:]) == typeIPv6 {
		if len(ip) < ipv6Header {
			return Advert{}, fmt.Errorf("a frame of %d bytes", len(b))
		}
		begin, end = ipv6Header, ipv6Header+int(binary.BigEndian.Uint16(ip[4:]))
		f.TTL, f.Src, f.Dst = ip[7], netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
	} else {
		begin, end = int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
		f.TTL, f.Src, f.Dst = ip[8], netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	}
	if begin > end || end > len(ip) {
		return Advert{}, fmt.Errorf("from %v: an IP packet of %d bytes in a frame of %d", f.Src, end, len(b))
	}
	f.Payload = ip[begin:end]
	var p vrrp.Packet
	if err := vrrp.Parse(&f, &p); err != nil {
		return Advert{}, fmt.Errorf("from %v: bad %w: %x", f.Src, err, f.Payload)
	}
	return Advert{MAC: [6]byte(b[6:12]), VRID: p.VRID, Priority: p.Priority, Interval: p.Interval}, nil
}
