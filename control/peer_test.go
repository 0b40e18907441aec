package control

import (
	"errors"
	"strings"
	"testing"
)

// groupFile is a group database: groups by name, and those of each user.
type groupFile struct {
	ids map[string]uint32
	of  map[uint32][]uint32
}

func (g groupFile) ID(name string) (uint32, error) {
	id, ok := g.ids[name]
	if !ok {
		return 0, errors.New("no such group")
	}
	return id, nil
}

func (g groupFile) Of(uid uint32) ([]uint32, error) {
	groups, ok := g.of[uid]
	if !ok {
		return nil, errors.New("no such user")
	}
	return groups, nil
}

func TestAccess(t *testing.T) {
	database := groupFile{
		ids: map[string]uint32{"vipd-admin": 950},
		of:  map[uint32][]uint32{1001: {1001, 950}, 1002: {1002}},
	}
	tests := []struct {
		name    string
		group   string
		peer    Peer
		refused string
	}{
		{"root may", "vipd-admin", Peer{UID: 0}, ""},
		{"root may without a group", "", Peer{UID: 0}, ""},
		{"the daemon's own user may", "vipd-admin", Peer{UID: 900, GID: 900}, ""},
		{"the group as primary group may", "vipd-admin", Peer{UID: 1000, GID: 950}, ""},
		{"the group as supplementary group may", "vipd-admin", Peer{UID: 1000, GID: 1000, Groups: []uint32{4, 950}}, ""},
		{"a member by the group database whose session is older may", "vipd-admin", Peer{UID: 1001, GID: 1001}, ""},
		{"another user may not, and reads how to", "vipd-admin", Peer{UID: 1002, GID: 1002, Groups: []uint32{4}}, "usermod -aG vipd-admin"},
		{"a user that the database does not know may not", "vipd-admin", Peer{UID: 1003, GID: 1003}, "user id 1003"},
		{"nobody is in a group that does not exist", "wheel", Peer{UID: 1001, GID: 950}, "wheel"},
		{"without a group, others read that it can be set", "", Peer{UID: 1001, GID: 950}, "control.group"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := access{self: 900, group: test.group, groups: database}.check(test.peer)
			switch {
			case test.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("got %v, want an error with %q", err, test.refused)
			}
		})
	}
}

func TestSystemGroups(t *testing.T) {
	id, err := systemGroups{}.ID("root")
	if err != nil || id != 0 {
		t.Errorf("ID(root) = %d, %v; want 0", id, err)
	}
	groups, err := systemGroups{}.Of(0)
	if err != nil || len(groups) == 0 || groups[0] != 0 {
		t.Errorf("Of(0) = %v, %v; want root's groups", groups, err)
	}
	if _, err := (systemGroups{}).ID("no-such-group"); err == nil {
		t.Error("ID(no-such-group) found something")
	}
}
