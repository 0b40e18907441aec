package survey

import (
	"encoding/binary"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

// Tags of entries of an access control list (linux/posix_acl.h).
const (
	aclUserNamed  = 0x02
	aclGroupOwner = 0x04
	aclGroupNamed = 0x08
	aclMask       = 0x10
)

// aclEntry is struct posix_acl_xattr_entry.
type aclEntry struct {
	tag, perm uint16
	id        uint32
}

type accessList []aclEntry

// acl reads a file's access control list; nil: it has none beyond its mode.
func acl(name string) accessList {
	buffer := make([]byte, 4096)
	n, err := unix.Getxattr(name, "system.posix_acl_access", buffer)
	if err != nil || n < 4 {
		return nil
	}
	const version, size = 4, 8
	var list accessList
	for b := buffer[version:n]; len(b) >= size; b = b[size:] {
		list = append(list, aclEntry{
			tag: binary.LittleEndian.Uint16(b), perm: binary.LittleEndian.Uint16(b[2:]), id: binary.LittleEndian.Uint32(b[4:]),
		})
	}
	return list
}

// allows is the access check of acl(5) for one who is not the owner. One group
// that allows all is enough; if some group matches, others do not decide.
func (l accessList) allows(who reader, owning uint32, mode, want uint32) bool {
	mask := uint32(7)
	for _, e := range l {
		if e.tag == aclMask {
			mask = uint32(e.perm)
		}
	}
	may := func(perm uint16) bool { return uint32(perm)&mask&want == want }
	for _, e := range l {
		if e.tag == aclUserNamed && e.id == who.uid {
			return may(e.perm)
		}
	}
	matched := false
	for _, e := range l {
		group := e.id
		if e.tag == aclGroupOwner {
			group = owning
		}
		if (e.tag == aclGroupOwner || e.tag == aclGroupNamed) && slices.Contains(who.gids, group) {
			if matched = true; may(e.perm) {
				return true
			}
		}
	}
	return !matched && mode&want == want
}
