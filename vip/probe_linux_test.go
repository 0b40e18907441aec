package vip

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// probe asks on the host's eth0.
func (h host) probe(addr netip.Addr) Answer {
	h.t.Helper()
	var answer Answer
	h.do(func() {
		var err error
		if answer, err = new(Prober).Probe(h.t.Context(), "eth0", addr); err != nil {
			h.t.Fatal(err)
		}
	})
	return answer
}

func TestProbe(t *testing.T) {
	rows := []struct {
		name   string
		before func(t *testing.T, node, peer host)
		want   Answer
	}{
		{"nobody has it", func(*testing.T, host, host) {}, Answer{}},
		{"the peer has it", func(t *testing.T, _, peer host) {
			mustHold(t, peer.holder(), 0)
		}, Answer{Answered: true, MAC: macB}},
		{"only this node has it", func(t *testing.T, node, _ host) {
			mustHold(t, node.holder(), 0)
		}, Answer{}},
		{"this node asks although it has it too", func(t *testing.T, node, peer host) {
			mustHold(t, node.holder(), 0)
			mustHold(t, peer.holder(), 0)
		}, Answer{Answered: true, MAC: macB}},
		{"a proxy answers for any address", func(_ *testing.T, _, peer host) {
			peer.proxy(macOther)
		}, Answer{Answered: true, MAC: macOther, AnswersAny: true}},
		{"behind a proxy, the peer has it", func(t *testing.T, _, peer host) {
			peer.proxy(macOther)
			mustHold(t, peer.holder(), 0)
		}, Answer{Answered: true, MAC: macB}},
		{"two proxies: the first that answered", func(_ *testing.T, _, peer host) {
			peer.proxy(macOther)
			peer.proxy(macOther)
		}, Answer{Answered: true, MAC: macOther, AnswersAny: true}},
		{"the peer's VIPs are many, but not all", func(t *testing.T, _, peer host) {
			mustHold(t, peer.holder(), 0)
			peer.ip("addr", "add", "192.0.2.30/24", "dev", "eth0")
			peer.ip("addr", "add", "2001:db8::30/64", "dev", "eth0", "nodad")
		}, Answer{Answered: true, MAC: macB}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node, peer := newSegment(t)
			row.before(t, node, peer)
			for _, addr := range group {
				if diff := cmp.Diff(row.want, node.probe(addr)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", addr, diff)
				}
			}
		})
	}
}

// The question must not make a station that is assigning the address at that
// moment believe in a duplicate.
func TestProbeDisturbsNoDuplicateAddressDetection(t *testing.T) {
	node, peer := newSegment(t)
	told := peer.watch()
	peer.sysctl("net/ipv6/conf/eth0/accept_dad", "1")
	peer.sysctl("net/ipv6/conf/eth0/dad_transmits", "2")
	peer.ip("addr", "add", "2001:db8::10/64", "dev", "eth0")
	told.until("the detection under way", changed("eth0", func(i Interface) bool {
		return has(i, func(a Address) bool { return a.Prefix.Addr() == vip6 && a.Tentative })
	}))
	if got := node.probe(vip6); got.Answered {
		t.Errorf("a tentative address was answered for: %+v", got)
	}
	told.until("the address in use", changed("eth0", func(i Interface) bool {
		if has(i, func(a Address) bool { return a.Prefix.Addr() == vip6 && a.DADFailed }) {
			t.Fatal("the probe was taken for a duplicate")
		}
		return has(i, func(a Address) bool { return a.Prefix.Addr() == vip6 && !a.Tentative })
	}))
}

func TestProbeErrors(t *testing.T) {
	node, _ := newSegment(t)
	node.do(func() {
		if _, err := new(Prober).Probe(t.Context(), "eth9", vip4); !errors.Is(err, unix.ENODEV) {
			t.Errorf("no such interface: %v", err)
		}
		if _, err := new(Prober).Probe(t.Context(), "lo", vip4); err == nil {
			t.Error("an interface without neighbours: no error")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := new(Prober).Probe(cancelled, "eth0", vip4); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		node.ip("link", "set", "eth0", "down")
		if _, err := new(Prober).Probe(t.Context(), "eth0", vip4); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("interface down: %v", err)
		}
	})
}

// proxy answers every question on the host's eth0 by mac, as a router with proxy
// ARP and proxy ND for the whole subnet does. (Linux's own proxy_arp does not
// answer ARP probes.)
func (h host) proxy(mac net.HardwareAddr) {
	h.t.Helper()
	index := h.index()
	var conns []*packet.Conn
	h.do(func() {
		for _, etherType := range []int{etherTypeARP, etherTypeIPv6} {
			conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, etherType, nil)
			if err != nil {
				h.t.Fatal(err)
			}
			if err := conn.SetPromiscuous(true); err != nil {
				h.t.Fatal(err)
			}
			conns = append(conns, conn)
		}
	})
	for _, conn := range conns {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			buffer := make([]byte, captureLength)
			for {
				n, _, err := conn.ReadFrom(buffer)
				if err != nil {
					return
				}
				if frame := proxyAnswer(mac, buffer[:n]); frame != nil {
					// An answer that is lost is asked for again.
					_ = sendFrame(conn, frame)
				}
			}
		}()
		h.t.Cleanup(func() { conn.Close(); <-ended })
	}
}

// proxyAnswer answers an ARP request or a neighbour solicitation; nil for
// everything else.
func proxyAnswer(mac net.HardwareAddr, frame []byte) []byte {
	asker, b := net.HardwareAddr(frame[6:12]), frame[ethernetLength:]
	if binary.BigEndian.Uint16(frame[12:]) == etherTypeARP {
		request := new(arp.Packet)
		if request.UnmarshalBinary(b) != nil || request.Operation != arp.OperationRequest {
			return nil
		}
		reply, err := arp.NewPacket(arp.OperationReply, mac, request.TargetIP, asker, request.SenderIP)
		if err != nil {
			return nil
		}
		payload, _ := reply.MarshalBinary()
		return ethernetFrame(asker, mac, etherTypeARP, payload)
	}
	if len(b) < ipv6Length+neighbourLength || b[6] != nextHeaderICMPv6 || b[ipv6Length] != typeNeighbourSolicitation {
		return nil
	}
	target, source := netip.AddrFrom16([16]byte(b[48:64])), netip.AddrFrom16([16]byte(b[8:24]))
	if source.IsUnspecified() {
		return nil
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Solicited: true, TargetAddress: target,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, target, source)
	if err != nil {
		return nil
	}
	return ethernetFrame(asker, mac, etherTypeIPv6, ipv6Packet(target, source, message))
}
