package survey

import (
	"net/netip"
	"slices"
	"strings"
)

// addressesIn are the IP addresses that stand in a text, whatever is around them:
// a port, a prefix length, quotes, a URL.
func addressesIn(text string) []netip.Addr {
	var all []netip.Addr
	words := strings.FieldsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefABCDEF.:", r)
	})
	for _, word := range words {
		word = strings.Trim(word, ".")
		for _, w := range []string{word, strings.Trim(word, ":"), beforePort(word)} {
			if addr, err := netip.ParseAddr(w); err == nil && !slices.Contains(all, addr.Unmap()) {
				all = append(all, addr.Unmap())
				break
			}
		}
	}
	return all
}

// beforePort is the IPv4 address before a port.
func beforePort(word string) string {
	addr, _, _ := strings.Cut(strings.TrimLeft(word, ":"), ":")
	return addr
}

// named are those of vips that stand in a text.
func named(text string, vips []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, addr := range addressesIn(text) {
		if slices.Contains(vips, addr) {
			all = append(all, addr)
		}
	}
	return all
}

// withoutComments cuts what follows a sign at the begin of a line or behind a
// space.
func withoutComments(text, signs string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for at, r := range line {
			if strings.ContainsRune(signs, r) && (at == 0 || line[at-1] == ' ' || line[at-1] == '\t') {
				lines[i] = line[:at]
				break
			}
		}
	}
	return strings.Join(lines, "\n")
}
