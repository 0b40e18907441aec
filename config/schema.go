package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// This file is the schema: every key with its kind, its range and what a change
// of it means for a running daemon. Reading, writing, comparing and the test
// of docs/configuration.md go by it, so a key is added by adding its row.

// keyPaths lists every key, in the order of the schema; [] stands for the index
// of a list.
func keyPaths() []string { return paths("", configKeys()) }

func configKeys() []key[Config] {
	return []key[Config]{
		{
			name:   "node",
			value:  one(text(either(hostName)), func(c *Config) *string { return &c.Node }),
			effect: effect{restart: true},
		},
		{
			name:  "cluster",
			value: one(text(groupName), func(c *Config) *string { return &c.Cluster }),
		},
		{
			name:  "auth_key_file",
			value: one(text(either(filePath)), func(c *Config) *string { return &c.AuthKeyFile }),
		},
		{
			name:  "hello",
			value: section(helloKeys, yaml.FlowStyle, func(c *Config) *Hello { return &c.Hello }),
		},
		{
			name:  "vips",
			value: sections(vipKeys, defaultVIP, func(c *Config) *[]VIP { return &c.VIPs }),
		},
		{
			name:  "bgp",
			value: section(bgpKeys, 0, func(c *Config) *BGP { return &c.BGP }),
		},
		{
			name:  "etcd",
			value: section(etcdKeys, 0, func(c *Config) *Etcd { return &c.Etcd }),
			when:  (*Config).UsesEtcd,
		},
		{
			name:  "drain",
			value: section(drainKeys, yaml.FlowStyle, func(c *Config) *Drain { return &c.Drain }),
		},
		{
			name:  "metrics",
			value: section(metricsKeys, yaml.FlowStyle, func(c *Config) *Metrics { return &c.Metrics }),
		},
		{
			name:  "readiness",
			value: section(readinessKeys, yaml.FlowStyle, func(c *Config) *Readiness { return &c.Readiness }),
		},
		{
			name:  "control",
			value: section(controlKeys, yaml.FlowStyle, func(c *Config) *Control { return &c.Control }),
		},
		{
			name:   "state_dir",
			value:  one(text(filePath), func(c *Config) *string { return &c.StateDir }),
			effect: effect{restart: true},
		},
		{
			name:   "data_dir",
			value:  one(text(filePath), func(c *Config) *string { return &c.DataDir }),
			effect: effect{restart: true},
			when:   (*Config).UsesEtcd,
		},
		{
			name:  "log",
			value: section(logKeys, yaml.FlowStyle, func(c *Config) *Log { return &c.Log }),
		},
	}
}

func helloKeys() []key[Hello] {
	return []key[Hello]{
		{
			name:  "enabled",
			value: one(truth(), func(h *Hello) *bool { return &h.Enabled }),
		},
		{
			name:  "port",
			value: one(number[uint16](1, 65535), func(h *Hello) *uint16 { return &h.Port }),
		},
		{
			name:  "peers",
			value: peers(func(h *Hello) *[]netip.Addr { return &h.Peers }, func(h *Hello) *bool { return &h.EtcdPeers }),
		},
	}
}

func drainKeys() []key[Drain] {
	return []key[Drain]{
		{
			name: "timeout",
			value: one(duration(span{low: 100 * time.Millisecond, high: time.Hour}),
				func(d *Drain) *time.Duration { return &d.Timeout }),
		},
		{
			name: "shutdown_timeout",
			value: one(duration(span{low: 0, high: 5 * time.Minute}),
				func(d *Drain) *time.Duration { return &d.ShutdownTimeout }),
		},
	}
}

func metricsKeys() []key[Metrics] {
	return []key[Metrics]{
		{
			name:   "listen",
			value:  one(text(either(listenAddress)), func(m *Metrics) *string { return &m.Listen }),
			effect: effect{restart: true},
		},
		{
			name:   "web_config",
			value:  one(text(either(filePath)), func(m *Metrics) *string { return &m.WebConfig }),
			effect: effect{restart: true},
		},
	}
}

