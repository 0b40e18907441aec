package setup

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/vipd/vipd/config"
)

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func link(name string, prefixes ...string) config.Interface {
	i := config.Interface{Name: name}
	for _, p := range prefixes {
		i.Prefixes = append(i.Prefixes, netip.MustParsePrefix(p))
	}
	return i
}

// twoHomed is a node whose default route is not on its control-plane network.
// It holds a VIP just now.
func twoHomed() Host {
	return Host{Name: "cp1", DefaultRoute: "eth0", Interfaces: []config.Interface{
		link("lo", "127.0.0.1/8", "::1/128"),
		link("eth0", "192.0.2.11/24", "2001:db8::11/64", "fe80::1/64"),
		link("eth1", "10.1.0.77/32", "10.1.0.11/24", "fe80::2/64"),
		link("eth2"),
	}}
}

func TestPlans(t *testing.T) {
	tests := []struct {
		name string
		wish Wish
		host func(*Host)
		// want is the file without its comments; reasons are parts of what is
		// told.
		want    string
		reasons []string
	}{
		{
			name: "one VIP on the network of the default route",
			wish: Wish{VIPs: addresses("192.0.2.10")},
			want: "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\nmetrics:\n  listen: 192.0.2.11:9650\n",
			reasons: []string{
				"The interface is eth0, whose subnet 192.0.2.0/24 holds 192.0.2.10; --interface chooses another",
				"This node's address is 192.0.2.11, that of eth0 in the subnet of 192.0.2.10; --node-address chooses another",
				"The VRRP group has the number (VRID) 10, the last byte of the VIP", "--vrid chooses another",
				"Metrics are served on 192.0.2.11:9650",
			},
		},
		{
			name: "a VIP on another network than that of the default route: kubeadm has to be told too",
			wish: Wish{VIPs: addresses("10.1.0.10")},
			want: "vips:\n  - name: apiserver\n    addresses: [10.1.0.10]\nmetrics:\n  listen: 10.1.0.11:9650\n",
			reasons: []string{
				"The interface is eth1, whose subnet 10.1.0.0/24 holds 10.1.0.10", "10.1.0.11",
				"default route of this host is on eth0", "localAPIEndpoint.advertiseAddress: 10.1.0.11", "--node-ip=10.1.0.11",
			},
		},
		{
			name: "both families, and a name for the endpoint",
			wish: Wish{VIPs: addresses("192.0.2.10", "2001:db8::10"), Endpoint: "k8s.example.com"},
			want: "vips:\n  - name: apiserver\n    addresses: [192.0.2.10, '2001:db8::10']\n    endpoint: k8s.example.com:6443\nmetrics:\n  listen: 192.0.2.11:9650\n",
		},
		{
			name: "IPv6 only",
			wish: Wish{VIPs: addresses("2001:db8::10")},
			want: "vips:\n  - name: apiserver\n    addresses: ['2001:db8::10']\nmetrics:\n  listen: '[2001:db8::11]:9650'\n",
		},
		{
			name: "the VIP itself as endpoint is the default",
			wish: Wish{VIPs: addresses("192.0.2.10"), Endpoint: "192.0.2.10:6443"},
			want: "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\nmetrics:\n  listen: 192.0.2.11:9650\n",
		},
		{
			name: "another port of the endpoint is that of the API servers",
			wish: Wish{VIPs: addresses("192.0.2.10"), Endpoint: "192.0.2.10:8443"},
			want: "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\n    port: 8443\nmetrics:\n  listen: 192.0.2.11:9650\n",
		},
		{
			name: "a VIP that ends with 0, and its VRID",
			wish: Wish{VIPs: addresses("2001:db8::100"), VRID: 51},
			want: "vips:\n  - name: apiserver\n    addresses: ['2001:db8::100']\n    vrrp:\n      vrid: 51\nmetrics:\n  listen: '[2001:db8::11]:9650'\n",
		},
		{
			name: "the VRID that it would have anyway is not written",
			wish: Wish{VIPs: addresses("192.0.2.10"), VRID: 10},
			want: "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\nmetrics:\n  listen: 192.0.2.11:9650\n",
		},
		{
			name: "the operator chooses the interface, without a subnet for the VIP",
			wish: Wish{VIPs: addresses("203.0.113.10"), Interface: "eth1"},
			want: "vips:\n  - name: apiserver\n    addresses: [203.0.113.10]\n    interface: eth1\nmetrics:\n  listen: 10.1.0.11:9650\n",
			reasons: []string{
				"This node's address is 10.1.0.11, the first of eth1", "eth1 has no subnet with 203.0.113.10",
			},
		},
		{
			name:    "the operator chooses the node's address: its interface is taken, and named as it is not the default",
			wish:    Wish{VIPs: addresses("192.0.2.10"), NodeAddress: netip.MustParseAddr("10.1.0.11")},
			want:    "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\n    interface: eth1\nmetrics:\n  listen: 10.1.0.11:9650\n",
			reasons: []string{"The interface is eth1, which has 10.1.0.11"},
		},
		{
			name:    "two interfaces in one subnet: the file has to name one",
			wish:    Wish{VIPs: addresses("192.0.2.10")},
			host:    func(h *Host) { h.Interfaces[3] = link("eth2", "192.0.2.12/24") },
			want:    "vips:\n  - name: apiserver\n    addresses: [192.0.2.10]\n    interface: eth0\nmetrics:\n  listen: 192.0.2.11:9650\n",
			reasons: []string{"The interface is eth0, the first of eth0, eth2, which all have the subnet of 192.0.2.10"},
		},
		{
			name:    "link-local addresses only: metrics stay where they are",
			wish:    Wish{VIPs: addresses("fe80::10"), Interface: "eth1"},
			want:    "vips:\n  - name: apiserver\n    addresses: ['fe80::10']\n    interface: eth1\n",
			reasons: []string{"Metrics stay on 127.0.0.1"},
		},
		{
			name:    "the default route is not known: nothing is said of it",
			wish:    Wish{VIPs: addresses("10.1.0.10")},
			host:    func(h *Host) { h.DefaultRoute = "" },
			want:    "vips:\n  - name: apiserver\n    addresses: [10.1.0.10]\nmetrics:\n  listen: 10.1.0.11:9650\n",
			reasons: []string{"Metrics are served"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := twoHomed()
			if test.host != nil {
				test.host(&host)
			}
			plan, err := New(test.wish, host)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, withoutComments(string(plan.File))); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			told := strings.Join(plan.Reasons, "\n")
			for _, r := range test.reasons {
				if !strings.Contains(told, r) {
					t.Errorf("not told: %s\nbut:\n%s", r, told)
				}
			}
			if host.DefaultRoute == "" && strings.Contains(told, "default route") {
				t.Errorf("told of a default route that is not known:\n%s", told)
			}
			checkGood(t, plan.File, host)
			checkShort(t, plan.File)
		})
	}
}

