package control

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
)

// Peer is the process at the other end of a connection, as the kernel knows
// it: nothing in it was said by the process.
type Peer struct {
	PID      int32
	UID, GID uint32
	// Groups are the supplementary groups at the time of the connect.
	Groups []uint32
}

// access decides who may change something.
type access struct {
	// self is the daemon's own user.
	self uint32
	// group is the name in control.group; empty: root and the daemon's user only.
	group string
	// groups is the group database.
	groups groupDatabase
}

// groupDatabase answers what the kernel does not know about groups.
type groupDatabase interface {
	// ID is the number of the named group.
	ID(name string) (uint32, error)
	// Of are the groups of a user, the primary one included.
	Of(uid uint32) ([]uint32, error)
}

// check returns nil if the peer may change something, and else an error that
// tells its operator what to do.
func (a access) check(p Peer) error {
	if p.UID == 0 || p.UID == a.self || a.member(p) {
		return nil
	}
	if a.group == "" {
		return fmt.Errorf("user id %d may not change vipd: run the command as root, or set control.group and restart vipd", p.UID)
	}
	return fmt.Errorf("user id %d may not change vipd: run the command as root, or as a member of the group %s (usermod -aG %s USER, then log in anew)",
		p.UID, a.group, a.group)
}

func (a access) member(p Peer) bool {
	if a.group == "" {
		return false
	}
	id, err := a.groups.ID(a.group)
	if err != nil {
		// No such group: nobody is in it.
		return false
	}
	if p.GID == id || slices.Contains(p.Groups, id) {
		return true
	}
	// A session that began before its user joined the group, and a kernel
	// that does not tell supplementary groups (before 4.13).
	listed, err := a.groups.Of(p.UID)
	return err == nil && slices.Contains(listed, id)
}

// systemGroups is the host's group database.
type systemGroups struct{}

func (systemGroups) ID(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("look up group %s: %w", name, err)
	}
	return parseID(g.Gid)
}

func (systemGroups) Of(uid uint32) ([]uint32, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil, fmt.Errorf("look up user id %d: %w", uid, err)
	}
	texts, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of %s: %w", u.Username, err)
	}
	ids := make([]uint32, 0, len(texts))
	for _, text := range texts {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read group id %q: %w", text, err)
	}
	return uint32(id), nil
}
