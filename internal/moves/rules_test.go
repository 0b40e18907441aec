package moves

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/vipd/vipd/internal/lab"
)

// kubeProxy is what `nft list ruleset` shows of kube-proxy in iptables mode, with
// iptables-nft, and of a firewall that drops what conntrack calls invalid.
const kubeProxy = `table ip nat {
	chain KUBE-SVC-API { meta l4proto tcp counter dnat to 10.77.0.100:6443; }
	chain KUBE-SERVICES { ip daddr 10.96.0.1 tcp dport 443 counter jump KUBE-SVC-API; }
	chain KUBE-POSTROUTING {
		meta mark & 0x00004000 != 0x00004000 counter return
		counter meta mark set mark xor 0x4000
		counter masquerade
	}
	chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; counter jump KUBE-SERVICES; }
	chain OUTPUT { type nat hook output priority -100; policy accept; counter jump KUBE-SERVICES; }
	chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; counter jump KUBE-POSTROUTING; }
}
table ip filter {
	chain KUBE-FIREWALL {
		ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct status dnat counter drop
	}
	chain KUBE-FORWARD { ct state invalid counter drop; }
	chain INPUT { type filter hook input priority filter; policy accept; counter jump KUBE-FIREWALL; ct state invalid counter drop; }
	chain FORWARD { type filter hook forward priority filter; policy accept; counter jump KUBE-FORWARD; }
	chain OUTPUT { type filter hook output priority filter; policy accept; counter jump KUBE-FIREWALL; ct state invalid counter drop; }
}
table ip6 filter {
	chain INPUT { type filter hook input priority filter; policy accept; ct state invalid counter drop; }
	chain OUTPUT { type filter hook output priority filter; policy accept; ct state invalid counter drop; }
}
`

// cilium keeps the VIP's packets from conntrack, as Cilium's chains in the raw
// table do for what its own programs handle.
const cilium = `table inet raw {
	chain CILIUM_PRE_raw { type filter hook prerouting priority raw; tcp dport { 6443, 7443 } counter notrack; }
	chain CILIUM_OUTPUT_raw { type filter hook output priority raw; tcp sport { 6443, 7443 } counter notrack; }
}
`

// apply loads rules on a host.
func apply(h *lab.Host, rules string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := h.RunInput(ctx, rules, "nft", "-f", "-")
	return err
}

// writeSysctl sets a sysctl in the namespace of the calling thread.
func writeSysctl(path, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0)
}