func withoutComments(file string) string {
	var b strings.Builder
	for line := range strings.Lines(file) {
		text, _, commented := strings.Cut(line, "#")
		if text = strings.TrimRight(text, " "); text != "" {
			b.WriteString(text)
			if commented {
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}

// checkGood: vipd check takes the file on the host.
func checkGood(t *testing.T, file []byte, h Host) {
	t.Helper()
	c, err := config.Parse("vipd.yaml", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if err := config.CheckHost(c, h.Interfaces); err != nil {
		t.Errorf("%v\n%s", err, file)
	}
}

// checkShort: each key but the name, which is for people, changes something.
func checkShort(t *testing.T, file []byte) {
	t.Helper()
	whole, err := config.Parse("vipd.yaml", file)
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(file, &root); err != nil {
		t.Fatal(err)
	}
	var each func(n *yaml.Node)
	each = func(n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			key, all := n.Content[i].Value, n.Content
			n.Content = append(append([]*yaml.Node{}, all[:i]...), all[i+2:]...)
			text, err := yaml.Marshal(&root)
			n.Content = all
			if err != nil {
				t.Fatal(err)
			}
			if c, err := config.Parse("vipd.yaml", text); err == nil && reflect.DeepEqual(c, whole) {
				t.Errorf("%s is written, and has its default:\n%s", key, file)
			}
		}
		for _, inner := range n.Content {
			each(inner)
		}
	}
	each(&root)
}

func TestPlansThatCannotBe(t *testing.T) {
	tests := []struct {
		name string
		wish Wish
		// flag is the flag that is wrong by itself; empty: the host is not right.
		flag string
		want string
	}{
		{"no VIP", Wish{}, "--vip", "none was given"},
		{"a VIP that no host can have", Wish{VIPs: addresses("127.0.0.5")}, "--vip", "is a loopback address"},
		{"a VIP twice", Wish{VIPs: addresses("192.0.2.10", "192.0.2.10")}, "--vip", "is in the list twice"},
		{"a VIP that ends with 0", Wish{VIPs: addresses("10.1.0.0")}, "--vrid", "the last byte of 10.1.0.0 is 0"},
		{"a VIP that ends with 0, with its VRID, is the network's", Wish{VIPs: addresses("10.1.0.0"), VRID: 5}, "", "is the network or broadcast address"},
		{"an endpoint that is none", Wish{VIPs: addresses("192.0.2.10"), Endpoint: "a:b:c"}, "--endpoint", "is not host:port"},
		{"an endpoint with a port that is none", Wish{VIPs: addresses("192.0.2.10"), Endpoint: "k8s:http"}, "--endpoint", "port"},
		{"an endpoint with a port out of range", Wish{VIPs: addresses("192.0.2.10"), Endpoint: "k8s:70000"}, "--endpoint", "70000"},
		{"an endpoint that is no name", Wish{VIPs: addresses("192.0.2.10"), Endpoint: "k8s_*"}, "--endpoint", "no host name"},
		{"the loopback", Wish{VIPs: addresses("192.0.2.10"), Interface: "lo"}, "--interface", "lo has no neighbours"},
		{"a link-local VIP without an interface", Wish{VIPs: addresses("fe80::10")}, "--interface", "link-local"},
		{"this node's own address", Wish{VIPs: addresses("192.0.2.11")}, "", "192.0.2.11 is this node's own address on eth0"},
		{"a VIP that no subnet holds", Wish{VIPs: addresses("203.0.113.10")}, "", "no interface of this host has a subnet with 203.0.113.10; it has eth0 with 192.0.2.11/24 and"},
		{"an interface that is not there", Wish{VIPs: addresses("192.0.2.10"), Interface: "eth7"}, "", "no interface eth7; it has eth0"},
		{"an interface without an address", Wish{VIPs: addresses("192.0.2.10"), Interface: "eth2"}, "", "eth2 has no IPv4 address of its own"},
		{"an interface without an address of the family", Wish{VIPs: addresses("2001:db8:1::10"), Interface: "eth2"}, "", "eth2 has no IPv6 address of its own"},
		{"a node's address that it has not", Wish{VIPs: addresses("192.0.2.10"), NodeAddress: netip.MustParseAddr("192.0.2.99")}, "", "no interface of this host has 192.0.2.99"},
		{"a VIP that is held here is no address of the node", Wish{VIPs: addresses("10.1.0.10"), NodeAddress: netip.MustParseAddr("10.1.0.77")}, "", "no interface of this host has 10.1.0.77"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, err := New(test.wish, twoHomed())
			if err == nil {
				t.Fatalf("planned:\n%s", plan.File)
			}
			flag := ""
			if wrong, ok := errors.AsType[*WishError](err); ok {
				flag = wrong.Flag
			}
			if flag != test.flag {
				t.Errorf("flag %q, want %q: %v", flag, test.flag, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}
