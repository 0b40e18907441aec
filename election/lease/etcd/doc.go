// Package etcd is what vipd knows of the cluster's etcd.
//
//	Open ── a client; it connects when it is asked something
//	  Members ── who is in the cluster, as the asked member knows it
//
// A client is asked with a deadline and answers by then, whatever became of etcd
// and of the way to it:
//
//	etcd is down             the error is there at once, tried again each half second
//	the way to it is cut     what is on its way is given up within a second, and the
//	                         connection with it (TCP_USER_TIMEOUT)
//	etcd is frozen           the call's own deadline; endpoints are asked in turn, so
//	                         another one, if there is one, the next time
//	files are not there yet  the error names the file and what to do
//
// But for renewals, nothing is tried again behind the caller's back: who asks knows
// how long an answer is of use.
package etcd
