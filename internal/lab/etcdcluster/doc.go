// Package etcdcluster runs etcd on the hosts of a lab, a member on each, stacked as
// kubeadm stacks it: the same ports, the same flags, certificates of one CA under
// kubeadm's file names.
//
//	c, err := etcdcluster.New(l)
//	err = c.Start(ctx, l.Hosts...)      // like kubeadm init and joins, at once
//	leader, err := c.Leader(ctx)
//	err = c.Kill(leader)
//	err = c.Run(ctx, leader)            // again, with its data
//	err = c.Join(ctx, l.Hosts[3])       // as kubeadm join does: a learner, promoted
//	err = c.Remove(ctx, l.Hosts[0])     // as kubeadm reset does
//	err = c.Save(ctx, l.Hosts[1], file)
//	err = c.Restore(ctx, file, l.Hosts...)
//
// The members are Debian's etcd(1), so the tests that want them install
// etcd-server and, for snapshots, etcd-client.
package etcdcluster
