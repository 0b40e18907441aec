package flow

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// devconf reads and writes IPv4 settings of interfaces by rtnetlink, which needs
// CAP_NET_ADMIN and no access to /proc/sys. No library at hand does.
type devconf struct{ conn *netlink.Conn }

func dialDevconf() (*devconf, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	// Errors in the kernel's own words (Linux 4.12).
	if err := conn.SetOption(netlink.ExtendedAcknowledge, true); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		return nil, errors.Join(fmt.Errorf("open rtnetlink: %w", err), conn.Close())
	}
	return &devconf{conn}, nil
}

func (d *devconf) close() error { return d.conn.Close() }

// link reads an interface and its settings; ENODEV when there is none of that
// name.
func (d *devconf) link(name string) (link, error) {
	attrs := netlink.NewAttributeEncoder()
	attrs.String(unix.IFLA_IFNAME, name)
	tail, err := attrs.Encode()
	if err != nil {
		return link{}, fmt.Errorf("look up interface %s: %w", name, err)
	}
	replies, err := d.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), tail...),
	})
	if err != nil {
		return link{}, fmt.Errorf("look up interface %s: %w", name, err)
	}
	if len(replies) == 0 {
		return link{}, fmt.Errorf("look up interface %s: %w", name, unix.ENODEV)
	}
	l, err := parseLink(replies[0].Data)
	if err != nil {
		return link{}, fmt.Errorf("look up interface %s: %w", name, err)
	}
	l.name = name
	return l, nil
}

// set writes one setting of an interface.
func (d *devconf) set(l link, s setting, value uint32) error {
	body, err := settingMessage(l.index, s, value)
	if err == nil {
		_, err = d.conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_SETLINK, Flags: netlink.Request | netlink.Acknowledge},
			Data:   body,
		})
	}
	if err != nil {
		return fmt.Errorf("set %s of %s to %d: %w", s, l.name, value, err)
	}
	return nil
}

// settingMessage is the body of an RTM_SETLINK: IFLA_AF_SPEC, AF_INET,
// IFLA_INET_CONF and the setting's number, nested in that order.
func settingMessage(index int, s setting, value uint32) ([]byte, error) {
	attrs := netlink.NewAttributeEncoder()
	attrs.Nested(unix.IFLA_AF_SPEC, func(spec *netlink.AttributeEncoder) error {
		spec.Nested(unix.AF_INET, func(inet *netlink.AttributeEncoder) error {
			inet.Nested(unix.IFLA_INET_CONF, func(conf *netlink.AttributeEncoder) error {
				conf.Uint32(uint16(s), value)
				return nil
			})
			return nil
		})
		return nil
	})
	tail, err := attrs.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode setting: %w", err)
	}
	b := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+len(tail))
	copy(b[4:], encodeIndex(index))
	return append(b, tail...), nil
}

// parseLink reads struct ifinfomsg and, of its attributes, the IPv4 settings:
// the same nesting, and inside an array in the order of the numbers, which begin
// at 1.
func parseLink(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("link message of %d bytes", len(b))
	}
	l := link{index: int(binary.NativeEndian.Uint32(b[4:])), settings: map[setting]uint32{}}
	attrs, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("link message: %w", err)
	}
	for attrs.Next() {
		if attrs.Type() == unix.IFLA_AF_SPEC {
			attrs.Nested(l.parseSpec)
		}
	}
	if err := attrs.Err(); err != nil {
		return link{}, fmt.Errorf("link message: %w", err)
	}
	return l, nil
}

func (l link) parseSpec(spec *netlink.AttributeDecoder) error {
	for spec.Next() {
		if spec.Type() == unix.AF_INET {
			spec.Nested(l.parseInet)
		}
	}
	return nil
}

func (l link) parseInet(inet *netlink.AttributeDecoder) error {
	for inet.Next() {
		if inet.Type() != unix.IFLA_INET_CONF {
			continue
		}
		values := inet.Bytes()
		for _, s := range []setting{arpAnnounce, arpIgnore, acceptLocal} {
			if at := 4 * (int(s) - 1); at+4 <= len(values) {
				l.settings[s] = binary.NativeEndian.Uint32(values[at:])
			}
		}
	}
	return nil
}
