// Package lab builds a small network of Linux namespaces in which VIP daemons
// are tried: hosts on a switch, a client, and, if asked for, a router with a
// client behind it. It breaks that network on demand and takes everything away
// again. It needs root, and knows no VIP daemon itself: it runs any command.
//
//	cp1 10.77.0.11 fd77::11 ─┐
//	cp2 10.77.0.12 fd77::12 ─┼─ switch ─┬─ client 10.77.0.200 fd77::200
//	cp3 10.77.0.13 fd77::13 ─┘          │
//	                                    └─ router 10.77.0.1 │ 10.78.0.1 ── remote 10.78.0.10
//	VIPs: 10.77.0.100, fd77::100                  fd77::1   │ fd78::1             fd78::10
//
// Each box is a named network namespace, LAB-cp1 for example, where LAB is
// different for each lab, so that labs run beside each other and a person can
// look around with `ip netns exec LAB-cp1 bash`. A host's port at the switch
// bears the host's name.
//
//	l, err := lab.New(lab.Options{Hosts: 3})
//	defer l.Close()
//	p, err := l.Hosts[0].Start("vipd", "/usr/sbin/vipd", "run")
//	mend, err := l.Break(lab.SilentCut(l.Hosts[0]))
//	...
//	err = mend()
//
// A lab disappears also when its process is killed: a guard, a shell in a
// session of its own that reads a pipe, kills what still runs in the lab's
// namespaces and removes them as soon as the pipe ends.
package lab
