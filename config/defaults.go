package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// kubeadmCA is the cluster's CA where kubeadm puts it.
const kubeadmCA = "/etc/kubernetes/pki/ca.crt"

// defaultConfig is a configuration before its file is read.
func defaultConfig() Config {
	return Config{
		Cluster:  "kubernetes",
		Hello:    Hello{Enabled: true, Port: 9651},
		BGP:      defaultBGP(),
		Etcd:     defaultEtcd(),
		Drain:    Drain{Timeout: 30 * time.Second, ShutdownTimeout: 4 * time.Second},
		Metrics:  Metrics{Listen: "127.0.0.1:9650"},
		Control:  Control{Socket: "/run/vipd/vipd.sock", Group: "vipd-admin"},
		StateDir: "/run/vipd",
		DataDir:  "/var/lib/vipd",
		Log:      Log{Level: slog.LevelInfo, Format: LogText},
	}
}

// defaultVIP is a group before its keys are read. What depends on other keys
// is left to derive.
func defaultVIP() VIP {
	return VIP{
		Port:     6443,
		Announce: AnnounceL2,
		Fence:    3 * time.Second,
		Election: ElectionVRRP,
		VRRP: VRRP{
			Version:           3,
			Priority:          200,
			UnhealthyPriority: 100,
			Preempt:           PreemptBand,
			Checksum:          ChecksumAuto,
		},
		Etcd:     Lease{TTL: 5 * time.Second, Bootstrap: BootstrapVRRP, WithoutEtcd: WithoutEtcdRelease},
		GARP:     GARP{Burst: 5, Refresh: time.Minute},
		Handover: Handover{Preserve: true, Grace: 10 * time.Minute},
	}
}

// defaultCheck is a health check before its keys are read.
func defaultCheck() Check {
	return Check{
		Type:     CheckHTTPS,
		Interval: time.Second,
		Timeout:  time.Second,
		Rise:     1,
		Fall:     2,
	}
}

// derive fills in the defaults that depend on other keys or on the host.
func derive(c *Config, f *findings) {
	if c.Node == "" {
		name, err := hostname()
		if err != nil {
			f.add("node", "the host name is not known (%s); write a name", err)
		}
		c.Node = name
	}
	for i := range c.VIPs {
		deriveVIP(&c.VIPs[i], i, f)
	}
	deriveBGP(&c.BGP, f)
}

// placeName is the name of a group that has none: its place in the file.
func placeName(i int) string { return fmt.Sprintf("vip%d", i+1) }

func deriveVIP(v *VIP, i int, f *findings) {
	at := element("vips", i)
	if v.Name == "" {
		v.Name = placeName(i)
	}
	if len(v.Addresses) > 0 && v.Addresses[0].IsValid() {
		first := v.Addresses[0].AsSlice()
		if v.VRRP.VRID == 0 {
			v.VRRP.VRID = first[len(first)-1]
		}
		if v.Endpoint == "" {
			v.Endpoint = netip.AddrPortFrom(v.Addresses[0], v.Port).String()
		}
	}
	if !f.written(member(at, "vrrp.advert_interval")) {
		v.VRRP.AdvertInterval = defaultInterval(v.VRRP.Version)
	}
	if !f.written(member(at, "health")) {
		v.Health = []Check{defaultCheck()}
	}
	for j := range v.Health {
		check := element(member(at, "health"), j)
		deriveCheck(&v.Health[j], j, v.Port, func(key string) bool { return f.written(member(check, key)) })
	}
}

// deriveCheck makes an https check without a URL the one of the API server
// behind the group, and gives https checks kubeadm's CA.
func deriveCheck(c *Check, i int, port uint16, written func(key string) bool) {
	if c.Type == CheckHTTPS && c.URL == "" {
		server := fmt.Sprintf("https://127.0.0.1:%d", port)
		c.URL = server + "/readyz"
		if !written("liveness_url") {
			c.LivenessURL = server + "/livez"
		}
		if c.Name == "" {
			c.Name = "apiserver"
		}
	}
	if c.Type == CheckHTTPS && !written("ca_file") && c.Kubeconfig == "" && !c.Insecure {
		c.CAFile = kubeadmCA
	}
	if c.Name == "" {
		c.Name = fmt.Sprintf("check%d", i+1)
	}
}
