package config

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everythingElse differs from smallest in every key.
func everythingElse() *Config {
	return &Config{
		Node:        "cp2",
		Cluster:     "other",
		AuthKeyFile: "/key",
		Hello:       Hello{Port: 1, Peers: addresses("192.0.2.11")},
		VIPs: []VIP{{
			Name:            "api",
			Addresses:       addresses("192.0.2.20", "192.0.2.10"),
			Port:            443,
			Endpoint:        "cluster:443",
			Interface:       "eth0",
			TrackInterfaces: []string{"eth1"},
			Announce:        "other",
			Fence:           time.Second,
			Election:        "other",
			VRRP: VRRP{
				VRID:              51,
				Version:           2,
				AdvertInterval:    time.Second,
				Priority:          250,
				UnhealthyPriority: 10,
				Preempt:           PreemptAlways,
				PreemptDelay:      time.Second,
				StartupDelay:      time.Second,
				Peers:             addresses("192.0.2.11"),
				PeersFile:         "/etc/vipd/peers",
				Checksum:          ChecksumRFC9568,
				Password:          "k8s-vip",
			},
			Etcd:           Lease{TTL: 3 * time.Second, Bootstrap: BootstrapNone, WithoutEtcd: WithoutEtcdKeep},
			GARP:           GARP{Burst: 1, Refresh: time.Second},
			Handover:       Handover{Grace: time.Minute},
			UnhealthyDelay: time.Second,
			Health:         []Check{{Type: CheckTCP, Name: "port", Address: "localhost:1"}},
			Notify:         []string{"/bin/tell"},
		}},
		BGP: BGP{
			ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11"), LocalAddress: netip.MustParseAddr("192.0.2.12"),
			Neighbors: []Neighbor{{}}, Communities: []string{"1:1"}, MED: 1, ReturnDelay: time.Second,
			Unhealthy: Worse{Prepend: 1, MED: 1}, Leaving: Leaving{Worse: Worse{Prepend: 1, MED: 1}, Wait: time.Minute},
		},
		Etcd:      Etcd{Endpoints: []string{"http://etcd:1"}, CAFile: "/ca", CertFile: "/cert", KeyFile: "/key"},
		Drain:     Drain{Timeout: time.Second, ShutdownTimeout: time.Second},
		Metrics:   Metrics{Listen: "", WebConfig: "/web"},
		Readiness: Readiness{Listen: ":9652", DrainWait: time.Second},
		Control:   Control{Socket: "/sock", Group: "wheel"},
		StateDir:  "/state",
		DataDir:   "/data",
		Log:       Log{Level: slog.LevelDebug, Format: LogJSON},
	}
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestDiffSeesEveryKey(t *testing.T) {
	got := Diff(smallest(), everythingElse())
	want := Difference{
		Changed: []GroupChange{{
			Name: "api",
			Was:  "vip1",
			Keys: []string{
				"name", "addresses", "port", "endpoint", "interface", "track_interfaces", "announce", "fence", "election",
				"vrrp.vrid", "vrrp.version", "vrrp.advert_interval", "vrrp.priority", "vrrp.unhealthy_priority", "vrrp.preempt",
				"vrrp.preempt_delay", "vrrp.startup_delay", "vrrp.peers", "vrrp.peers_file", "vrrp.checksum", "vrrp.password",
				"etcd.ttl", "etcd.bootstrap", "etcd.without_etcd",
				"garp.burst", "garp.refresh", "handover.preserve", "handover.grace", "unhealthy_delay", "health", "notify",
			},
			Aspects: AspectName | AspectAddresses | AspectInterface | AspectTracking | AspectService | AspectFence | AspectElector |
				AspectParameters | AspectPeers | AspectChecksum | AspectAnnouncing | AspectHandover | AspectHealth | AspectNotify,
			AddressesAdded: addresses("192.0.2.20"),
			ChecksAdded:    []string{"port"},
			ChecksRemoved:  []string{"apiserver"},
		}},
		Live: []string{
			"cluster", "auth_key_file", "hello.enabled", "hello.port", "hello.peers",
			"bgp.asn", "bgp.router_id", "bgp.local_address", "bgp.neighbors", "bgp.communities", "bgp.med",
			"bgp.unhealthy.prepend", "bgp.unhealthy.med", "bgp.unhealthy.graceful_shutdown",
			"bgp.leaving.prepend", "bgp.leaving.med", "bgp.leaving.graceful_shutdown", "bgp.leaving.wait", "bgp.return_delay",
			"etcd.endpoints", "etcd.ca_file", "etcd.cert_file", "etcd.key_file",
			"drain.timeout", "drain.shutdown_timeout", "readiness.drain_wait", "log.level",
		},
		Restart: []string{"node", "metrics.listen", "metrics.web_config", "readiness.listen", "control.socket", "control.group", "state_dir", "data_dir", "log.format"},
	}
	if diff := cmp.Diff(want, got, addressesEqual()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	group := func(name string, vrid string, list string) string {
		return "- {name: " + name + ", addresses: [" + list + "], vrrp: {vrid: " + vrid + "}}\n"
	}
	for _, row := range []struct {
		name     string
		old, new string
		want     Difference
	}{
		{
			"nothing changed",
			"vips: [{addresses: [192.0.2.10]}]",
			"vips:\n- name: vip1\n  addresses: [192.0.2.10/32]\n  fence: 3000ms\n",
			Difference{Unchanged: []string{"vip1"}},
		},
		{
			"a group more and a group less, the third untouched",
			"vips:\n" + group("a", "1", "192.0.2.1") + group("b", "2", "192.0.2.2"),
			"vips:\n" + group("c", "3", "192.0.2.3") + group("b", "2", "192.0.2.2"),
			Difference{Added: []string{"c"}, Removed: []string{"a"}, Unchanged: []string{"b"}},
		},
		{
			"another order of the groups is no change",
			"vips:\n" + group("a", "1", "192.0.2.1") + group("b", "2", "192.0.2.2"),
			"vips:\n" + group("b", "2", "192.0.2.2") + group("a", "1", "192.0.2.1"),
			Difference{Unchanged: []string{"b", "a"}},
		},
		{
			"the first of two groups without names goes: the second keeps its address under another name",
			"vips: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.2]}]",
			"vips: [{addresses: [192.0.2.2]}]",
			Difference{
				Removed: []string{"vip1"},
				Changed: []GroupChange{{Name: "vip1", Was: "vip2", Keys: []string{"name"}, Aspects: AspectName}},
			},
		},
		{
			"two groups swap their names: the addresses tell them apart",
			"vips:\n" + group("a", "1", "192.0.2.1") + group("b", "2", "192.0.2.2"),
			"vips:\n" + group("b", "1", "192.0.2.1") + group("a", "2", "192.0.2.2"),
			Difference{Changed: []GroupChange{
				{Name: "b", Was: "a", Keys: []string{"name"}, Aspects: AspectName},
				{Name: "a", Was: "b", Keys: []string{"name"}, Aspects: AspectName},
			}},
		},
		{
			"a group gets a wholly new address under its old name",
			"vips:\n" + group("a", "1", "192.0.2.1"),
			"vips:\n" + group("a", "1", "192.0.2.9"),
			Difference{Changed: []GroupChange{{
				Name: "a", Was: "a", Keys: []string{"addresses", "endpoint"}, Aspects: AspectAddresses | AspectService,
				AddressesAdded: addresses("192.0.2.9"), AddressesRemoved: addresses("192.0.2.1"),
			}}},
		},
		{
			"a group is split: it keeps its name, the part that left is new",
			"vips:\n" + group("a", "1", "192.0.2.1, 192.0.2.2"),
			"vips:\n" + group("b", "2", "192.0.2.2") + group("a", "1", "192.0.2.1"),
			Difference{
				Added: []string{"b"},
				Changed: []GroupChange{{
					Name: "a", Was: "a", Keys: []string{"addresses"}, Aspects: AspectAddresses, AddressesRemoved: addresses("192.0.2.2"),
				}},
			},
		},
		{
			"the order of the addresses alone",
			"vips:\n" + group("a", "1", "192.0.2.1, 192.0.2.2"),
			"vips:\n" + group("a", "1", "192.0.2.2, 192.0.2.1"),
			Difference{Changed: []GroupChange{{
				Name: "a", Was: "a", Keys: []string{"addresses", "endpoint"}, Aspects: AspectAddresses | AspectService,
			}}},
		},
		{
			"the family of the adverts makes it another election",
			"vips:\n- {addresses: [192.0.2.1, \"2001:db8::1\"], endpoint: \"c:1\"}\n",
			"vips:\n- {addresses: [\"2001:db8::1\", 192.0.2.1], endpoint: \"c:1\"}\n",
			Difference{Changed: []GroupChange{{
				Name: "vip1", Was: "vip1", Keys: []string{"addresses"}, Aspects: AspectAddresses | AspectElector,
			}}},
		},
		{
			"only priority and interval",
			"vips: [{addresses: [192.0.2.10]}]",
			"vips: [{addresses: [192.0.2.10], vrrp: {priority: 210, advert_interval: 1s}}]",
			Difference{Changed: []GroupChange{{
				Name: "vip1", Was: "vip1", Keys: []string{"vrrp.advert_interval", "vrrp.priority"}, Aspects: AspectParameters,
			}}},
		},
		{
			"one of three checks changed, one is new, one went",
			"vips: [{addresses: [192.0.2.10], health: [{name: a}, {name: b}, {name: c}]}]",
			"vips: [{addresses: [192.0.2.10], health: [{name: d}, {name: b, fall: 3}, {name: a}]}]",
			Difference{Changed: []GroupChange{{
				Name: "vip1", Was: "vip1", Keys: []string{"health"}, Aspects: AspectHealth,
				ChecksAdded: []string{"d"}, ChecksRemoved: []string{"c"}, ChecksChanged: []string{"b"},
			}}},
		},
		{
			"daemon keys only: no group is touched",
			"vips: [{addresses: [192.0.2.10]}]",
			"{vips: [{addresses: [192.0.2.10]}], log: {level: debug, format: json}}",
			Difference{Unchanged: []string{"vip1"}, Live: []string{"log.level"}, Restart: []string{"log.format"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Diff(parsed(t, row.old), parsed(t, row.new))
			if diff := cmp.Diff(row.want, got, addressesEqual()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestAspectNamesItsParts(t *testing.T) {
	for _, row := range []struct {
		aspects Aspect
		want    string
	}{
		{0, ""},
		{AspectName, "name"},
		{AspectHealth, "health"},
		{AspectAddresses | AspectElector | AspectPeers, "addresses,elector,peers"},
	} {
		if got := row.aspects.String(); got != row.want {
			t.Errorf("%#x: got %q, want %q", uint16(row.aspects), got, row.want)
		}
	}
}
