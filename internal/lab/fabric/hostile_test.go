package fabric

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/bgp/bgptest"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/router"
)

// hostileASN is a router's that sends what kills a speaker.
const hostileASN = 64666

// message is a BGP message (RFC 4271 4.1).
func message(kind byte, body []byte) []byte {
	m := append(bytes.Repeat([]byte{0xff}, 16), 0, 0, kind)
	m = append(m, body...)
	binary.BigEndian.PutUint16(m[16:], uint16(len(m)))
	return m
}

// opening is an OPEN with IPv4, IPv6 and EVPN (RFC 4271 4.2, RFC 4760 8).
func opening() []byte {
	capabilities := []byte{1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 1, 4, 0, 25, 0, 70}
	parameters := append([]byte{2, byte(len(capabilities))}, capabilities...)
	body := []byte{4, hostileASN >> 8, hostileASN & 0xff, 0, 90, 10, 255, 6, 66, byte(len(parameters))}
	return message(1, append(body, parameters...))
}

// poisons end a speaker: messages that gobgp v3.37.0 does not bear, and more routes
// than it may keep.
func poisons() map[string]func(io.Writer) error {
	// An UPDATE whose MP_REACH_NLRI (RFC 4760 3) has an EVPN route of type 2 that
	// ends after its header (RFC 7432 7).
	reach := []byte{0, 25, 70, 4, 192, 0, 2, 1, 0, 2, 1, 0}
	attribute := append([]byte{0x90, 14, 0, byte(len(reach))}, reach...)
	update := append([]byte{0, 0, 0, byte(len(attribute))}, attribute...)
	send := func(m []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(m); return err }
	}
	return map[string]func(io.Writer) error{
		"a message of unknown type": send(message(9, nil)),
		"a truncated EVPN route":    send(message(2, update)),
		"a full table":              func(w io.Writer) error { return bgptest.SendTable(w, 1_000_000) },
	}
}

// hostile serves BGP on a host: each session that comes up is sent the poison.
func hostile(h *lab.Host, poison func(io.Writer) error) (stop func() error, err error) {
	var l net.Listener
	if err := h.Do(func() (err error) { l, err = net.Listen("tcp4", ":179"); return err }); err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go poisonOne(conn, poison)
		}
	}()
	return l.Close, nil
}

func poisonOne(conn net.Conn, poison func(io.Writer) error) {
	defer conn.Close()
	if _, err := conn.Write(append(opening(), message(4, nil)...)); err != nil {
		return
	}
	header := make([]byte, 19)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(header[16:]))-19); err != nil {
			return
		}
		if header[18] == 4 { // KEEPALIVE: the session is up
			if poison(conn) != nil {
				return
			}
		}
	}
}

func TestAHostileRouterHarmsNobodyElse(t *testing.T) {
	for name, poison := range poisons() {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{
				Hosts: 2, BGP: []string{quick}, Groups: []string{segmentGroup()},
				More: []More{{
					Host:     func(l *lab.Lab) *lab.Host { return l.Client },
					Start:    nobody,
					Peering:  router.Peering{ASN: hostileASN},
					Neighbor: []string{"ttl_security: false"},
				}},
			})
			hosts := s.Lab.Hosts
			s.segmentsOwner()
			before := map[*lab.Host]string{hosts[0]: s.segment(hosts[0]), hosts[1]: s.segment(hosts[1])}
			stop, err := hostile(s.Lab.Client, poison)
			s.must(err)
			defer func() { s.must(stop()) }()
			s.await("its quarantine", func() error {
				for _, h := range hosts {
					i := slices.IndexFunc(s.neighbours(h), func(n agent.NeighborStatus) bool { return n.ASN == hostileASN })
					if n := s.neighbours(h)[i]; n.State != bgp.Quarantined {
						return fmt.Errorf("%s: it is %s, %s", h, n.State, n.Error)
					}
				}
				return nil
			})
			s.must(s.AwaitPaths(s.ctx(), VIP4(), hosts...))
			for _, h := range hosts {
				select {
				case <-s.Daemon(h).Done():
					t.Errorf("the daemon of %s has ended", h)
				default:
				}
				if after := s.segment(h); after != before[h] {
					t.Errorf("the segment's VIP on %s: %s, and before %s", h, after, before[h])
				}
				if held, err := h.Addresses("lo"); err != nil || !slices.Contains(held, VIP4()) {
					t.Errorf("%s holds %v (%v)", h, held, err)
				}
			}
		})
	}
}

// silent is a router that is not there.
type silent struct{ router.Router }

func nobody(_ context.Context, _ *lab.Host, _ router.Peering) (router.Router, error) {
	return silent{}, nil
}