func readinessKeys() []key[Readiness] {
	return []key[Readiness]{
		{
			name:   "listen",
			value:  one(text(either(listenAddress)), func(r *Readiness) *string { return &r.Listen }),
			effect: effect{restart: true},
		},
		{
			name: "drain_wait",
			value: one(duration(span{low: 0, high: 5 * time.Minute}),
				func(r *Readiness) *time.Duration { return &r.DrainWait }),
		},
	}
}

func controlKeys() []key[Control] {
	return []key[Control]{
		{
			name:   "socket",
			value:  one(text(socketPath), func(c *Control) *string { return &c.Socket }),
			effect: effect{restart: true},
		},
		{
			name:   "group",
			value:  one(text(either(accountGroup)), func(c *Control) *string { return &c.Group }),
			effect: effect{restart: true},
		},
	}
}

func logKeys() []key[Log] {
	return []key[Log]{
		{
			name:  "level",
			value: one(logLevel(), func(l *Log) *slog.Level { return &l.Level }),
		},
		{
			name:   "format",
			value:  one(choice([]LogFormat{LogText, LogJSON, LogJournal}), func(l *Log) *LogFormat { return &l.Format }),
			effect: effect{restart: true},
		},
	}
}

func vipKeys() []key[VIP] {
	return []key[VIP]{
		{
			name:   "name",
			value:  one(text(either(groupName)), func(v *VIP) *string { return &v.Name }),
			effect: effect{group: AspectName},
		},
		{
			name:   "addresses",
			value:  list(vipAddress(), func(v *VIP) *[]netip.Addr { return &v.Addresses }),
			effect: effect{group: AspectAddresses},
		},
		{
			name:   "port",
			value:  one(number[uint16](1, 65535), func(v *VIP) *uint16 { return &v.Port }),
			effect: effect{group: AspectService},
		},
		{
			name:   "endpoint",
			value:  one(text(either(hostPort)), func(v *VIP) *string { return &v.Endpoint }),
			effect: effect{group: AspectService},
		},
		{
			name:   "interface",
			value:  one(text(either(interfaceName)), func(v *VIP) *string { return &v.Interface }),
			effect: effect{group: AspectInterface},
		},
		{
			name:   "track_interfaces",
			value:  list(text(interfaceName), func(v *VIP) *[]string { return &v.TrackInterfaces }),
			effect: effect{group: AspectTracking},
		},
		{
			name: "announce",
			value: one(choice([]Announce{AnnounceL2, AnnounceBGP, AnnounceLocal}),
				func(v *VIP) *Announce { return &v.Announce }),
			effect: effect{group: AspectElector},
		},
		{
			name: "fence",
			value: one(duration(span{low: time.Second, high: time.Minute, step: time.Second, orNone: true}),
				func(v *VIP) *time.Duration { return &v.Fence }),
			effect: effect{group: AspectFence},
		},
		{
			name: "election",
			value: one(choice([]Election{ElectionVRRP, ElectionEtcd, ElectionNone}),
				func(v *VIP) *Election { return &v.Election }),
			effect: effect{group: AspectElector},
		},
		{
			name:  "vrrp",
			value: section(vrrpKeys, 0, func(v *VIP) *VRRP { return &v.VRRP }),
		},
		{
			name:  "etcd",
			value: section(leaseKeys, yaml.FlowStyle, func(v *VIP) *Lease { return &v.Etcd }),
			when:  func(v *VIP) bool { return v.Election == ElectionEtcd },
		},
		{
			name:  "garp",
			value: section(garpKeys, yaml.FlowStyle, func(v *VIP) *GARP { return &v.GARP }),
		},
		{
			name:  "handover",
			value: section(handoverKeys, yaml.FlowStyle, func(v *VIP) *Handover { return &v.Handover }),
		},
		{
			name:   "unhealthy_delay",
			value:  one(duration(delay()), func(v *VIP) *time.Duration { return &v.UnhealthyDelay }),
			effect: effect{group: AspectHealth},
		},
		{
			name:   "health",
			value:  sections(checkKeys, defaultCheck, func(v *VIP) *[]Check { return &v.Health }),
			effect: effect{group: AspectHealth},
		},
		{
			name:   "notify",
			value:  list(text(argument), func(v *VIP) *[]string { return &v.Notify }),
			effect: effect{group: AspectNotify},
		},
	}
}

