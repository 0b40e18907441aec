package bgp

import (
	"fmt"
	"strconv"
	"strings"
)

// Community is a tag of a route (RFC 1997): an AS number and a value.
type Community uint32

// GracefulShutdown asks routers to prefer every other route (RFC 8326).
const GracefulShutdown Community = 0xffff0000

// String is the community as routers show it.
func (c Community) String() string { return fmt.Sprintf("%d:%d", uint32(c)>>16, uint32(c)&0xffff) }

// LargeCommunity is a tag for AS numbers of four bytes (RFC 8092).
type LargeCommunity struct{ Administrator, Data1, Data2 uint32 }

// String is the community as routers show it (RFC 8092 5).
func (c LargeCommunity) String() string {
	return fmt.Sprintf("%d:%d:%d", c.Administrator, c.Data1, c.Data2)
}

// ParseCommunity reads a community of either kind: a:b or a:b:c.
func ParseCommunity(s string) (c Community, large LargeCommunity, isLarge bool, err error) {
	parts := strings.Split(s, ":")
	bits := 16
	if isLarge = len(parts) == 3; isLarge {
		bits = 32
	} else if len(parts) != 2 {
		return 0, LargeCommunity{}, false, fmt.Errorf("%q is no community; write two numbers of 16 bits as in 64512:100, or three of 32 bits as in 64512:1:1", s)
	}
	var n [3]uint32
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, bits)
		if err != nil || strconv.FormatUint(v, 10) != part {
			return 0, LargeCommunity{}, false, fmt.Errorf("%q is no community; each of its %d numbers has %d bits", s, len(parts), bits)
		}
		n[i] = uint32(v) //nolint:gosec // of at most 32 bits
	}
	if isLarge {
		return 0, LargeCommunity{n[0], n[1], n[2]}, true, nil
	}
	return Community(n[0]<<16 | n[1]), LargeCommunity{}, false, nil
}
