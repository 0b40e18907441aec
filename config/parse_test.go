package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// addressesEqual lets cmp compare netip values.
func addressesEqual() cmp.Option {
	return cmp.Options{
		cmpopts.EquateComparable(netip.Addr{}),
	}
}

// parsed is the configuration of a file that must be good.
func parsed(t *testing.T, file string) *Config {
	t.Helper()
	c, err := Parse("vipd.yaml", []byte(file))
	if err != nil {
		t.Fatalf("Parse:\n%v\nof:\n%s", err, file)
	}
	return c
}

// apiserverCheck is the check of a group without health.
func apiserverCheck() Check {
	return Check{
		Type:        CheckHTTPS,
		Name:        "apiserver",
		URL:         "https://127.0.0.1:6443/readyz",
		LivenessURL: "https://127.0.0.1:6443/livez",
		CAFile:      "/etc/kubernetes/pki/ca.crt",
		Interval:    time.Second,
		Timeout:     time.Second,
		Rise:        1,
		Fall:        2,
	}
}

// smallest is what `vips: [{addresses: [192.0.2.10]}]` stands for on node cp1.
func smallest() *Config {
	return &Config{
		Node:    "cp1",
		Cluster: "kubernetes",
		Hello:   Hello{Enabled: true, Port: 9651},
		VIPs: []VIP{{
			Name:      "vip1",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
			Port:      6443,
			Endpoint:  "192.0.2.10:6443",
			Announce:  AnnounceL2,
			Election:  ElectionVRRP,
			Fence:     3 * time.Second,
			VRRP: VRRP{
				VRID:              10,
				Version:           3,
				AdvertInterval:    100 * time.Millisecond,
				Priority:          200,
				UnhealthyPriority: 100,
				Preempt:           PreemptBand,
				Checksum:          ChecksumAuto,
			},
			Etcd:     Lease{TTL: 5 * time.Second, Bootstrap: BootstrapVRRP, WithoutEtcd: WithoutEtcdRelease},
			GARP:     GARP{Burst: 5, Refresh: time.Minute},
			Handover: Handover{Preserve: true, Grace: 10 * time.Minute},
			Health:   []Check{apiserverCheck()},
		}},
		BGP: BGP{
			MED:         100,
			Unhealthy:   Worse{Prepend: 3, MED: 1000, GracefulShutdown: true},
			Leaving:     Leaving{Worse: Worse{Prepend: 3, MED: 1000, GracefulShutdown: true}, Wait: time.Second},
			ReturnDelay: 10 * time.Second,
		},
		Drain:   Drain{Timeout: 30 * time.Second, ShutdownTimeout: 4 * time.Second},
		Metrics: Metrics{Listen: "127.0.0.1:9650"},
		Control: Control{Socket: "/run/vipd/vipd.sock", Group: "vipd-admin"},
		Etcd: Etcd{
			Endpoints: []string{"https://127.0.0.1:2379"},
			CAFile:    "/etc/kubernetes/pki/etcd/ca.crt",
			CertFile:  "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
			KeyFile:   "/etc/kubernetes/pki/etcd/healthcheck-client.key",
		},
		StateDir: "/run/vipd",
		DataDir:  "/var/lib/vipd",
		Log:      Log{Level: slog.LevelInfo, Format: LogText},
	}
}

