// Package vip is the layer-2 edge: it puts VIP addresses on an interface, tells
// the neighbours about them, asks who else answers for them, and reports what
// others do to them.
//
//	Holder     addresses with kernel lifetimes     rtnetlink
//	Announcer  "this MAC has it"                   AF_PACKET, send only
//	Prober     "who has it?"                       AF_PACKET
//	Knocker    "who serves it?"                    AF_PACKET
//	Watch      links and addresses of this host    rtnetlink groups
//	WatchClaims  other stations' claims            AF_PACKET behind a BPF filter
//
// Nothing here decides: the caller says what should be true, and a call may be
// repeated from any state. Whatever is put into the kernel with a lifetime
// expires by itself, so a dead or frozen process cannot keep an address.
//
// Sockets are opened by constructors and by the calls that need them, in the
// network namespace of the calling thread, and stay in that namespace.
// CAP_NET_ADMIN and CAP_NET_RAW suffice.
package vip
