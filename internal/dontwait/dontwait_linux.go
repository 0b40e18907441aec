// Package dontwait makes the system calls of a socket that return at once,
// whatever happens. Go announces a system call to its scheduler, in case that it
// takes long, and that wakes the runtime's monitor thread when the process was
// asleep: a daemon that sends one packet each tenth of a second pays for the
// announcement many times what it pays for the packet. These calls are not
// announced, so each of them must not wait: it says MSG_DONTWAIT, or a time-out
// of zero.
package dontwait

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send sends a message. EAGAIN: the send buffer is full.
func Send(fd uintptr, m *unix.Msghdr) error {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(m)), unix.MSG_DONTWAIT) //nolint:gosec // a system call
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// Receive takes one message off the queue and returns its length, which is that
// of the packet even if less of it fits (MSG_TRUNC of recv(2)). m says what of the rest
// was filled in. EAGAIN: the queue is empty.
func Receive(fd uintptr, m *unix.Msghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(m)), unix.MSG_DONTWAIT|unix.MSG_TRUNC) //nolint:gosec // a system call
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Readable tells whether a message or an error waits. If that cannot be told,
// the caller had better look.
func Readable(fd uintptr) bool {
	set := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	var zero unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&set[0])), 1, uintptr(unsafe.Pointer(&zero)), 0, 0, 0) //nolint:gosec // a system call
	return n > 0 || errno != 0
}

// SetTimer sets a timer of timerfd_create(2), relative to now.
func SetTimer(fd uintptr, to *unix.ItimerSpec) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(to)), 0, 0, 0) //nolint:gosec // a system call
	if errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	return nil
}

// Expired tells whether a non-blocking timer has expired since it was set or
// asked last.
func Expired(fd uintptr) bool {
	var times uint64
	n, _, _ := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&times)), unsafe.Sizeof(times)) //nolint:gosec // a system call
	return n == unsafe.Sizeof(times)
}
