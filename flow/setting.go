package flow

import "fmt"

// setting is an IPv4 setting of an interface, by its number in linux/ip.h; the
// file of that name in /proc/sys/net/ipv4/conf tells the same value.
type setting uint16

const (
	arpAnnounce setting = 18
	arpIgnore   setting = 19
	acceptLocal setting = 23
)

func (s setting) String() string {
	switch s {
	case arpAnnounce:
		return "arp_announce"
	case arpIgnore:
		return "arp_ignore"
	case acceptLocal:
		return "accept_local"
	default:
		return fmt.Sprintf("setting %d", uint16(s))
	}
}

// quietSettings keep an interface from telling the segment about VIPs on lo:
// no answers for addresses that are not on it (arp_ignore=1), and no questions
// that bear a VIP as sender (arp_announce=2).
func quietSettings() map[setting]uint32 {
	return map[setting]uint32{arpIgnore: 1, arpAnnounce: 2}
}

// loan is a setting that is other than its owner left it.
type loan struct {
	Interface string  `json:"interface"`
	Index     int     `json:"index"`
	Setting   setting `json:"setting"`
	Former    uint32  `json:"former"`
	Now       uint32  `json:"now"`
}

// covers tells whether l is the loan of a setting of an interface. An interface
// made anew has another index, and settings of its own.
func (l loan) covers(link link, s setting) bool {
	return l.Interface == link.name && l.Index == link.index && l.Setting == s
}

// link is an interface and its IPv4 settings.
type link struct {
	name     string
	index    int
	settings map[setting]uint32
}
