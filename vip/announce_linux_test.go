package vip

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// announcer opens an Announcer on the host.
func (h host) announcer() *Announcer {
	h.t.Helper()
	var announcer *Announcer
	h.do(func() {
		var err error
		if announcer, err = NewAnnouncer(); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { announcer.Close() })
	return announcer
}

// announce announces addrs on eth0.
func (h host) announce(a *Announcer, addrs ...netip.Addr) {
	h.t.Helper()
	h.do(func() {
		if err := a.Announce("eth0", addrs); err != nil {
			h.t.Fatal(err)
		}
	})
}

// index is the kernel's number of the host's eth0.
func (h host) index() int {
	h.t.Helper()
	var links []struct {
		Index int `json:"ifindex"`
	}
	h.decode(&links, "link", "show", "dev", "eth0")
	return links[0].Index
}

// capture receives frames of one kind on the host's eth0.
func (h host) capture(kind capture) *packet.Conn {
	h.t.Helper()
	index := h.index()
	var conn *packet.Conn
	h.do(func() {
		var err error
		if conn, err = kind.listen(index); err != nil {
			h.t.Fatal(err)
		}
	})
	h.t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// nextFor reads the next frame that asserts something of addr.
func nextFor(t *testing.T, conn *packet.Conn, addr netip.Addr) []byte {
	t.Helper()
	buffer := make([]byte, captureLength)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("no frame for %s: %v", addr, err)
		}
		if a, ok := parseAssertion(buffer[:n]); ok && a.addr == addr {
			return buffer[:n]
		}
	}
}

func TestAnnounceOnTheWire(t *testing.T) {
	node, peer := newSegment(t)
	announcer := node.announcer()
	check := func(name string, arpAt, ndAt *packet.Conn, advertisement string) {
		t.Helper()
		node.announce(announcer, group...)
		for _, golden := range []string{"announce-arp-request", "announce-arp-reply"} {
			if diff := cmp.Diff(hex.Dump(readFrame(t, golden)), hex.Dump(nextFor(t, arpAt, vip4))); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, golden, diff)
			}
		}
		if diff := cmp.Diff(hex.Dump(readFrame(t, advertisement)), hex.Dump(nextFor(t, ndAt, vip6))); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, advertisement, diff)
		}
	}
	arpAt, ndAt := peer.capture(arpPackets), peer.capture(neighbourMessages)
	check("host", arpAt, ndAt, "announce-advertisement")
	node.sysctl("net/ipv6/conf/eth0/forwarding", "1")
	check("router", arpAt, ndAt, "announce-advertisement-router")

	node.ip("link", "del", "eth0")
	if err := announcer.Announce("eth0", group); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no interface: %v", err)
	}
	node.join(peer)
	check("interface made anew", peer.capture(arpPackets), peer.capture(neighbourMessages), "announce-advertisement")
}

func TestAnnounceRefusals(t *testing.T) {
	node, _ := newSegment(t)
	announcer := node.announcer()
	node.do(func() {
		if err := announcer.Announce("lo", group); err == nil {
			t.Error("an interface without neighbours: no error")
		}
		node.ip("link", "set", "eth0", "down")
		if err := announcer.Announce("eth0", group); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("interface down: %v", err)
		}
	})
}

func TestAnnouncementsReachNeighbourCaches(t *testing.T) {
	node, peer := newSegment(t)
	announcer := node.announcer()
	for _, addr := range group {
		// Just confirmed, as a client's entry is at the moment of a takeover.
		peer.ip("neigh", "replace", addr.String(), "lladdr", macOther.String(), "nud", "reachable", "dev", "eth0")
	}
	node.announce(announcer, group...)
	for _, addr := range group {
		await(t, addr.String()+" at the node's MAC", func() bool {
			var entries []struct {
				MAC string `json:"lladdr"`
			}
			peer.decode(&entries, "neigh", "show", addr.String(), "dev", "eth0")
			return len(entries) == 1 && entries[0].MAC == macA.String()
		})
	}
}

