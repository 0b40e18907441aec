package udp

import (
	"golang.org/x/sys/unix"
)

// lowest is the lowest real-time priority (sched(7)): above everything that is
// not real-time, and no higher.
const lowest = 1

// hurry has the kernel prefer the calling thread to all that is not real-time. A
// kernel that refuses (no LimitRTPRIO=, for the speaker has no capabilities, or
// no budget for the cgroup, where CONFIG_RT_GROUP_SCHED is) leaves it as it is.
func (e *Engine) hurry() {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: lowest, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		e.log.Info("BFD runs without real-time priority; below 50ms a busy host needs it, see vipd-realtime.conf", "error", err)
	}
}
