package control

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// groupOf names the group that may open the socket, for people.
func groupOf(path string) string {
	unknown := "the group in control.group (vipd-admin by default)"
	file, err := os.Stat(path)
	if err != nil {
		return unknown
	}
	stat, ok := file.Sys().(*syscall.Stat_t)
	if !ok || file.Mode().Perm()&0o020 == 0 {
		return unknown
	}
	group, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
	if err != nil {
		return unknown
	}
	return "members of the group " + group.Name
}
