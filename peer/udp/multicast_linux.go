package udp

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/peer"
)

// Multicast joins or leaves the group of hellos. It is idempotent. With unicast
// peers only no membership is needed.
func (s *Socket) Multicast(on bool) error {
	if on == s.joined {
		return nil
	}
	err := onSocket(s.raw, func(fd int) error {
		return os.NewSyscallError("setsockopt membership", s.setMembership(fd, on))
	})
	if err != nil {
		verb := "leave"
		if on {
			verb = "join"
		}
		return fmt.Errorf("%s %s on %s: %w", verb, peer.Group(s.ipv6), s.link.Name, err)
	}
	s.joined = on
	return nil
}

func (s *Socket) setMembership(fd int, on bool) error {
	if s.ipv6 {
		name := unix.IPV6_LEAVE_GROUP
		if on {
			name = unix.IPV6_JOIN_GROUP
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, name, &unix.IPv6Mreq{
			Multiaddr: peer.Group(true).As16(), Interface: uint32(s.link.Index),
		})
	}
	name := unix.IP_DROP_MEMBERSHIP
	if on {
		name = unix.IP_ADD_MEMBERSHIP
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, name, &unix.IPMreqn{
		Multiaddr: peer.Group(false).As4(), Ifindex: int32(s.link.Index),
	})
}
