package fabric

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/bgp/bfd"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/pcap"
)

// wordFilter is that of pcap-filter(7) for what parseWord understands.
const wordFilter = "ip and udp dst port 3784"

// word is a BFD packet that was seen.
type word struct {
	at       time.Time
	from, to netip.Addr
	state    bfd.State
}

// readWords reads the packets of a capture, in the order of their times.
func readWords(file string) ([]word, error) {
	frames, err := pcap.Frames(file)
	if err != nil {
		return nil, err
	}
	var all []word
	for at, frame := range frames {
		w, err := parseWord(frame)
		if err != nil {
			return nil, fmt.Errorf("packet %d of %s: %w", len(all)+1, file, err)
		}
		w.at = at
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b word) int { return a.at.Compare(b.at) })
	return all, nil
}

// parseWord reads an Ethernet frame.
func parseWord(b []byte) (word, error) {
	const ethernet, udp, least = 14, 8, 14 + 20 + 8
	if len(b) < least {
		return word{}, fmt.Errorf("a frame of %d bytes", len(b))
	}
	ip := b[ethernet:]
	header := int(ip[0]&0x0f) * 4
	end := int(binary.BigEndian.Uint16(ip[2:]))
	if header+udp > end || end > len(ip) {
		return word{}, fmt.Errorf("an IP packet of %d bytes in a frame of %d", end, len(b))
	}
	var p bfd.Packet
	if err := bfd.Parse(ip[header+udp:end], &p); err != nil {
		return word{}, fmt.Errorf("BFD: bad %w", err)
	}
	return word{from: netip.AddrFrom4([4]byte(ip[12:16])), to: netip.AddrFrom4([4]byte(ip[16:20])), state: p.State}, nil
}

// silence is how long one end had heard nothing of the other when it said down
// for the first time since a moment, and when that was; false: it never did, or
// had heard nothing yet.
func silence(words []word, silent, hears netip.Addr, since time.Time) (d time.Duration, down time.Time, ok bool) {
	var last time.Time
	for _, w := range words {
		switch {
		case w.from == silent && w.to == hears:
			last = w.at
		case w.from == hears && w.to == silent && w.at.After(since) && w.state == bfd.Down:
			if last.IsZero() {
				return 0, time.Time{}, false
			}
			return w.at.Sub(last), w.at, true
		}
	}
	return 0, time.Time{}, false
}

// upAgain is when an end said up for the first time since a moment.
func upAgain(words []word, from netip.Addr, since time.Time) (time.Time, bool) {
	for _, w := range words {
		if w.from == from && w.at.After(since) && w.state == bfd.Up {
			return w.at, true
		}
	}
	return time.Time{}, false
}

// lost counts the changes from up to down of all ends but while excused.
func lost(words []word, excused func(word) bool) int {
	type end struct{ from, to netip.Addr }
	states := map[end]bfd.State{}
	n := 0
	for _, w := range words {
		e := end{w.from, w.to}
		if states[e] == bfd.Up && w.state == bfd.Down && !excused(w) {
			n++
		}
		states[e] = w.state
	}
	return n
}

// longestGap is the longest time between two packets of an end.
func longestGap(words []word, from netip.Addr) (longest time.Duration) {
	var last time.Time
	for _, w := range words {
		if w.from != from {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, w.at.Sub(last))
		}
		last = w.at
	}
	return longest
}

// observer watches BFD at both ends of the cables, and the router's routes in its
// kernel.
type observer struct {
	*routeWatch
	atRouter *lab.Capture
	atHost   map[*lab.Host]*lab.Capture
}

// observe begins. The observer ends with end.
func (f *Fabric) observe(ctx context.Context) (*observer, error) {
	o := &observer{atHost: map[*lab.Host]*lab.Capture{}}
	var err error
	if o.atRouter, err = f.Lab.Router.Capture(ctx, wordFilter); err != nil {
		return nil, err
	}
	for _, h := range f.Lab.Hosts {
		if o.atHost[h], err = h.Capture(ctx, wordFilter); err != nil {
			return nil, err
		}
	}
	o.routeWatch, err = f.watchRoutes()
	return o, err
}

// end ends the captures, which are complete then.
func (o *observer) end() error {
	o.routeWatch.end()
	errs := []error{o.atRouter.Stop()}
	for _, c := range o.atHost {
		errs = append(errs, c.Stop())
	}
	return errors.Join(errs...)
}
