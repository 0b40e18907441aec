package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Layout of struct inet_diag_req_v2 and of the beginning of struct inet_diag_msg
// (linux/inet_diag.h), and the state of a socket that listens (net/tcp_states.h).
const (
	requestLength = 56
	idAt          = 8
	stateAt       = 1
	listening     = 10
)

// servedHere tells whether this host itself has the server's end of a connection
// that it began: the router sent it back. The addresses do not tell, because an
// interface's own address is heard by a socket that is bound to the interface
// whichever way the packet took.
func servedHere(server, client netip.AddrPort) (bool, error) {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return false, fmt.Errorf("open sock_diag: %w", err)
	}
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request},
		Data:   socketRequest(server, client),
	})
	err = errors.Join(err, conn.Close())
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the server of %s here: %w", client, err)
	case len(replies) == 0 || len(replies[0].Data) <= stateAt:
		return false, fmt.Errorf("look for the server of %s here: the kernel gave no socket", client)
	}
	return replies[0].Data[stateAt] != listening, nil
}

// socketRequest asks for one TCP socket by its two ends. Without a connection the
// kernel gives the one that listens.
func socketRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, requestLength)
	b[0], b[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff) // in any state
	id := b[idAt:]
	binary.BigEndian.PutUint16(id, local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	for i := range 8 {
		id[40+i] = 0xff // INET_DIAG_NOCOOKIE
	}
	return b
}
