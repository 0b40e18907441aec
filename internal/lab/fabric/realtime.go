package fabric

import "golang.org/x/sys/unix"

// allowRealTime lets what is started from now on ask for real time, as
// LimitRTPRIO= of vipd-realtime.conf does; being root is not enough for a
// speaker. Root without CAP_SYS_RESOURCE, as in a container, may not, and BFD
// does without.
func allowRealTime() (allowed bool) {
	limit := unix.Rlimit{Cur: 1, Max: 1}
	return unix.Setrlimit(unix.RLIMIT_RTPRIO, &limit) == nil
}