func TestParseFillsInDefaults(t *testing.T) {
	for _, row := range []struct {
		name string
		file string
		want func(c *Config, v *VIP)
	}{
		{
			"one line is enough",
			`vips: [{addresses: [192.0.2.10]}]`,
			func(*Config, *VIP) {},
		},
		{
			"empty text stands for the default where there is one to derive",
			`vips: [{name: "", addresses: [192.0.2.10], endpoint: "", interface: "", health: [{name: "", url: ""}]}]`,
			func(*Config, *VIP) {},
		},
		{
			"a host prefix may be written",
			`vips: [{addresses: [192.0.2.10/32]}]`,
			func(*Config, *VIP) {},
		},
		{
			"hellos may be turned off, and have peers of both families",
			`{cluster: prod, auth_key_file: /key, hello: {enabled: false, peers: [192.0.2.11, "2001:db8::11"]}, vips: [{addresses: [192.0.2.10]}]}`,
			func(c *Config, _ *VIP) {
				c.Cluster, c.AuthKeyFile, c.Hello.Enabled = "prod", "/key", false
				c.Hello.Peers = addresses("192.0.2.11", "2001:db8::11")
			},
		},
		{
			"an IPv6 group takes VRID and endpoint from its address",
			`vips: [{addresses: ["2001:db8::aB"], port: 8443}]`,
			func(_ *Config, v *VIP) {
				v.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::ab")}
				v.VRRP.VRID = 0xab
				v.Port = 8443
				v.Endpoint = "[2001:db8::ab]:8443"
				v.Health[0].URL = "https://127.0.0.1:8443/readyz"
				v.Health[0].LivenessURL = "https://127.0.0.1:8443/livez"
			},
		},
		{
			"an empty list of checks stays empty",
			`vips: [{addresses: [192.0.2.10], health: []}]`,
			func(_ *Config, v *VIP) { v.Health = nil },
		},
		{
			"a check without a URL is that of the API server",
			`vips: [{addresses: [192.0.2.10], health: [{interval: 200ms, fall: 5}]}]`,
			func(_ *Config, v *VIP) {
				v.Health[0].Interval = 200 * time.Millisecond
				v.Health[0].Fall = 5
			},
		},
		{
			"a check with a URL asks for liveness only when told",
			`vips: [{addresses: [192.0.2.10], health: [{url: "https://[::1]:6443/readyz"}]}]`,
			func(_ *Config, v *VIP) {
				v.Health[0].Name = "check1"
				v.Health[0].URL = "https://[::1]:6443/readyz"
				v.Health[0].LivenessURL = ""
			},
		},
		{
			"empty text switches off the CA and the liveness of the default check",
			`vips: [{addresses: [192.0.2.10], health: [{ca_file: "", liveness_url: ""}]}]`,
			func(_ *Config, v *VIP) { v.Health[0].CAFile, v.Health[0].LivenessURL = "", "" },
		},
		{
			"a kubeconfig takes the place of kubeadm's CA",
			`vips: [{addresses: [192.0.2.10], health: [{kubeconfig: /etc/vipd/kubeconfig}]}]`,
			func(_ *Config, v *VIP) { v.Health[0].CAFile, v.Health[0].Kubeconfig = "", "/etc/vipd/kubeconfig" },
		},
		{
			"insecure needs no CA",
			`vips: [{addresses: [192.0.2.10], health: [{insecure: true}]}]`,
			func(_ *Config, v *VIP) { v.Health[0].CAFile, v.Health[0].Insecure = "", true },
		},
		{
			"keys of other types may stand there empty",
			`vips: [{addresses: [192.0.2.10], health: [{type: tcp, address: "localhost:22", url: "", insecure: false, command: []}]}]`,
			func(_ *Config, v *VIP) {
				v.Health = []Check{{Type: CheckTCP, Name: "check1", Address: "localhost:22", Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 2}}
			},
		},
		{
			"arguments of a command may be anything",
			`vips: [{addresses: [192.0.2.10], health: [{type: exec, command: [/bin/x, "", 7, "null", "two\nlines"]}]}]`,
			func(_ *Config, v *VIP) {
				v.Health = []Check{{Type: CheckExec, Name: "check1", Command: []string{"/bin/x", "", "7", "null", "two\nlines"}, Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 2}}
			},
		},
		{
			"the ends of the ranges of the election are in them",
			`vips: [{addresses: [192.0.2.10], vrrp: {vrid: 255, advert_interval: 40.95s, priority: 254, unhealthy_priority: 2, preempt: always, preempt_delay: 1h}}]`,
			func(_ *Config, v *VIP) {
				v.VRRP.VRID = 255
				v.VRRP.AdvertInterval = 40950 * time.Millisecond
				v.VRRP.Priority = 254
				v.VRRP.UnhealthyPriority = 2
				v.VRRP.Preempt = PreemptAlways
				v.VRRP.PreemptDelay = time.Hour
			},
		},
		{
			"and so are the other ends",
			`vips: [{addresses: [192.0.2.10], vrrp: {vrid: 1, advert_interval: 10ms, priority: 128, unhealthy_priority: 127}}]`,
			func(_ *Config, v *VIP) {
				v.VRRP.VRID = 1
				v.VRRP.AdvertInterval = 10 * time.Millisecond
				v.VRRP.Priority = 128
				v.VRRP.UnhealthyPriority = 127
			},
		},
		{
			"version 2 advertises each second, unless something else is written",
			`vips: [{addresses: [192.0.2.10], vrrp: {version: 2, password: k8s vip}}]`,
			func(_ *Config, v *VIP) {
				v.VRRP.Version = 2
				v.VRRP.AdvertInterval = time.Second
				v.VRRP.Password = "k8s vip"
			},
		},
		{
			"version 2 has intervals of up to 255 s",
			`vips: [{addresses: [192.0.2.10], vrrp: {version: 2, advert_interval: 255s}}]`,
			func(_ *Config, v *VIP) {
				v.VRRP.Version = 2
				v.VRRP.AdvertInterval = 255 * time.Second
			},
		},
		{
			"a password is for the version 2 adverts that are heard, too",
			`vips: [{addresses: [192.0.2.10], vrrp: {password: "12345678"}}]`,
			func(_ *Config, v *VIP) { v.VRRP.Password = "12345678" },
		},
		{
			"zero switches fence and refresh off, with or without a unit",
			`vips: [{addresses: [192.0.2.10], fence: 0, garp: {refresh: 0s}}]`,
			func(_ *Config, v *VIP) { v.Fence, v.GARP.Refresh = 0, 0 },
		},
		{
			"peers and a peers file go together",
			`vips: [{addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11, 192.0.2.12], peers_file: /etc/vipd/peers}}]`,
			func(_ *Config, v *VIP) {
				v.VRRP.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")}
				v.VRRP.PeersFile = "/etc/vipd/peers"
			},
		},
		{
			"members of etcd, and addresses that etcd does not tell",
			"vips: [{addresses: [192.0.2.10], vrrp: {peers: [192.0.2.11, etcd]}}]\nhello: {peers: [etcd]}\netcd: {endpoints: [\"http://192.0.2.11:2379\", \"http://[2001:db8::11]:2379\"], ca_file: \"\", cert_file: \"\", key_file: \"\"}\n",
			func(c *Config, v *VIP) {
				v.VRRP.Peers, v.VRRP.EtcdPeers, c.Hello.EtcdPeers = addresses("192.0.2.11"), true, true
				c.Etcd = Etcd{Endpoints: []string{"http://192.0.2.11:2379", "http://[2001:db8::11]:2379"}}
			},
		},
		{
			"no metrics listener",
			`{vips: [{addresses: [192.0.2.10]}], metrics: {listen: ""}}`,
			func(c *Config, _ *VIP) { c.Metrics.Listen = "" },
		},
		{
			"keys of the daemon",
			"vips: [{addresses: [192.0.2.10]}]\nstate_dir: /var/x\nlog: {level: warn, format: json}\ncontrol: {group: \"\", socket: /run/x}\ndrain: {shutdown_timeout: 0s, timeout: 2m}\nmetrics: {listen: \":9\", web_config: /w}",
			func(c *Config, _ *VIP) {
				c.StateDir = "/var/x"
				c.Log = Log{Level: slog.LevelWarn, Format: LogJSON}
				c.Control = Control{Socket: "/run/x"}
				c.Drain = Drain{Timeout: 2 * time.Minute}
				c.Metrics = Metrics{Listen: ":9", WebConfig: "/w"}
			},
		},
		{
			"comments, a document marker and a byte order mark",
			"\ufeff# vipd\n---\nvips: # groups\n  - addresses: [192.0.2.10]\n...\n",
			func(*Config, *VIP) {},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := smallest()
			row.want(want, &want.VIPs[0])
			got := parsed(t, row.file)
			got.Node = "cp1"
			if diff := cmp.Diff(want, got, addressesEqual()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestParseNamesTheNode(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("this host has no name:", err)
	}
	if got := parsed(t, "vips: [{addresses: [192.0.2.10]}]").Node; got != host {
		t.Errorf("without a node key: %q, want the host name %q", got, host)
	}
	if got := parsed(t, "node: 1234\nvips: [{addresses: [192.0.2.10]}]").Node; got != "1234" {
		t.Errorf("a number is a name as well: got %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		file string
		want []string
	}{
		// The file.
		{"an empty file", "", []string{"f: is empty; the smallest configuration is one line: vips: [{addresses: [192.0.2.10]}]"}},
		{"only comments", "# nothing\n", []string{"f: is empty; the smallest configuration is one line: vips: [{addresses: [192.0.2.10]}]"}},
		{"an empty document", "---\n", []string{"f: is empty; the smallest configuration is one line: vips: [{addresses: [192.0.2.10]}]"}},
		{"two documents", "vips: [{addresses: [192.0.2.10]}]\n---\nnode: x\n", []string{"f:2: a second YAML document starts here; write one only"}},
		{"rubbish after the document", "vips: []\n...\n}\n", []string{"f:3: not valid YAML, here or in what starts here: did not find expected <document start>"}},
		{"a list", "- vips\n", []string{"f:1: must be keys with values, here is a list"}},
		{"a word", "vips\n", []string{"f:1: must be keys with values, here is a single value"}},
		{"a tab before a key", "vips:\n\t- addresses: [192.0.2.10]\n", []string{"f:2: is indented with a tab; YAML indents with spaces"}},
		{"a tab after spaces", "vips:\n  # \tfine\n  - name: a\n  \tport: 1\n", []string{"f:4: is indented with a tab; YAML indents with spaces"}},
		{"a bracket left open", "node: a\nvips: [{addresses: [192.0.2.10]}\ndrain: {}\n", []string{"f:2: not valid YAML, here or in what starts here: did not find expected ',' or ']'"}},
		{"a bracket left open on the first line", "vips: [1\n", []string{"f:1: not valid YAML, here or in what starts here: did not find expected ',' or ']'"}},
		{"two colons", "vips: a: b\n", []string{"f:1: not valid YAML: mapping values are not allowed in this context"}},
		{"an unknown alias", "vips: *x\n", []string{"f:1: not valid YAML: unknown anchor 'x' referenced"}},
		{"a byte that is not UTF-8", "node: a\nvips: \xff\n", []string{"f:2: holds the byte 0xff, which is not UTF-8"}},
		{"UTF-16", "\xff\xfev\x00", []string{"f:1: holds the byte 0xff, which is not UTF-8"}},
		{"a zero byte", "node: a\n\x00", []string{"f:2: holds the control character 0x00"}},
		{"a flow too deep", "vips: " + strings.Repeat("[", 20000), []string{"f:1: not valid YAML: exceeded max depth of 10000"}},
		{"a deep list where none is wanted", "node: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), []string{
			"f: vips: has no group; write at least vips: [{addresses: [192.0.2.10]}]",
			"f:1: node: must be a single value, here is a list",
		}},
		{"a file too large", "#" + strings.Repeat("x", maxSize), []string{"f: is larger than 1024 KiB; this is no configuration of vipd"}},

		{"a list that nobody wrote by hand", "vips: [" + strings.Repeat("{},", 1001) + "]\n", []string{"f:1: vips: has 1001 elements; at most 1000 are read"}},

		// Keys.
		{"no groups", "node: a\n", []string{"f: vips: has no group; write at least vips: [{addresses: [192.0.2.10]}]"}},
		{"an empty list of groups", "node: a\nvips: []\n", []string{"f:2: vips: has no group; write at least vips: [{addresses: [192.0.2.10]}]"}},
		{"a group instead of a list", "vips:\n  addresses: [192.0.2.10]\n", []string{"f:1: vips: must be a list, here is keys with values"}},
		{"an address instead of a list", "vips:\n- addresses: 192.0.2.10\n", []string{"f:2: vips[0].addresses: must be a list, here is a single value"}},
		{"an address instead of a group", "vips: [192.0.2.10]\n", []string{"f:1: vips[0]: must be keys with values, here is a single value"}},
		{"a section as an element of text", "vips: [{addresses: [{a: b}]}]\n", []string{"f:1: vips[0].addresses[0]: must be a single value, here is keys with values"}},
		{"a key without a value", "vips:\n- addresses: [192.0.2.10]\n  health:\n", []string{"f:3: vips[0].health: has no value; write one or remove the key"}},
		{"an element without a value", "vips:\n- addresses: [192.0.2.10]\n-\n", []string{"f:3: vips[1]: has no value; write one or remove the key"}},
		{"a key twice", "vips: [{addresses: [192.0.2.10]}]\nnode: a\nnode: b\n", []string{"f:3: node: is already on line 2; write each key once"}},
		{"a group's key twice", "vips:\n- port: 1\n  addresses: [192.0.2.10]\n  port: 1\n", []string{"f:4: vips[0].port: is already on line 2; write each key once"}},
		{"an unknown key", "vips: [{addresses: [192.0.2.10]}]\nospf:\n  area: 1\n", []string{"f:2: ospf: unknown key"}},
		{"a misspelt key, whose absence is not reported too", "vips:\n- address: [192.0.2.10]\n", []string{"f:2: vips[0].address: unknown key; did you mean addresses?"}},
		{"a key in another spelling", "vips: [{addresses: [192.0.2.10], trackInterfaces: [a]}]\n", []string{"f:1: vips[0].trackInterfaces: unknown key; did you mean track_interfaces?"}},
		{"a key with two letters swapped", "vips: [{addresses: [192.0.2.10], vrrp: {virdd: 1, pirority: 200}}]\n", []string{
			"f:1: vips[0].vrrp.virdd: unknown key",
			"f:1: vips[0].vrrp.pirority: unknown key; did you mean priority?",
		}},
		{"a key of another section", "vips:\n- addresses: [192.0.2.10]\n  priority: 200\n", []string{"f:3: vips[0].priority: unknown key here; it belongs to vips[].vrrp"}},
		{"a key that cannot stand in a line", "vips: [{addresses: [192.0.2.10]}]\n\"a\\nb\": 1\n", []string{`f:2: "a\nb": unknown key`}},
		{"a list as a key", "vips: [{addresses: [192.0.2.10]}]\n? [a]\n: b\n", []string{"f:2: has a key that is not a plain word"}},
		{"an alias", "vips: [&a {addresses: [192.0.2.10]}, *a]\n", []string{
			"f:1: vips[0]: anchors and aliases are not supported; write the value out",
			"f:1: vips[1]: anchors and aliases are not supported; write the value out",
		}},
		{"a merge", "vips:\n- addresses: [192.0.2.10]\n  <<: {port: 1}\n", []string{"f:3: vips[0]: has a key that is not a plain word"}},
		{"a tag", "node: !!binary YQ==\nvips: [{addresses: [192.0.2.10]}]\n", []string{"f:1: node: tags are not supported; remove !!binary"}},
		{"all at once, in the order of the lines", "drain: {timeout: 3}\nvips:\n- addresses: [192.0.2.0]\n  prot: 1\n- name: vip1\n  addresses: [192.0.2.0]\n  vrrp:\n    priority: 100\nnode: \"-\"\n", []string{
			"f:1: drain.timeout: 3 has no unit; write 3s for seconds",
			"f:3: vips[0].vrrp.vrid: the last byte of 192.0.2.0 is 0, which is no VRID; write one of 1 to 255",
			"f:4: vips[0].prot: unknown key; did you mean port?",
			"f:5: vips[1].name: vip1 is also the name of vips[0]",
			"f:6: vips[1].addresses[0]: overlapping groups: 192.0.2.0 is also in vips[0]",
			"f:7: vips[1].vrrp.vrid: the last byte of 192.0.2.0 is 0, which is no VRID; write one of 1 to 255",
			"f:8: vips[1].vrrp.priority: 100 is in the unhealthy range; use 128 to 254",
			"f:9: node: - is no host name",
		}},

		// Keys of the daemon.
		{"sockets and directories", "vips: [{addresses: [192.0.2.10]}]\ncontrol: {socket: \"\", group: a b}\nstate_dir: run\n", []string{
			`f:2: control.socket: "" is not an absolute path`,
			`f:2: control.group: "a b" is no name of a user group`,
			"f:3: state_dir: run is not an absolute path",
		}},
		{"a socket path that the kernel cannot take", "vips: [{addresses: [192.0.2.10]}]\ncontrol: {socket: /" + strings.Repeat("x", 107) + "}\n", []string{
			`f:2: control.socket: "/` + strings.Repeat("x", 63) + `"... is too long for a unix socket; use at most 107 bytes`,
		}},
		{"listeners", "vips: [{addresses: [192.0.2.10]}]\nmetrics:\n  listen: 127.0.0.1\n  web_config: web.yaml\n", []string{
			"f:3: metrics.listen: 127.0.0.1 is not host:port",
			"f:4: metrics.web_config: web.yaml is not an absolute path",
		}},
		{"a port out of range", "vips: [{addresses: [192.0.2.10]}]\nmetrics: {listen: \":0\"}\n", []string{"f:2: metrics.listen: port 0 is out of range; use 1 to 65535"}},
		{"logs", "vips: [{addresses: [192.0.2.10]}]\nlog:\n  level: INFO+1\n  format: syslog\n", []string{
			"f:3: log.level: INFO+1 is unknown; use debug, info, warn or error",
			"f:4: log.format: syslog is unknown; use text, json or journal",
		}},
		{"negative durations", "vips: [{addresses: [192.0.2.10]}]\ndrain:\n  timeout: -1s\n  shutdown_timeout: -1ns\n", []string{
			"f:3: drain.timeout: -1s is out of range; use 100ms to 1h",
			"f:4: drain.shutdown_timeout: -1ns is out of range; use 0s to 5m",
		}},

		// Groups.
		{"names", "vips: [{name: a b, addresses: [192.0.2.10]}, {name: -x, addresses: [192.0.2.11]}]\n", []string{
			`f:1: vips[0].name: "a b" is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first`,
			`f:1: vips[1].name: -x is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first`,
		}},
		{"a default name that is taken", "vips:\n- name: vip2\n  addresses: [192.0.2.10]\n- addresses: [192.0.2.11]\n", []string{"f:4: vips[1].name: vip2 is also the name of vips[0]"}},
		{"no addresses", "vips:\n- name: a\n- addresses: []\n", []string{
			"f:2: vips[0].addresses: needs at least one address",
			"f:3: vips[1].addresses: needs at least one address",
		}},
		{"addresses that hosts cannot have", "vips:\n- addresses:\n  - 224.0.0.18\n  - 127.0.0.1\n  - 0.0.0.0\n  - 0.0.0.1\n  - 255.255.255.255\n  - ::ffff:192.0.2.10\n  - fe80::1%eth0\n  - ff02::12\n  - ::1\n  - \"::\"\n  - 192.0.2\n  - 192.0.2.10/24\n  - 192.0.2.10/032\n  - 2001:db8::1/64\n  - cp1\n", []string{
			"f:3: vips[0].addresses[0]: 224.0.0.18 is a multicast address",
			"f:4: vips[0].addresses[1]: 127.0.0.1 is a loopback address",
			"f:5: vips[0].addresses[2]: 0.0.0.0 is the unspecified address",
			"f:6: vips[0].addresses[3]: 0.0.0.1 is in 0.0.0.0/8, which hosts cannot have",
			"f:7: vips[0].addresses[4]: 255.255.255.255 is the broadcast address",
			"f:8: vips[0].addresses[5]: ::ffff:192.0.2.10 is an IPv4 address in IPv6 form; write 192.0.2.10",
			"f:9: vips[0].addresses[6]: fe80::1%eth0 has a zone; write the address without it",
			"f:10: vips[0].addresses[7]: ff02::12 is a multicast address",
			"f:11: vips[0].addresses[8]: ::1 is a loopback address",
			"f:12: vips[0].addresses[9]: :: is the unspecified address",
			"f:13: vips[0].addresses[10]: 192.0.2 is no IP address",
			"f:14: vips[0].addresses[11]: 192.0.2.10/24 has a prefix length other than /32; write 192.0.2.10",
			"f:15: vips[0].addresses[12]: 192.0.2.10/032 has a prefix length other than /32; write 192.0.2.10",
			`f:16: vips[0].addresses[13]: "2001:db8::1/64" has a prefix length other than /128; write 2001:db8::1`,
			"f:17: vips[0].addresses[14]: cp1 is no IP address",
		}},
		{"an address twice in a group", "vips:\n- addresses:\n  - 2001:db8::1\n  - 2001:DB8:0::1/128\n", []string{"f:4: vips[0].addresses[1]: 2001:db8::1 is in the list twice"}},
		{"overlapping groups", "vips:\n- addresses: [192.0.2.10]\n- addresses: [192.0.2.11, 192.0.2.10]\n", []string{"f:3: vips[1].addresses[1]: overlapping groups: 192.0.2.10 is also in vips[0]"}},
		{"more addresses than an advert has room for", "vips: [{addresses: [" + hundredAddresses() + "]}]\n", []string{"f:1: vips[0].addresses: has 100 addresses; an advert has room for 77"}},
		{"ports", "vips: [{addresses: [192.0.2.10], port: 0}, {addresses: [192.0.2.11], port: 65536}, {addresses: [192.0.2.12], port: 0x50}, {addresses: [192.0.2.13], port: 0443}, {addresses: [192.0.2.14], port: 99999999999999999999}]\n", []string{
			"f:1: vips[0].port: 0 is out of range; use 1 to 65535",
			"f:1: vips[1].port: 65536 is out of range; use 1 to 65535",
			"f:1: vips[2].port: 0x50 is no whole number; use 1 to 65535",
			"f:1: vips[3].port: 0443 has a leading zero; write 443",
			"f:1: vips[4].port: 99999999999999999999 is out of range; use 1 to 65535",
		}},
		{"endpoints", "vips: [{addresses: [192.0.2.10], endpoint: cluster}, {addresses: [192.0.2.11], endpoint: \"a b:1\"}, {addresses: [192.0.2.12], endpoint: \"1.2.3:1\"}, {addresses: [192.0.2.13], endpoint: \"a:https\"}]\n", []string{
			"f:1: vips[0].endpoint: cluster is not host:port",
			`f:1: vips[1].endpoint: "a b" is no host name`,
			"f:1: vips[2].endpoint: 1.2.3 is no address",
			"f:1: vips[3].endpoint: port https is no whole number; use 1 to 65535",
		}},
		{"interfaces", "vips:\n- addresses: [192.0.2.10]\n  interface: lo\n- addresses: [192.0.2.11]\n  interface: abcdefghijklmnop\n  track_interfaces: [a/b, eth1, eth1]\n", []string{
			"f:3: vips[0].interface: lo has no neighbours to advertise to; write the interface of the subnet",
			"f:5: vips[1].interface: abcdefghijklmnop is no interface name; those have 1 to 15 bytes without '/', ':' and spaces",
			"f:6: vips[1].track_interfaces[0]: a/b is no interface name; those have 1 to 15 bytes without '/', ':' and spaces",
			"f:6: vips[1].track_interfaces[2]: eth1 is in the list twice",
		}},
		{"a link-local address without an interface", "vips: [{addresses: [\"fe80::1\"]}]\n", []string{"f:1: vips[0].interface: fe80::1 is link-local, which every interface has a subnet for; write the interface"}},
		{"hellos", `
cluster: ""
auth_key_file: hello.key
hello: {enabled: maybe, port: 0, peers: [192.0.2.10, 192.0.2.11, 192.0.2.11, "::1"]}
vips: [{addresses: [192.0.2.10]}]`, []string{
			`f:2: cluster: "" is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first`,
			`f:3: auth_key_file: hello.key is not an absolute path`,
			`f:4: hello.enabled: maybe is neither true nor false`,
			`f:4: hello.port: 0 is out of range; use 1 to 65535`,
			`f:4: hello.peers[3]: ::1 is a loopback address`,
			`f:4: hello.peers[0]: 192.0.2.10 is a VIP; write the node's own address`,
			`f:4: hello.peers[2]: 192.0.2.11 is in the list twice`,
		}},
		{"what other versions do", "vips:\n- addresses: [192.0.2.10]\n  announce: rip\n  election: raft\n", []string{
			"f:3: vips[0].announce: rip is unknown; use l2, bgp or local",
			"f:4: vips[0].election: raft is unknown; use vrrp, etcd or none",
		}},
		{"leases", `vips:
- addresses: [192.0.2.10]
  election: etcd
  etcd: {ttl: 2s, bootstrap: rip, without_etcd: hold}
- {addresses: [192.0.2.11], election: etcd, etcd: {ttl: 3500ms}, vrrp: {preempt: always}}
- {addresses: [192.0.2.12], election: etcd, fence: 0s}
- {addresses: [192.0.2.13], etcd: {ttl: 10s}}
- {name: a/b, addresses: [192.0.2.14], election: etcd}
cluster: a/b
`, []string{
			"f:4: vips[0].etcd.ttl: 2s is out of range; use 3s to 10m in steps of 1s",
			"f:4: vips[0].etcd.bootstrap: rip is unknown; use vrrp or none",
			"f:4: vips[0].etcd.without_etcd: hold is unknown; use release or keep",
			"f:5: vips[1].etcd.ttl: 3500ms is not a multiple of 1s; use 3s to 10m in steps of 1s",
			"f:5: vips[1].vrrp.preempt: always is for election: vrrp; a lease stays where it is while its holder is healthy",
			"f:6: vips[2].fence: 0s lets a frozen daemon keep the VIP beyond its lease; write 1s or more",
			"f:7: vips[3].etcd: is for election: etcd; this group's is vrrp",
			"f:8: vips[4].name: a/b is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first",
			"f:9: cluster: a/b is no name; use letters, digits, '.', '-' and '_', at most 63, a letter or digit first",
		}},
		{"fences", "vips: [{addresses: [192.0.2.10], fence: 1500ms}, {addresses: [192.0.2.11], fence: 500ms}, {addresses: [192.0.2.12], fence: 1h}, {addresses: [192.0.2.13], fence: 3}]\n", []string{
			"f:1: vips[0].fence: 1500ms is not a multiple of 1s; use 0s, or 1s to 1m in steps of 1s",
			"f:1: vips[1].fence: 500ms is out of range; use 0s, or 1s to 1m in steps of 1s",
			"f:1: vips[2].fence: 1h is out of range; use 0s, or 1s to 1m in steps of 1s",
			"f:1: vips[3].fence: 3 has no unit; write 3s for seconds",
		}},
		{"announcements", "vips: [{addresses: [192.0.2.10], garp: {burst: 0, refresh: 10ms}}]\n", []string{
			"f:1: vips[0].garp.burst: 0 is out of range; use 1 to 100",
			"f:1: vips[0].garp.refresh: 10ms is out of range; use 0s, or 1s to 24h",
		}},
		{"moves", "vips: [{addresses: [192.0.2.10], handover: {preserve: 1, grace: 1s}}]\n", []string{
			"f:1: vips[0].handover.preserve: 1 is neither true nor false",
			"f:1: vips[0].handover.grace: 1s is out of range; use 5s to 24h",
		}},

		// The election.
		{"a VRID that is none", "vips: [{addresses: [192.0.2.10], vrrp: {vrid: 0}}, {addresses: [192.0.2.11], vrrp: {vrid: 256}}, {addresses: [192.0.2.12], vrrp: {vrid: x}}]\n", []string{
			"f:1: vips[0].vrrp.vrid: 0 is out of range; use 1 to 255",
			"f:1: vips[1].vrrp.vrid: 256 is out of range; use 1 to 255",
			"f:1: vips[2].vrrp.vrid: x is no whole number; use 1 to 255",
		}},
		{"the same VRID while both interfaces are to be found", "vips:\n- addresses: [192.0.2.10]\n- addresses: [198.51.100.10]\n", []string{
			"f:3: vips[1].vrrp.vrid: 10 is also the VRID of vips[0], and both leave the interface to be found; write another VRID, or an interface for each",
		}},
		{"the same VRID on one interface", "vips:\n- {addresses: [192.0.2.10], interface: eth0}\n- {addresses: [192.0.2.20], interface: eth0, vrrp: {vrid: 10}}\n", []string{
			"f:3: vips[1].vrrp.vrid: 10 is also the VRID of vips[0] on eth0; write another",
		}},
		{"intervals that the advert cannot say", "vips: [{addresses: [192.0.2.10], vrrp: {advert_interval: 15ms}}, {addresses: [192.0.2.11], vrrp: {advert_interval: 41s}}, {addresses: [192.0.2.12], vrrp: {advert_interval: 1}}, {addresses: [192.0.2.13], vrrp: {advert_interval: soon}}, {addresses: [192.0.2.14], vrrp: {advert_interval: 0}}]\n", []string{
			"f:1: vips[2].vrrp.advert_interval: 1 has no unit; write 1s for seconds",
			"f:1: vips[3].vrrp.advert_interval: soon is no duration; write a number and a unit, such as 100ms, 3s or 10m",
			"f:1: vips[0].vrrp.advert_interval: 15ms is not a multiple of 10ms; use 10ms to 40.95s in steps of 10ms",
			"f:1: vips[1].vrrp.advert_interval: 41s is out of range; use 10ms to 40.95s in steps of 10ms",
			"f:1: vips[4].vrrp.advert_interval: 0s is out of range; use 10ms to 40.95s in steps of 10ms",
		}},
		{"intervals that a version 2 advert cannot say", "vips:\n- {addresses: [192.0.2.10], vrrp: {version: 2, advert_interval: 100ms}}\n- {addresses: [192.0.2.11], vrrp: {version: 2, advert_interval: 1500ms}}\n- {addresses: [192.0.2.12], vrrp: {version: 2, advert_interval: 256s}}\n", []string{
			"f:2: vips[0].vrrp.advert_interval: 100ms is out of range; use 1s to 4m15s in steps of 1s (version 2)",
			"f:3: vips[1].vrrp.advert_interval: 1.5s is not a multiple of 1s; use 1s to 4m15s in steps of 1s (version 2)",
			"f:4: vips[2].vrrp.advert_interval: 4m16s is out of range; use 1s to 4m15s in steps of 1s (version 2)",
		}},
		{"versions that there are not", "vips:\n- {addresses: [192.0.2.10], vrrp: {version: 1}}\n- {addresses: [\"2001:db8::11\"], vrrp: {version: 2}}\n", []string{
			"f:2: vips[0].vrrp.version: 1 is out of range; use 2 to 3",
			"f:3: vips[1].vrrp.version: 2 is for IPv4 only, and the group's adverts are IPv6, as its first address; use 3, or write an IPv4 address first",
		}},
		{"passwords that no advert can carry", "vips:\n- {addresses: [192.0.2.10], vrrp: {password: 123456789}}\n- {addresses: [192.0.2.11], vrrp: {password: \"a\\tb\"}}\n", []string{
			"f:2: vips[0].vrrp.password: 9 bytes are too many: an advert has room for 8; keepalived uses the first 8 of its auth_pass, so write those",
			`f:3: vips[1].vrrp.password: "a\tb" has characters that cannot be printed`,
		}},
		{"priorities of the wrong band", "vips:\n- {addresses: [192.0.2.10], vrrp: {priority: 0, unhealthy_priority: 128}}\n- {addresses: [192.0.2.11], vrrp: {priority: 1, unhealthy_priority: 1}}\n- {addresses: [192.0.2.12], vrrp: {priority: 127, unhealthy_priority: 0}}\n- {addresses: [192.0.2.13], vrrp: {priority: 255, unhealthy_priority: 300}}\n", []string{
			"f:2: vips[0].vrrp.priority: 0 is in the resigned range; use 128 to 254",
			"f:2: vips[0].vrrp.unhealthy_priority: 128 is in the healthy range; use 2 to 127",
			"f:3: vips[1].vrrp.priority: 1 is in the draining range; use 128 to 254",
			"f:3: vips[1].vrrp.unhealthy_priority: 1 is in the draining range; use 2 to 127",
			"f:4: vips[2].vrrp.priority: 127 is in the unhealthy range; use 128 to 254",
			"f:4: vips[2].vrrp.unhealthy_priority: 0 is in the resigned range; use 2 to 127",
			"f:5: vips[3].vrrp.priority: 255 is for the node whose own address it is (RFC 9568 5.2.4); use 128 to 254",
			"f:5: vips[3].vrrp.unhealthy_priority: 300 is out of range; use 2 to 127",
		}},
		{"preempt_delay without preemption", "vips:\n- addresses: [192.0.2.10]\n  vrrp:\n    preempt: never\n    preempt_delay: 1s\n", []string{
			"f:5: vips[0].vrrp.preempt_delay: is for preempt: always; with preempt: never no owner of the same band is displaced",
		}},
		{"an etcd that nobody can ask", "vips: [{addresses: [192.0.2.10]}]\netcd:\n  endpoints:\n  - https://192.0.2.11:2379\n  - http://192.0.2.12:2379\n  - https://192.0.2.11:2379\n  - https://192.0.2.13\n  - https://192.0.2.13:2379/v3\n  - 192.0.2.14:2379\n  key_file: \"\"\n", []string{
			"f:2: etcd.cert_file: needs key_file too",
			"f:5: etcd.endpoints[1]: https://192.0.2.11:2379 and http://192.0.2.12:2379: write https for all, or http for all",
			"f:6: etcd.endpoints[2]: https://192.0.2.11:2379 is in the list twice",
			"f:7: etcd.endpoints[3]: \"https://192.0.2.13\" has no port; write https://host:2379",
			"f:8: etcd.endpoints[4]: \"https://192.0.2.13:2379/v3\" has a path; write https://host:2379",
			"f:9: etcd.endpoints[5]: \"192.0.2.14:2379\" is no URL: first path segment in URL cannot contain colon",
		}},
		{"no etcd at all", "vips: [{addresses: [192.0.2.10]}]\netcd: {endpoints: [], cert_file: \"\"}\n", []string{
			"f:2: etcd.endpoints: needs at least one; write [\"https://127.0.0.1:2379\"]",
			"f:2: etcd.key_file: needs cert_file too",
		}},
		{"peers after the word etcd keep their place", "vips:\n- addresses: [192.0.2.10]\n  vrrp:\n    peers:\n    - etcd\n    - 192.0.2.10\n    - etcd\n    - 192.0.2.20/33\n    - 2001:db8::2\nhello:\n  peers:\n  - etcd\n  - 192.0.2.10\n", []string{
			"f:6: vips[0].vrrp.peers[1]: 192.0.2.10 is a VIP; write the node's own address",
			"f:7: vips[0].vrrp.peers[2]: etcd is in the list twice",
			"f:8: vips[0].vrrp.peers[3]: 192.0.2.20/33 is no IP address",
			"f:9: vips[0].vrrp.peers[4]: 2001:db8::2 is IPv6, and the group's adverts are IPv4, as its first address",
			"f:13: hello.peers[1]: 192.0.2.10 is a VIP; write the node's own address",
		}},
		{"peers that no node can be", "vips:\n- addresses: [192.0.2.10, \"2001:db8::1\"]\n  vrrp:\n    peers:\n    - 192.0.2.11\n    - 192.0.2.11\n    - 192.0.2.10\n    - 192.0.2.20\n    - 2001:db8::2\n    - 224.0.0.18\n    - 192.0.2.11/32\n    peers_file: peers\n- addresses: [192.0.2.20]\n", []string{
			"f:6: vips[0].vrrp.peers[1]: 192.0.2.11 is in the list twice",
			"f:7: vips[0].vrrp.peers[2]: 192.0.2.10 is a VIP; write the node's own address",
			"f:8: vips[0].vrrp.peers[3]: 192.0.2.20 is a VIP; write the node's own address",
			"f:9: vips[0].vrrp.peers[4]: 2001:db8::2 is IPv6, and the group's adverts are IPv4, as its first address",
			"f:10: vips[0].vrrp.peers[5]: 224.0.0.18 is a multicast address",
			"f:11: vips[0].vrrp.peers[6]: 192.0.2.11/32 is no IP address",
			"f:12: vips[0].vrrp.peers_file: peers is not an absolute path",
		}},
		{"other words", "vips: [{addresses: [192.0.2.10], vrrp: {preempt: yes, checksum: none}}]\n", []string{
			"f:1: vips[0].vrrp.preempt: yes is unknown; use band, always or never",
			"f:1: vips[0].vrrp.checksum: none is unknown; use auto, rfc9568 or pseudo-header",
		}},

		// Health.
		{"a type that is none, and nothing else of that check", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {type: script, command: [/bin/true]}\n", []string{
			"f:4: vips[0].health[0].type: script is unknown; use https, http, tcp or exec",
		}},
		{"what each type needs", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {type: http}\n  - {type: tcp}\n  - {type: exec}\n  - {type: exec, command: [true]}\n", []string{
			"f:4: vips[0].health[0].url: a check of type http needs one; write http://host:port/path",
			"f:5: vips[0].health[1].address: a check of type tcp needs one; write host:port",
			"f:6: vips[0].health[2].command: a check of type exec needs one; write [/path/to/program, argument]",
			"f:7: vips[0].health[3].command[0]: true is not an absolute path; no shell looks for the program",
		}},
		{"keys of other types", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {type: tcp, address: \"a:1\", url: \"https://a/\", insecure: true}\n  - {type: http, url: \"http://a/\", ca_file: /ca}\n  - {address: \"a:1\", command: [/x]}\n", []string{
			"f:4: vips[0].health[0].url: is for type https or http; this check is of type tcp",
			"f:4: vips[0].health[0].insecure: is for type https; this check is of type tcp",
			"f:5: vips[0].health[1].ca_file: is for type https; this check is of type http",
			"f:6: vips[0].health[2].address: is for type tcp; this check is of type https",
			"f:6: vips[0].health[2].command: is for type exec; this check is of type https",
		}},
		{"URLs", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {name: a, url: \"http://a/\"}\n  - {name: b, url: \"ftp://a/\"}\n  - {name: c, url: \"https://u:p@a/\"}\n  - {name: d, url: \"https:///x\"}\n  - {name: e, url: \"https://a:0/x\"}\n  - {name: f, url: \"https://a/#x\"}\n  - {name: g, url: \"https://a:b/\"}\n  - {name: h, type: http, url: \"http://a/\", liveness_url: \"https://a/\"}\n", []string{
			`f:4: vips[0].health[0].url: "http://a/" does not go with type https; write https://`,
			`f:5: vips[0].health[1].url: "ftp://a/" is no URL; write https://host:port/path`,
			"f:6: vips[0].health[2].url: a URL with a password would be shown in the status; use cert_file and key_file, or kubeconfig",
			`f:7: vips[0].health[3].url: "https:///x" is no URL; write https://host:port/path`,
			"f:8: vips[0].health[4].url: port 0 is out of range; use 1 to 65535",
			`f:9: vips[0].health[5].url: "https://a/#x" has a part after '#', which is never sent`,
			`f:10: vips[0].health[6].url: "https://a:b/" is no URL: invalid port ":b" after host`,
			`f:11: vips[0].health[7].liveness_url: "https://a/" does not go with type http; write http://`,
		}},
		{"credentials that exclude each other", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {name: a, cert_file: /c}\n  - {name: b, key_file: /k}\n  - {name: c, kubeconfig: /f, ca_file: /ca, cert_file: /c, key_file: /k}\n  - {name: d, insecure: true, ca_file: /ca, server_name: x, kubeconfig: /f}\n", []string{
			"f:4: vips[0].health[0].cert_file: needs key_file too",
			"f:5: vips[0].health[1].key_file: needs cert_file too",
			"f:6: vips[0].health[2].ca_file: kubeconfig gives this already; remove one of the two",
			"f:6: vips[0].health[2].cert_file: kubeconfig gives this already; remove one of the two",
			"f:6: vips[0].health[2].key_file: kubeconfig gives this already; remove one of the two",
			"f:7: vips[0].health[3].ca_file: kubeconfig gives this already; remove one of the two",
			"f:7: vips[0].health[3].server_name: insecure: true verifies nothing; remove one of the two",
			"f:7: vips[0].health[3].ca_file: insecure: true verifies nothing; remove one of the two",
			"f:7: vips[0].health[3].kubeconfig: insecure: true verifies nothing; remove one of the two",
		}},
		{"names of checks", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {}\n  - {interval: 2s}\n", []string{
			"f:5: vips[0].health[1].name: apiserver is also the name of health[0]; write another",
		}},
		{"times and counts of checks", "vips:\n- addresses: [192.0.2.10]\n  health:\n  - {interval: 1ms, timeout: 2m, rise: 0, fall: 101, insecure: yes, server_name: a b}\n", []string{
			"f:4: vips[0].health[0].interval: 1ms is out of range; use 10ms to 1h",
			"f:4: vips[0].health[0].timeout: 2m is out of range; use 10ms to 1m",
			"f:4: vips[0].health[0].rise: 0 is out of range; use 1 to 100",
			"f:4: vips[0].health[0].fall: 101 is out of range; use 1 to 100",
			"f:4: vips[0].health[0].insecure: yes is neither true nor false",
			`f:4: vips[0].health[0].server_name: "a b" is no host name`,
		}},
		{"a notify command that a shell would have to find", "vips: [{addresses: [192.0.2.10], notify: [tell-us, now]}]\n", []string{
			"f:1: vips[0].notify[0]: tell-us is not an absolute path; no shell looks for the program",
		}},
		{"one port for metrics and readiness", "vips: [{addresses: [192.0.2.10]}]\nreadiness: {listen: \"127.0.0.1:9650\"}\n", []string{
			"f:2: readiness.listen: 127.0.0.1:9650 is metrics.listen too; write another port",
		}},
		{"a wait for balancers that cannot ask", "vips: [{addresses: [192.0.2.10]}]\nreadiness: {drain_wait: 5s}\n", []string{
			"f:2: readiness.drain_wait: is for balancers that ask for readiness; write readiness.listen too",
		}},
		{"a command with a zero byte", "vips: [{addresses: [192.0.2.10], health: [{type: exec, command: [\"/x\\0\"]}]}]\n", []string{
			`f:1: vips[0].health[0].command[0]: "/x\x00" cannot be passed to a program`,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("f", []byte(row.file))
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(row.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func hundredAddresses() string {
	addresses := make([]string, 100)
	a := netip.MustParseAddr("192.0.2.1")
	for i := range addresses {
		addresses[i], a = a.String(), a.Next()
	}
	return strings.Join(addresses, ", ")
}

func TestProblemsAreFoundOneByOne(t *testing.T) {
	_, err := Parse("f", []byte("vips: [{addresses: [192.0.2.10], port: x}]\nospf: {}\n"))
	var all Problems
	if !errors.As(err, &all) {
		t.Fatalf("%T is not Problems", err)
	}
	want := Problems{
		{File: "f", Line: 1, Key: "vips[0].port", Text: "x is no whole number; use 1 to 65535"},
		{File: "f", Line: 2, Key: "ospf", Text: "unknown key"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	var first Problem
	if !errors.As(err, &first) || first != want[0] {
		t.Errorf("errors.As found %+v", first)
	}
}

func TestProblemsEnd(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("what:\n", 1000)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "f:100: there may be more problems than these" {
		t.Errorf("%d lines, the last one %q", len(lines), lines[len(lines)-1])
	}
}

func TestSameVRIDIsAllowed(t *testing.T) {
	for _, row := range []struct{ name, file string }{
		{"on two interfaces", "vips: [{addresses: [192.0.2.10], interface: eth0}, {addresses: [198.51.100.10], interface: eth1}]"},
		{"for two families", "vips: [{addresses: [192.0.2.16]}, {addresses: [\"2001:db8::10\"]}]"},
		{"where one interface is to be found, until the host is known", "vips: [{addresses: [192.0.2.10]}, {addresses: [198.51.100.10], interface: eth1}]"},
	} {
		t.Run(row.name, func(t *testing.T) { parsed(t, row.file) })
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vipd.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("node: cp1\nvips: [{addresses: [192.0.2.10]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(smallest(), got, addressesEqual()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if err := os.WriteFile(path, []byte("node: cp1\n\nvip: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(path); err == nil || err.Error() != path+":3: vip: unknown key; did you mean vips?" {
		t.Errorf("a bad file: %v", err)
	}
	if _, err = Load("/dev/zero"); err == nil || !strings.HasPrefix(err.Error(), "/dev/zero: is larger than") {
		t.Errorf("an endless file: %v", err)
	}
}