// delay is the span of the keys that only put something off.
func delay() span { return span{low: 0, high: time.Hour} }

func vrrpKeys() []key[VRRP] {
	return []key[VRRP]{
		{
			name:   "vrid",
			value:  one(number[uint8](1, 255), func(v *VRRP) *uint8 { return &v.VRID }),
			effect: effect{group: AspectElector},
		},
		{
			name:   "version",
			value:  one(number[int](2, 3), func(v *VRRP) *int { return &v.Version }),
			effect: effect{group: AspectParameters},
		},
		{
			// checkRhythm looks whether the version can say it.
			name:   "advert_interval",
			value:  one(duration(span{low: 0, high: time.Hour}), func(v *VRRP) *time.Duration { return &v.AdvertInterval }),
			effect: effect{group: AspectParameters},
		},
		{
			name: "priority",
			value: one(refine(number[uint8](128, 254), notUnhealthy),
				func(v *VRRP) *uint8 { return &v.Priority }),
			effect: effect{group: AspectParameters},
		},
		{
			name: "unhealthy_priority",
			value: one(refine(number[uint8](2, 127), notHealthy),
				func(v *VRRP) *uint8 { return &v.UnhealthyPriority }),
			effect: effect{group: AspectParameters},
		},
		{
			name: "preempt",
			value: one(choice([]Preempt{PreemptBand, PreemptAlways, PreemptNever}),
				func(v *VRRP) *Preempt { return &v.Preempt }),
			effect: effect{group: AspectParameters},
		},
		{
			name:   "preempt_delay",
			value:  one(duration(delay()), func(v *VRRP) *time.Duration { return &v.PreemptDelay }),
			effect: effect{group: AspectParameters},
		},
		{
			name:   "startup_delay",
			value:  one(duration(delay()), func(v *VRRP) *time.Duration { return &v.StartupDelay }),
			effect: effect{group: AspectParameters},
		},
		{
			name:   "peers",
			value:  peers(func(v *VRRP) *[]netip.Addr { return &v.Peers }, func(v *VRRP) *bool { return &v.EtcdPeers }),
			effect: effect{group: AspectPeers},
		},
		{
			name:   "peers_file",
			value:  one(text(either(filePath)), func(v *VRRP) *string { return &v.PeersFile }),
			effect: effect{group: AspectPeers},
		},
		{
			name: "checksum",
			value: one(choice([]Checksum{ChecksumAuto, ChecksumRFC9568, ChecksumPseudoHeader}),
				func(v *VRRP) *Checksum { return &v.Checksum }),
			effect: effect{group: AspectChecksum},
		},
		{
			name:   "password",
			value:  one(text(either(simplePassword)), func(v *VRRP) *string { return &v.Password }),
			effect: effect{group: AspectParameters},
		},
	}
}

func leaseKeys() []key[Lease] {
	return []key[Lease]{
		{
			name: "ttl",
			value: one(duration(span{low: 3 * time.Second, high: 10 * time.Minute, step: time.Second}),
				func(l *Lease) *time.Duration { return &l.TTL }),
			effect: effect{group: AspectParameters},
		},
		{
			name: "bootstrap",
			value: one(choice([]Bootstrap{BootstrapVRRP, BootstrapNone}),
				func(l *Lease) *Bootstrap { return &l.Bootstrap }),
			effect: effect{group: AspectParameters},
		},
		{
			name: "without_etcd",
			value: one(choice([]WithoutEtcd{WithoutEtcdRelease, WithoutEtcdKeep}),
				func(l *Lease) *WithoutEtcd { return &l.WithoutEtcd }),
			effect: effect{group: AspectParameters},
		},
	}
}

