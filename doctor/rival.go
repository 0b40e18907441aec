package doctor

import "net/netip"

// Rival is a program that holds, or will hold, an address of its own accord.
type Rival struct {
	// Program is keepalived, kube-vip or vipd.
	Program string
	// Where is the process or the manifest.
	Where string
	// VIP is the address of the configuration that it has in common.
	VIP netip.Addr
}

// judgeRivals looks for other programs for the same VIP on this host.
func judgeRivals(f *Facts, v *verdict) {
	v.groups(f)
	rivals, _ := seen(v, f.Rivals)
	for _, r := range rivals {
		subject, evidence := r.VIP.String(), r.Where+" has it too"
		switch r.Program {
		case "keepalived":
			v.found(RivalKeepalived, Error, subject, evidence, "systemctl disable --now keepalived; docs/migration.md moves node by node")
		case "kube-vip":
			v.found(RivalKubeVIP, Error, subject, evidence, "remove kube-vip's manifest or DaemonSet, on this node first; docs/migration.md has the order")
		default:
			v.found(RivalVipd, Error, subject, evidence, "stop the one that is not vipd.service; one vipd holds all VIPs of a host")
		}
	}
}
