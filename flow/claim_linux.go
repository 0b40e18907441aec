package flow

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Flags of tables (linux/netfilter/nf_tables.h). A table with an owner belongs to
// the socket that made it: `nft flush ruleset`, which firewalls do whenever they
// are loaded, passes it by. One that persists stays when the socket is closed,
// free for everybody, until somebody claims it.
const (
	tableOwner   = 0x2 // NFT_TABLE_F_OWNER, Linux 5.12
	tablePersist = 0x4 // NFT_TABLE_F_PERSIST, Linux 6.9
)

// claim makes the table ours, and makes it if it is not there. One without an
// owner that does not persist, as an older vipd may have left it, cannot be
// claimed and is replaced.
func (t *tables) claim(table *nftables.Table) error {
	create := tableMessage(unix.NFT_MSG_NEWTABLE, netlink.Create, table, tableOwner|tablePersist)
	err := t.transact(create)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = t.transact(tableMessage(unix.NFT_MSG_DELTABLE, 0, table, 0), create)
	}
	if err != nil {
		return fmt.Errorf("claim table %s of family %s: %w", table.Name, familyName(table.Family), err)
	}
	return nil
}

// canOwn asks for a table with an owner that persists, and takes it away in the
// same transaction.
func (t *tables) canOwn() error {
	probe := &nftables.Table{Name: probeTable, Family: nftables.TableFamilyIPv4}
	return t.transact(
		tableMessage(unix.NFT_MSG_NEWTABLE, netlink.Create, probe, tableOwner|tablePersist),
		tableMessage(unix.NFT_MSG_DELTABLE, 0, probe, 0))
}

// transact carries out messages in one transaction, from the same socket as
// everything else. The library has no flags for tables.
func (t *tables) transact(messages ...netlink.Message) error {
	edge := func(kind int) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request}, //nolint:gosec // a constant
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	batch := append([]netlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}, messages...)
	if _, err := t.socket.SendMessages(append(batch, edge(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	for range messages {
		if _, err := t.socket.Receive(); err != nil {
			// Answers to the other messages may still be on their way.
			return errors.Join(err, t.discard())
		}
	}
	return nil
}

// tableMessage is about a table as a whole.
func tableMessage(kind int, flags netlink.HeaderFlags, table *nftables.Table, tableFlags uint32) netlink.Message {
	attrs := netlink.NewAttributeEncoder()
	attrs.ByteOrder = binary.BigEndian
	attrs.String(unix.NFTA_TABLE_NAME, table.Name)
	attrs.Uint32(unix.NFTA_TABLE_FLAGS, tableFlags)
	tail, err := attrs.Encode()
	if err != nil {
		panic("flow: encode table message: " + err.Error()) // a name longer than 64 KiB
	}
	return netlink.Message{
		Header: netlink.Header{Type: nftMessage(kind), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append([]byte{byte(table.Family), unix.NFNETLINK_V0, 0, 0}, tail...),
	}
}