func garpKeys() []key[GARP] {
	return []key[GARP]{
		{
			name:   "burst",
			value:  one(number[int](1, 100), func(g *GARP) *int { return &g.Burst }),
			effect: effect{group: AspectAnnouncing},
		},
		{
			name: "refresh",
			value: one(duration(span{low: time.Second, high: 24 * time.Hour, orNone: true}),
				func(g *GARP) *time.Duration { return &g.Refresh }),
			effect: effect{group: AspectAnnouncing},
		},
	}
}

func handoverKeys() []key[Handover] {
	return []key[Handover]{
		{
			name:   "preserve",
			value:  one(truth(), func(h *Handover) *bool { return &h.Preserve }),
			effect: effect{group: AspectHandover},
		},
		{
			name: "grace",
			value: one(duration(span{low: 5 * time.Second, high: 24 * time.Hour}),
				func(h *Handover) *time.Duration { return &h.Grace }),
			effect: effect{group: AspectHandover},
		},
	}
}

func checkKeys() []key[Check] {
	web := ofType(CheckHTTPS, CheckHTTP)
	tls := ofType(CheckHTTPS)
	return []key[Check]{
		{
			name:  "type",
			value: one(choice(checkTypes()), func(c *Check) *CheckType { return &c.Type }),
		},
		{
			name:  "name",
			value: one(text(either(groupName)), func(c *Check) *string { return &c.Name }),
		},
		{
			name:  "url",
			value: one(text(either(webURL)), func(c *Check) *string { return &c.URL }),
			when:  web,
		},
		{
			name:  "liveness_url",
			value: one(text(either(webURL)), func(c *Check) *string { return &c.LivenessURL }),
			when:  web,
		},
		{
			name:  "server_name",
			value: one(text(either(hostOrAddress)), func(c *Check) *string { return &c.ServerName }),
			when:  tls,
		},
		{
			name:  "ca_file",
			value: one(text(either(filePath)), func(c *Check) *string { return &c.CAFile }),
			when:  tls,
		},
		{
			name:  "cert_file",
			value: one(text(either(filePath)), func(c *Check) *string { return &c.CertFile }),
			when:  tls,
		},
		{
			name:  "key_file",
			value: one(text(either(filePath)), func(c *Check) *string { return &c.KeyFile }),
			when:  tls,
		},
		{
			name:  "kubeconfig",
			value: one(text(either(filePath)), func(c *Check) *string { return &c.Kubeconfig }),
			when:  tls,
		},
		{
			name:  "insecure",
			value: one(truth(), func(c *Check) *bool { return &c.Insecure }),
			when:  tls,
		},
		{
			name:  "address",
			value: one(text(either(hostPort)), func(c *Check) *string { return &c.Address }),
			when:  ofType(CheckTCP),
		},
		{
			name:  "command",
			value: list(text(argument), func(c *Check) *[]string { return &c.Command }),
			when:  ofType(CheckExec),
		},
		{
			name: "interval",
			value: one(duration(span{low: 10 * time.Millisecond, high: time.Hour}),
				func(c *Check) *time.Duration { return &c.Interval }),
		},
		{
			name: "timeout",
			value: one(duration(span{low: 10 * time.Millisecond, high: time.Minute}),
				func(c *Check) *time.Duration { return &c.Timeout }),
		},
		{
			name:  "rise",
			value: one(number[int](1, 100), func(c *Check) *int { return &c.Rise }),
		},
		{
			name:  "fall",
			value: one(number[int](1, 100), func(c *Check) *int { return &c.Fall }),
		},
	}
}

func checkTypes() []CheckType { return []CheckType{CheckHTTPS, CheckHTTP, CheckTCP, CheckExec} }

// ofType tells the checks that a key is for.
func ofType(types ...CheckType) func(*Check) bool {
	return func(c *Check) bool { return slices.Contains(types, c.Type) }
}
