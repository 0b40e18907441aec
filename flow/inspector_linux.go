package flow

import (
	"errors"
	"fmt"
	"maps"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nfgenmsgLength is that of struct nfgenmsg (linux/netfilter/nfnetlink.h): family,
// version and resource of a message.
const nfgenmsgLength = 4

// dumpTries bounds the repetitions of a listing that changes while it is read.
const dumpTries = 16

// inspector sees whether our tables are as they were made.
type inspector struct{ conn *netlink.Conn }

func dialInspector() (*inspector, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open nfnetlink: %w", err)
	}
	return &inspector{conn}, nil
}

func (i *inspector) close() error { return i.conn.Close() }

// intact tells whether a table is there with all its rules, made by this version.
func (i *inspector) intact(r *ruleset) (bool, error) {
	want := map[string]int{}
	for _, rule := range r.rules {
		want[rule.Chain.Name]++
	}
	got, err := i.rules(r.family)
	if err != nil {
		return false, fmt.Errorf("look at table %s of family %s: %w", tableName, familyName(r.family), err)
	}
	return maps.Equal(want, got), nil
}

// rules counts the rules of our table of a family by chain; none without the
// table.
func (i *inspector) rules(family nftables.TableFamily) (map[string]int, error) {
	table, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(tableName + "\x00")}})
	if err != nil {
		return nil, err
	}
	request := netlink.Message{
		Header: netlink.Header{Type: nftMessage(unix.NFT_MSG_GETRULE), Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(family), unix.NFNETLINK_V0, 0, 0}, table...),
	}
	for range dumpTries {
		replies, err := i.conn.Execute(request)
		if err != nil {
			return nil, err
		}
		if counted, whole := countRules(replies); whole {
			return counted, nil
		}
	}
	return nil, errors.New("changed during every listing")
}

// countRules tells by chain how many rules of our table a listing has, and
// whether the listing is one of a single moment.
func countRules(replies []netlink.Message) (counted map[string]int, whole bool) {
	counted = map[string]int{}
	for _, m := range replies {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, false
		}
		names, err := firstNames(m)
		if err == nil && names.table == tableName {
			counted[names.chain]++
		}
	}
	return counted, true
}

// names are what a message of nftables is about; chain is meaningful for rules.
type names struct{ table, chain string }

// firstNames reads the table's name, which is attribute 1 in the messages of
// tables, chains, sets and rules alike, and the chain's, 2 in those of rules.
func firstNames(m netlink.Message) (names, error) {
	if len(m.Data) < nfgenmsgLength {
		return names{}, fmt.Errorf("nftables message of %d bytes", len(m.Data))
	}
	attrs, err := netlink.NewAttributeDecoder(m.Data[nfgenmsgLength:])
	if err != nil {
		return names{}, fmt.Errorf("nftables message: %w", err)
	}
	var n names
	for attrs.Next() {
		switch attrs.Type() {
		case unix.NFTA_RULE_TABLE:
			n.table = attrs.String()
		case unix.NFTA_RULE_CHAIN:
			n.chain = attrs.String()
		default:
		}
	}
	return n, attrs.Err()
}

func nftMessage(kind int) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind) //nolint:gosec // constants below 2^16
}
