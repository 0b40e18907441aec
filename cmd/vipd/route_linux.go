package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// defaultRoute is the interface of this host's default route; empty when there
// is none, or it cannot be told.
func defaultRoute(ipv6 bool) string {
	path, find := "/proc/net/route", defaultRoute4
	if ipv6 {
		path, find = "/proc/net/ipv6_route", defaultRoute6
	}
	table, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return find(table)
}

// defaultRoute4 reads /proc/net/route: Iface, Destination, Gateway, Flags,
// RefCnt, Use, Metric, Mask. The first default route of the lowest metric is
// the one in use.
func defaultRoute4(table []byte) string {
	const destination, metric, mask = 1, 6, 7
	best, lowest := "", uint64(0)
	for fields := range rows(table, mask) {
		n, err := strconv.ParseUint(fields[metric], 10, 32)
		if err != nil || fields[destination] != "00000000" || fields[mask] != "00000000" {
			continue
		}
		if best == "" || n < lowest {
			best, lowest = fields[0], n
		}
	}
	return best
}

// defaultRoute6 reads /proc/net/ipv6_route: destination, its prefix length,
// source, its prefix length, next hop, metric, reference counter, use counter,
// flags, interface. The kernel's own reject route is on lo.
func defaultRoute6(table []byte) string {
	const length, metric, link = 1, 5, 9
	best, lowest := "", uint64(0)
	for fields := range rows(table, link) {
		n, err := strconv.ParseUint(fields[metric], 16, 32)
		if err != nil || strings.Trim(fields[0], "0") != "" || fields[length] != "00" || fields[link] == "lo" {
			continue
		}
		if best == "" || n < lowest {
			best, lowest = fields[link], n
		}
	}
	return best
}

// rows gives the fields of each line that has one at index last.
func rows(table []byte, last int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > last && !yield(fields) {
				return
			}
		}
	}
}
