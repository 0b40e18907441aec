package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Sizes and numbers of linux/inet_diag.h that x/sys/unix does not name.
const (
	diagIDLength      = 48 // struct inet_diag_sockid
	diagRequestLength = 8 + diagIDLength
	diagMessageLength = 4 + diagIDLength + 20
	diagInfo          = 2 // INET_DIAG_INFO
)

// handle names a socket to the kernel: its family and its inet_diag_sockid,
// whose cookie tells it from a later one with the same addresses.
type handle struct {
	family uint8
	id     [diagIDLength]byte
}

// diag asks for TCP sockets and destroys them (sock_diag(7)). vishvananda/netlink
// destroys IPv4 sockets only and cannot ask for one port.
type diag struct{ conn *netlink.Conn }

func dialDiag() (*diag, error) {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return &diag{conn}, nil
}

func (d *diag) close() error { return d.conn.Close() }

// serving lists sockets of both families whose own port is this.
func (d *diag) serving(port uint16) ([]endpoint, error) { return d.list(0, port) }

// calling lists sockets of both families whose other end has this port.
func (d *diag) calling(port uint16) ([]endpoint, error) { return d.list(2, port) }

// list asks for sockets by the port at an offset of the inet_diag_sockid; the
// kernel leaves out the others.
func (d *diag) list(portAt int, port uint16) ([]endpoint, error) {
	var all []endpoint
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		h := handle{family: family}
		binary.BigEndian.PutUint16(h.id[portAt:], port)
		replies, err := d.conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
			Data:   diagRequest(h, 1<<(diagInfo-1)),
		})
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		for _, reply := range replies {
			e, err := parseEndpoint(reply.Data)
			if err != nil {
				return nil, fmt.Errorf("list TCP sockets: %w", err)
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// destroy ends a connection and tells the other end by a reset; ENOENT when it is
// gone.
func (d *diag) destroy(h handle) error {
	_, err := d.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DESTROY, Flags: netlink.Request | netlink.Acknowledge},
		Data:   diagRequest(h, 0),
	})
	return err
}

// canDestroy asks for the end of a connection that cannot be.
func (d *diag) canDestroy() error {
	err := d.destroy(handle{family: unix.AF_INET})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// diagRequest is struct inet_diag_req_v2 for sockets in any state.
func diagRequest(h handle, extensions uint8) []byte {
	b := make([]byte, diagRequestLength)
	b[0], b[1], b[2] = h.family, unix.IPPROTO_TCP, extensions
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff)
	copy(b[8:], h.id[:])
	return b
}

// parseEndpoint reads struct inet_diag_msg and the tcp_info behind it.
func parseEndpoint(b []byte) (endpoint, error) {
	if len(b) < diagMessageLength {
		return endpoint{}, fmt.Errorf("socket message of %d bytes", len(b))
	}
	e := endpoint{state: State(b[1]), quietFor: -1, handle: handle{family: b[0]}}
	copy(e.handle.id[:], b[4:])
	id := e.handle.id[:]
	e.local = netip.AddrPortFrom(diagAddr(b[0], id[4:20]), binary.BigEndian.Uint16(id))
	e.remote = netip.AddrPortFrom(diagAddr(b[0], id[20:36]), binary.BigEndian.Uint16(id[2:]))
	e.queued = binary.NativeEndian.Uint32(b[56:]) + binary.NativeEndian.Uint32(b[60:])
	attrs, err := netlink.NewAttributeDecoder(b[diagMessageLength:])
	if err != nil {
		return endpoint{}, fmt.Errorf("socket message: %w", err)
	}
	for attrs.Next() {
		if attrs.Type() == diagInfo {
			e.take(attrs.Bytes())
		}
	}
	if err := attrs.Err(); err != nil {
		return endpoint{}, fmt.Errorf("socket message: %w", err)
	}
	return e, nil
}

// take reads what matters of struct tcp_info; kernels differ in its length.
func (e *endpoint) take(info []byte) {
	var layout unix.TCPInfo
	sent, okSent := infoField(info, unsafe.Offsetof(layout.Last_data_sent))
	received, okReceived := infoField(info, unsafe.Offsetof(layout.Last_data_recv))
	if okSent && okReceived {
		e.quietFor = time.Duration(min(sent, received)) * time.Millisecond
	}
	if unsent, ok := infoField(info, unsafe.Offsetof(layout.Unacked)); ok {
		e.queued += unsent // segments, but only zero matters
	}
}

func infoField(info []byte, at uintptr) (uint32, bool) {
	if uintptr(len(info)) < at+4 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(info[at:]), true
}

func diagAddr(family uint8, b []byte) netip.Addr {
	if family == unix.AF_INET {
		b = b[:4]
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr.Unmap()
}
