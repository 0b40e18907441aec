// Package etcd tests the real vipd beside a real etcd, stacked on the hosts of a lab
// as kubeadm stacks it.
//
//	s := open(t, 3)          // hosts, nothing runs
//	s.etcd.Start(ctx, ...)   // kubeadm init
//	s.vipd(h)                // the daemon, with the least configuration that uses etcd
//	w := s.watch()           // who answers for the VIP, on the wire, from now on
//	all := s.watchAll()      // and who takes new connections, for all VIPs
//
// The stories wait for what must become true, and judge what the wire saw: never two
// stations that answer for one address, and nobody only where that was promised.
//
// The tests need root, and etcd(1).
package etcd
