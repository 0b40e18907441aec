package keepalived

import (
	"fmt"
	"strings"
	"unicode"
)

// Note is what an operator has to know of a translation.
type Note struct {
	// File and Line are of keepalived.conf; line 0: it is about all of it.
	File string
	Line int
	// Text is one sentence without its full stop.
	Text string
}

func (n Note) String() string {
	if n.Line == 0 {
		return n.Text
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, n.Text)
}

// untranslated notes a statement that vipd has nothing for.
func (m *model) untranslated(s Statement) {
	m.note(s, "%s is not translated: %s", s.Keyword(), reason(s.Keyword()))
}

// reason says why a keyword is not translated, and what does its work.
func reason(keyword string) string {
	for _, r := range []struct{ prefix, text string }{
		{"notify_fifo", "'vipd status --watch --json' writes each change as a line"},
		{"notification_email", "vipd sends no mail; its metrics are to alert on"},
		{"notify", "vips[].notify runs one command for all changes, which learns by VIPD_STATE what happened; it gets no arguments of keepalived's and no capabilities"},
		{"smtp_", "vipd sends no mail; its metrics are to alert on"},
		{"garp_", "vipd announces by the defaults of vips[].garp"},
		{"vrrp_garp_", "vipd announces by the defaults of vips[].garp"},
		{"vrrp_gna_", "vipd announces by the defaults of vips[].garp"},
		{"use_vmac", "vipd uses the interface's own MAC address, and announces the VIP when it moves"},
		{"use_ipvlan", "vipd uses the interface's own MAC address, and announces the VIP when it moves"},
		{"vmac_", "vipd uses the interface's own MAC address, and announces the VIP when it moves"},
		{"mcast_src_ip", "vipd sends from the interface's own address"},
		{"unicast_src_ip", "vipd sends from the interface's own address"},
		{"mcast_dst_ip", "vipd uses the groups of RFC 9568"},
		{"virtual_routes", "vipd moves addresses only"},
		{"virtual_rules", "vipd moves addresses only"},
		{"virtual_server", "vipd is no load balancer"},
		{"track_", "an exec check in vips[].health can look at it"},
		{"script_user", "checks run as the daemon's user, without capabilities"},
		{"user", "checks run as the daemon's user, without capabilities"},
		{"init_fail", "a node is healthy when its checks have said so"},
	} {
		if strings.HasPrefix(keyword, r.prefix) {
			return r.text
		}
	}
	return "vipd has no such setting"
}

// plain is text without what a terminal could take for a command.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