// Every kind of packet that this package sends, as tshark reads it; for TCP see
// [TestKnockOnTheWire].
func TestPacketsAsTsharkReadsThem(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	rows := []struct{ file, want string }{
		{"announce-arp-request", "arp 1 192.0.2.10 192.0.2.10 announcement"},
		{"announce-arp-reply", "arp 2 192.0.2.10 192.0.2.10 gratuitous"},
		{"announce-advertisement", "icmpv6 136 hops=255 sum=1 2001:db8::10>ff02::1 2001:db8::10 r=0 s=0 o=1 02:00:00:00:00:0a"},
		{"announce-advertisement-router", "icmpv6 136 hops=255 sum=1 2001:db8::10>ff02::1 2001:db8::10 r=1 s=0 o=1 02:00:00:00:00:0a"},
		{"question-arp-probe", "arp 1 0.0.0.0 192.0.2.10 probe"},
		{"question-solicitation", "icmpv6 135 hops=255 sum=1 fe80::ff:fe00:a>ff02::1:ff00:10 2001:db8::10 02:00:00:00:00:0a"},
		{"question-solicitation-unspecified", "icmpv6 135 hops=255 sum=1 ::>ff02::1:ff00:10 2001:db8::10"},
		{"knock-introduction-4", "arp 1 192.0.2.11 192.0.2.10 ordinary"},
		{"knock-introduction-6", "icmpv6 135 hops=255 sum=1 2001:db8::11>ff02::1:ff00:10 2001:db8::10 02:00:00:00:00:0a"},
	}
	var frames [][]byte
	var want []string
	for _, row := range rows {
		frames = append(frames, readFrame(t, row.file))
		want = append(want, row.want)
	}
	file := writeCapture(t, frames)
	fields := []string{
		"arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "arp.isgratuitous", "arp.isprobe", "arp.isannouncement",
		"icmpv6.type", "ipv6.hlim", "icmpv6.checksum.status", "ipv6.src", "ipv6.dst",
		"icmpv6.nd.na.target_address", "icmpv6.nd.ns.target_address",
		"icmpv6.nd.na.flag.r", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.opt.linkaddr",
	}
	args := []string{"-n", "-r", file, "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var got []string
	for line := range strings.Lines(tshark(t, args...)) {
		got = append(got, describe(fields, strings.Split(strings.TrimRight(line, "\n"), "\t")))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const bad = "_ws.malformed || _ws.expert.severity >= Warning || icmpv6.checksum.status == Bad"
	if got := tshark(t, "-n", "-r", file, "-Y", bad); got != "" {
		t.Errorf("tshark complains about:\n%s", got)
	}
}

// describe puts the fields of a row into words.
func describe(names, values []string) string {
	v := map[string]string{}
	for i, name := range names {
		v[name] = values[i]
	}
	if op := v["arp.opcode"]; op != "" {
		kind := "ordinary"
		switch {
		case v["arp.isprobe"] == "1":
			kind = "probe"
		case v["arp.isannouncement"] == "1":
			kind = "announcement"
		case v["arp.isgratuitous"] == "1":
			kind = "gratuitous"
		}
		return strings.Join([]string{"arp", op, v["arp.src.proto_ipv4"], v["arp.dst.proto_ipv4"], kind}, " ")
	}
	words := []string{"icmpv6", v["icmpv6.type"], "hops=" + v["ipv6.hlim"], "sum=" + v["icmpv6.checksum.status"],
		v["ipv6.src"] + ">" + v["ipv6.dst"], v["icmpv6.nd.na.target_address"] + v["icmpv6.nd.ns.target_address"]}
	if v["icmpv6.type"] == "136" {
		words = append(words, "r="+v["icmpv6.nd.na.flag.r"], "s="+v["icmpv6.nd.na.flag.s"], "o="+v["icmpv6.nd.na.flag.o"])
	}
	if mac := v["icmpv6.opt.linkaddr"]; mac != "" {
		words = append(words, mac)
	}
	return strings.Join(words, " ")
}

func tshark(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %v: %v", args, err)
	}
	return string(out)
}

// writeCapture writes frames as a pcap file (Ethernet).
func writeCapture(t *testing.T, frames [][]byte) string {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, 65535)
	b = binary.LittleEndian.AppendUint32(b, 1)
	for _, frame := range frames {
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
		b = append(b, frame...)
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
