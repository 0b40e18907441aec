package survey

import "golang.org/x/sys/unix"

// setACL gives a file an access list in the form of the kernel.
func setACL(name string, list []byte) error {
	return unix.Setxattr(name, "system.posix_acl_access", list, 0)
}
