package survey

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// tcpListen is the state of a listening socket in /proc/net/tcp (net/tcp_states.h);
// udpOpen that of a UDP socket that is connected to nobody.
const (
	tcpListen = "0A"
	udpOpen   = "07"
	bgpPort   = 179
)

// findSockets lists the ports that are taken, and by whom. Where some programs may
// not be looked at, ports without an owner are left out: they may be the daemon's.
func (s *survey) findSockets() doctor.Fact[[]doctor.Socket] {
	owners := s.owners()
	var all []doctor.Socket
	for _, t := range []struct {
		file, state string
		udp         bool
	}{{"tcp", tcpListen, false}, {"tcp6", tcpListen, false}, {"udp", udpOpen, true}, {"udp6", udpOpen, true}} {
		for _, row := range rows(s.root.read("/proc/net/" + t.file)) {
			const local, state, inode = 1, 3, 9
			at, ok := procAddress(row[local])
			if row[state] != t.state || !ok {
				continue
			}
			p, known := owners[row[inode]]
			if !known && s.processes.Missing != "" {
				continue
			}
			all = append(all, doctor.Socket{
				UDP: t.udp, Local: at, Program: doctor.Program{Name: p.name, PID: p.pid}, Ours: s.isOurs(p),
			})
		}
	}
	return doctor.Fact[[]doctor.Socket]{Value: all, Missing: s.processes.Missing}
}

// isOurs: the process is the daemon or its child.
func (s *survey) isOurs(p process) bool {
	return s.pid() != 0 && (p.pid == s.pid() || p.pid != 0 && p.parent() == s.pid())
}

// rows are the lines of a table of /proc/net after its heading, in words.
func rows(text string) [][]string {
	var all [][]string
	for i, line := range strings.Split(text, "\n") {
		if fields := strings.Fields(line); i > 0 && len(fields) > 9 {
			all = append(all, fields)
		}
	}
	return all
}

// procAddress reads an address of /proc/net/tcp: words of 32 bits in the host's
// order, in hexadecimal digits, and the port.
func procAddress(text string) (netip.AddrPort, bool) {
	digits, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(digits)
	n, wrong := strconv.ParseUint(port, 16, 16)
	if err != nil || wrong != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// owners are the processes by the inode of their sockets.
func (s *survey) owners() map[string]process {
	all := map[string]process{}
	for _, p := range s.processes.Value {
		for _, fd := range s.root.glob("/proc/" + strconv.Itoa(p.pid) + "/fd/*") {
			target, err := os.Readlink(s.root.path(fd))
			if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
				all[strings.TrimSuffix(inode, "]")] = p
			}
		}
	}
	return all
}

// routingDaemons are programs that speak BGP.
func routingDaemons() []string {
	return []string{"bgpd", "bird", "bird6", "gobgpd", "exabgp", "openbgpd", "speaker"}
}

// findSpeakers lists programs that speak BGP on this host: by their name, and by
// BGP's port.
func (s *survey) findSpeakers(sockets []doctor.Socket) doctor.Fact[[]doctor.Program] {
	var all []doctor.Program
	add := func(p doctor.Program) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, p := range s.processes.Value {
		if slices.Contains(routingDaemons(), p.name) && !s.isOurs(p) {
			add(p.program())
		}
	}
	for _, at := range sockets {
		if !at.UDP && at.Local.Port() == bgpPort && !at.Ours {
			add(at.Program)
		}
	}
	return doctor.Fact[[]doctor.Program]{Value: all, Missing: s.processes.Missing}
}

// ipvs reads the virtual services of the kernel; none where it has no IPVS.
func (r root) ipvs() doctor.Fact[[]netip.AddrPort] {
	var all []netip.AddrPort
	for line := range strings.Lines(r.read("/proc/net/ip_vs")) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "TCP" {
			continue
		}
		if at, ok := ipvsAddress(fields[1]); ok {
			all = append(all, at)
		}
	}
	return doctor.Known(all)
}

// ipvsAddress reads C000020A:192B or [2001:...]:192B.
func ipvsAddress(text string) (netip.AddrPort, bool) {
	host, port := cutLast(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if six, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && six.Is6() {
		return netip.AddrPortFrom(six, uint16(n)), true
	}
	b, err := hex.DecodeString(host)
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(n)), err == nil && ok
}
