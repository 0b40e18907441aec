package doctor

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/bgp"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/health/counter"
)

func addr(text string) netip.Addr         { return netip.MustParseAddr(text) }
func prefix(text string) netip.Prefix     { return netip.MustParsePrefix(text) }
func addrPort(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

const ownMAC, otherMAC = "02:00:00:00:00:11", "02:00:00:00:00:12"

// healthy are the facts of a host on which all is well: the daemon runs as a
// backup, and hears the owner.
func healthy(t *testing.T) *Facts {
	t.Helper()
	c, err := config.Parse("vipd.yaml", []byte("node: cp1\nvips: [{name: api, addresses: [192.0.2.10]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	vip := c.VIPs[0].Addresses[0]
	return &Facts{
		Path: "/etc/vipd/vipd.yaml", Config: c, Now: noon(), Hostname: "cp1", Initialised: true,
		Unit:  Unit{Path: "/usr/lib/systemd/system/vipd.service", Enabled: true, User: "vipd"},
		Files: Known([]File{{Key: "--config", Path: "/etc/vipd/vipd.yaml", Exists: true}}),
		Status: Known(agent.Status{
			Node: "cp1", PID: 7, Hello: agent.HelloStatus{Enabled: true},
			VIPs:  []agent.VIPStatus{{Name: "api", State: agent.StateBackup, Handover: agent.HandoverStatus{Supported: true}}},
			Peers: []agent.PeerStatus{{Node: "cp2", Condition: "alive", Hears: true, Addresses: []netip.Addr{addr("192.0.2.12")}}},
		}),
		Links: Known([]Link{
			{Name: "lo", Up: true, Addresses: []Address{{Prefix: prefix("127.0.0.1/8")}}},
			{Name: "eth0", Up: true, Addresses: []Address{{Prefix: prefix("192.0.2.11/24")}}},
		}),
		DefaultRoutes: [2]string{"eth0", ""},
		Settings:      Known(map[string]Settings{"eth0": {}}),
		IPVS:          Known[[]netip.AddrPort](nil),
		Rules:         Known(true),
		Rivals:        Known[[]Rival](nil),
		Groups: []Group{{
			VIP: c.VIPs[0], Link: "eth0",
			Answers: map[netip.Addr]Fact[Answer]{vip: Known(Answer{MAC: otherMAC})},
			Segment: Known(Segment{
				Listened:  3 * time.Second,
				Adverts:   []Advert{{From: addr("192.0.2.12"), MAC: otherMAC, VRID: 10, Version: 3, Addresses: []netip.Addr{vip}}},
				Hellos:    []Hello{{From: addr("192.0.2.12"), MAC: otherMAC, Node: "cp2", VIPs: []netip.Addr{vip}}},
				Delivered: Unknown[[]netip.Addr]("the daemon has the port"),
			}),
			Listeners:   Known([]netip.Addr{addr("::")}),
			Probes:      []Probe{{Check: "apiserver", Ready: counter.OK}},
			Certificate: &Certificate{Source: "the certificate", NotAfter: noon().AddDate(1, 0, 0), Covers: true},
		}},
		WaysOut: Known([]WayOut{{Traffic: Adverts, Link: "eth0", To: addrPort("224.0.0.18:0"), Passes: true}}),
		Kernel:  Known(Kernel{}),
		Kubelet: Known(&Kubelet{Where: "kubelet (pid 9)", NodeIPs: []netip.Addr{addr("192.0.2.11")}}),
		Flags: Known([]Flag{
			{Component: "etcd", Where: "etcd.yaml", Name: "--advertise-client-urls", Addr: addr("192.0.2.11")},
			{Component: "kube-apiserver", Where: "kube-apiserver.yaml", Name: "--advertise-address", Addr: addr("192.0.2.11")},
		}),
		CNI:      Known(CNI{}),
		Sockets:  Known([]Socket{{Local: addrPort("127.0.0.1:9650"), Ours: true}}),
		Speakers: Known[[]Program](nil),
	}
}

// stopped: the daemon does not run.
func stopped(f *Facts) {
	f.Status = Unknown[agent.Status]("vipd is not running")
	f.Groups[0].Segment.Value.Delivered = Known([]netip.Addr{addr("192.0.2.12")})
}

func group(f *Facts) *Group            { return &f.Groups[0] }
func segment(f *Facts) *Segment        { return &f.Groups[0].Segment.Value }
func link(f *Facts) *Link              { return &f.Links.Value[1] }
func status(f *Facts) *agent.VIPStatus { return &f.Status.Value.VIPs[0] }

// watch has two routers watched by BFD, from an address; empty: as the kernel chooses.
func watch(f *Facts, local string) {
	for _, router := range []string{"192.0.2.1", "192.0.2.2"} {
		f.Config.BGP.Neighbors = append(f.Config.BGP.Neighbors, config.Neighbor{Address: addr(router), BFD: config.BFD{Enabled: true}})
	}
	if local != "" {
		f.Config.BGP.LocalAddress = addr(local)
	}
}

// peered has established sessions, with what else is said of them.
func peered(f *Facts, sessions ...agent.NeighborStatus) {
	for i, n := range sessions {
		n.Address, n.State = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), bgp.Established
		f.Status.Value.BGP.Neighbors = append(f.Status.Value.BGP.Neighbors, n)
	}
}

func announce(f *Facts, how config.Announce) { f.Groups[0].Announce = how }

func answered(f *Facts, o counter.Outcome) {
	f.Groups[0].Probes[0] = Probe{Check: "apiserver", Ready: o, Reason: "the server " + o.String()}
}

const etcdURL = "https://127.0.0.1:2379"

// elected: etcd elects, and is well.
func elected(f *Facts) *Etcd {
	f.Config.VIPs[0].Election = config.ElectionEtcd
	return etcd(f)
}

// followed: the peers are etcd's members, and it is well.
func followed(f *Facts) *Etcd {
	f.Config.VIPs[0].VRRP.EtcdPeers = true
	return etcd(f)
}

func etcd(f *Facts) *Etcd {
	e := &Etcd{Members: []netip.Addr{addr("192.0.2.11"), addr("192.0.2.12")}, ShownUntil: noon().AddDate(1, 0, 0)}
	f.Etcd = Known(e)
	return e
}

// row is one thing that is different from a host on which all is well, and what
// comes of it.
type row struct {
	name     string
	change   func(f *Facts)
	id       ID // empty: nothing is found
	severity Severity
	subject  string
}

func rows() []row {
	vip := "192.0.2.10"
	return []row{
		{"all is well", func(*Facts) {}, "", "", ""},

		{"the file has a mistake", func(f *Facts) { f.Config, f.Groups, f.Problems = nil, nil, []string{"line 3: unknown key"} }, ConfigInvalid, Error, "/etc/vipd/vipd.yaml"},
		{"the VIP is this node's own address", func(f *Facts) { f.Unfit = []string{"vips[0].addresses[0]: 192.0.2.10 is this node's own"} }, ConfigUnfit, Error, "vips[0].addresses[0]"},
		{"there is no fence", func(f *Facts) { f.Warnings = []string{"vips[0].fence: 0s leaves"} }, ConfigWarning, Warning, "vips[0].fence"},
		{"the key file holds no key", func(f *Facts) { f.Companions = []Companion{{KeyFile, "auth_key_file", "is empty"}} }, KeyFile, Error, "auth_key_file"},
		{"a VIP is among the peers", func(f *Facts) {
			f.Companions = []Companion{{PeersFile, "vips[0].vrrp.peers_file", "line 1 is a VIP"}}
		}, PeersFile, Warning, "vips[0].vrrp.peers_file"},
		{"the TLS of the metrics is wrong", func(f *Facts) { f.Companions = []Companion{{WebConfig, "metrics.web_config", "no such file"}} }, WebConfig, Warning, "metrics.web_config"},

		{"the CA file is not there", func(f *Facts) {
			f.Files = Known([]File{{Key: "ca_file", Path: "/etc/kubernetes/pki/ca.crt"}})
		}, FileMissing, Error, "/etc/kubernetes/pki/ca.crt"},
		{"before kubeadm that is normal", func(f *Facts) {
			f.Initialised = false
			f.Files = Known([]File{{Key: "ca_file", Path: "/etc/kubernetes/pki/ca.crt"}})
		}, FileMissing, Info, "/etc/kubernetes/pki/ca.crt"},
		{"the daemon's user may not read a key", func(f *Facts) {
			f.Files = Known([]File{{Key: "auth_key_file", Path: "/etc/vipd/key", Exists: true, Denied: "/etc/vipd/key", Owner: "root:root 0600"}})
		}, FileUnreadable, Error, "/etc/vipd/key"},
		{"the daemon's user may not enter a directory", func(f *Facts) {
			f.Files = Known([]File{{Key: "auth_key_file", Path: "/root/key", Exists: true, Denied: "/root", Owner: "root:root 0700"}})
		}, FileUnreadable, Error, "/root/key"},
		{"the daemon's user may not run a check", func(f *Facts) {
			f.Files = Known([]File{{Key: "command", Path: "/opt/check", Exists: true, Runs: true, Denied: "/opt/check", Owner: "root:root 0600"}})
		}, FileUnreadable, Error, "/opt/check"},

		{"the unit is enabled and the daemon does not answer", stopped, DaemonDown, Warning, "vipd"},
		{"before the first start", func(f *Facts) { stopped(f); f.Unit.Enabled = false }, DaemonDown, Info, "vipd"},
		{"the VIP is at fault", func(f *Facts) { status(f).State, status(f).Reason = agent.StateFault, "no-carrier" }, VIPFault, Error, "api"},
		{"two own it", func(f *Facts) {
			status(f).State, status(f).DuplicateOwner = agent.StateOwner, true
			group(f).Answers[addr(vip)] = Known(Answer{})
		}, DuplicateOwner, Error, "api"},
		{"the node is drained", func(f *Facts) { f.Status.Value.Drained = true }, NodeDrained, Warning, "cp1"},
		{"the loop was late", func(f *Facts) { f.Status.Value.Loop = agent.LoopStatus{Late: 3, LagSeconds99: 0.1} }, LoopLate, Warning, "vipd"},

		{"no subnet holds the VIP", func(f *Facts) { group(f).Link = "" }, NoSubnet, Error, "api"},
		{"the interface is not there", func(f *Facts) { f.Links.Value[1].Name = "eth1" }, InterfaceMissing, Error, "eth0"},
		{"a tracked interface is not there", func(f *Facts) { group(f).TrackInterfaces = []string{"eth9"} }, InterfaceMissing, Error, "eth9"},
		{"two interfaces have the subnet", func(f *Facts) {
			f.Links.Value = append(f.Links.Value, Link{Name: "eth1", Up: true, Addresses: []Address{{Prefix: prefix("192.0.2.99/24")}}})
		}, InterfaceAmbiguous, Warning, "api"},
		{"two have it, and one is chosen", func(f *Facts) {
			group(f).Interface = "eth0"
			f.Links.Value = append(f.Links.Value, Link{Name: "eth1", Up: true, Addresses: []Address{{Prefix: prefix("192.0.2.99/24")}}})
		}, "", "", ""},
		{"the interface has no address of its own", func(f *Facts) { link(f).Addresses = nil }, NoOwnAddress, Error, "eth0"},
		{"the interface has no carrier", func(f *Facts) { link(f).Up = false }, NoCarrier, Error, "eth0"},
		{"the VIP is of another subnet", func(f *Facts) { link(f).Addresses = []Address{{Prefix: prefix("198.51.100.1/24")}} }, VIPOffSubnet, Warning, vip},

		{"arp_ignore wants the asker's subnet", func(f *Facts) { f.Settings.Value["eth0"] = Settings{ARPIgnore: 2} }, ARPIgnore, Error, "eth0"},
		{"arp_ignore answers nobody", func(f *Facts) { f.Settings.Value["eth0"] = Settings{ARPIgnore: 8} }, ARPIgnore, Error, "eth0"},
		{"arp_ignore of kube-proxy's strictARP is good", func(f *Facts) { f.Settings.Value["eth0"] = Settings{ARPIgnore: 1} }, "", "", ""},
		{"rp_filter is strict and clients come by another interface", func(f *Facts) {
			f.DefaultRoutes[0], f.Settings.Value["eth0"] = "eth1", Settings{RPFilter: 1}
		}, RPFilter, Warning, "eth0"},
		{"rp_filter is strict and the way back is the same", func(f *Facts) { f.Settings.Value["eth0"] = Settings{RPFilter: 1} }, "", "", ""},
		{"rp_filter is strict on the way to a router of the link", func(f *Facts) {
			announce(f, config.AnnounceBGP)
			f.Config.BGP.Neighbors = []config.Neighbor{{Address: addr("192.0.2.1")}, {Address: addr("192.0.2.2")}}
			f.Settings.Value["eth0"] = Settings{RPFilter: 1}
		}, RPFilter, Warning, "eth0"},
		{"rp_filter is strict on the way to a router beyond the link", func(f *Facts) {
			announce(f, config.AnnounceBGP)
			f.Config.BGP.Neighbors = []config.Neighbor{{Address: addr("203.0.113.1")}}
			f.DefaultRoutes[0], f.Settings.Value["eth1"] = "eth1", Settings{RPFilter: 1}
		}, RPFilter, Warning, "eth1"},
		{"rp_filter is strict on the way out, and another daemon announces", func(f *Facts) {
			announce(f, config.AnnounceLocal)
			f.Settings.Value["eth0"] = Settings{RPFilter: 1}
		}, RPFilter, Warning, "eth0"},
		{"IPv6 is off on the interface of an IPv6 VIP", func(f *Facts) {
			six := addr("2001:db8::10")
			link(f).Addresses = append(link(f).Addresses, Address{Prefix: prefix("2001:db8::11/64")})
			group(f).Addresses = append(slices.Clone(group(f).Addresses), six)
			group(f).Answers[six] = Known(Answer{})
			f.Settings.Value["eth0"] = Settings{IPv6Off: true}
		}, IPv6Off, Error, "eth0"},

		{"networkd manages it without the drop-in", func(f *Facts) {
			f.Managers = []Manager{{Interface: "eth0", File: "/run/systemd/network/10-netplan-eth0.network"}}
		}, NetworkdManages, Warning, "eth0"},
		{"networkd manages it with the drop-in", func(f *Facts) { f.Managers = []Manager{{Interface: "eth0", Keeps: true}} }, "", "", ""},
		{"networkd manages another interface", func(f *Facts) { f.Managers = []Manager{{Interface: "eth7"}} }, "", "", ""},
		{"NetworkManager manages it", func(f *Facts) { f.Managers = []Manager{{Interface: "eth0", NetworkManager: true}} }, NetworkManagerManages, Info, "eth0"},
		{"netplan has the VIP", func(f *Facts) { f.Mentions = Known([]Mention{{"/etc/netplan/a.yaml", 4, addr(vip)}}) }, VIPInNetworkConfig, Error, vip},

		{"a stranger answers", func(f *Facts) { group(f).Answers[addr(vip)] = Known(Answer{MAC: "02:00:00:00:00:99"}) }, VIPAnswered, Error, vip},
		{"somebody answers although this node owns it", func(f *Facts) { status(f).State = agent.StateOwner }, VIPAnswered, Error, vip},
		{"keepalived's virtual MAC answers", func(f *Facts) { group(f).Answers[addr(vip)] = Known(Answer{MAC: "00:00:5e:00:01:0a"}) }, "", "", ""},
		{"nobody answers", func(f *Facts) { group(f).Answers[addr(vip)] = Known(Answer{}) }, "", "", ""},
		{"a proxy answers for all", func(f *Facts) { group(f).Answers[addr(vip)] = Known(Answer{MAC: otherMAC, Proxy: true}) }, VIPProxied, Warning, vip},

		{"kube-proxy has it", func(f *Facts) {
			f.Links.Value = append(f.Links.Value, Link{Name: "kube-ipvs0", Addresses: []Address{{Prefix: prefix("192.0.2.10/32")}}})
		}, VIPElsewhere, Error, vip},
		{"another interface has it", func(f *Facts) {
			f.Links.Value = append(f.Links.Value, Link{Name: "eth1", Addresses: []Address{{Prefix: prefix("192.0.2.10/32")}}})
		}, VIPElsewhere, Error, vip},
		{"a shadow on lo is vipd's", func(f *Facts) {
			f.Links.Value[0].Addresses = append(f.Links.Value[0].Addresses, Address{Prefix: prefix("192.0.2.10/32"), Finite: true})
		}, "", "", ""},
		{"IPVS serves it", func(f *Facts) { f.IPVS = Known([]netip.AddrPort{addrPort("192.0.2.10:6443")}) }, IPVSServesVIP, Error, "192.0.2.10:6443"},
		{"IPVS serves another port of it", func(f *Facts) { f.IPVS = Known([]netip.AddrPort{addrPort("192.0.2.10:443")}) }, "", "", ""},

		{"a VIP without a lifetime is left behind", func(f *Facts) {
			stopped(f)
			f.Unit.Enabled = false
			link(f).Addresses = append(link(f).Addresses, Address{Prefix: prefix("192.0.2.10/32")})
		}, VIPLeftBehind, Error, vip},
		{"a VIP with a lifetime is left behind", func(f *Facts) {
			stopped(f)
			f.Unit.Enabled = false
			link(f).Addresses = append(link(f).Addresses, Address{Prefix: prefix("192.0.2.10/32"), Finite: true})
		}, VIPLeftBehind, Info, vip},
		{"rules are left behind", stopped, RulesLeftBehind, Info, "nftables"},

		{"keepalived has it", func(f *Facts) { f.Rivals = Known([]Rival{{"keepalived", "keepalived (pid 3)", addr(vip)}}) }, RivalKeepalived, Error, vip},
		{"kube-vip has it", func(f *Facts) {
			f.Rivals = Known([]Rival{{"kube-vip", "/etc/kubernetes/manifests/kube-vip.yaml", addr(vip)}})
		}, RivalKubeVIP, Error, vip},
		{"another vipd has it", func(f *Facts) { f.Rivals = Known([]Rival{{"vipd", "vipd (pid 3)", addr(vip)}}) }, RivalVipd, Error, vip},

		{"a foreign group has the VRID", func(f *Facts) {
			segment(f).Adverts = append(segment(f).Adverts, Advert{From: addr("192.0.2.50"), MAC: otherMAC, VRID: 10, Version: 3, Addresses: []netip.Addr{addr("192.0.2.77")}})
		}, VRIDTaken, Error, "VRID 10 on eth0"},
		{"a foreign group has another VRID", func(f *Facts) {
			segment(f).Adverts = append(segment(f).Adverts, Advert{From: addr("192.0.2.50"), MAC: otherMAC, VRID: 11, Version: 3, Addresses: []netip.Addr{addr("192.0.2.77")}})
		}, "", "", ""},
		{"a node advertises the VIP under another VRID", func(f *Facts) { segment(f).Adverts[0].VRID = 99 }, VRIDDiffers, Error, "VRID 10 on eth0"},
		{"a node advertises by version 2", func(f *Facts) { segment(f).Adverts[0].Version = 2 }, VRRPVersion, Warning, "192.0.2.12"},
		{"a peer is not heard", func(f *Facts) { group(f).VRRP.Peers = []netip.Addr{addr("192.0.2.12"), addr("192.0.2.13")} }, PeerUnheard, Warning, "192.0.2.13"},
		{"this node is among the peers", func(f *Facts) { group(f).VRRP.Peers = []netip.Addr{addr("192.0.2.11")} }, "", "", ""},
		{"nobody is heard", func(f *Facts) {
			f.Status.Value.Peers, segment(f).Adverts, segment(f).Hellos = nil, nil, nil
			group(f).Answers[addr(vip)] = Known(Answer{})
		}, NobodyHeard, Info, "eth0"},

		{"adverts come without hellos", func(f *Facts) { f.Status.Value.Peers, segment(f).Hellos = nil, nil }, HelloMissing, Warning, "192.0.2.12"},
		{"the daemon does not get hellos that arrive", func(f *Facts) { f.Status.Value.Peers = nil }, HelloDropped, Warning, "cp2"},
		{"no socket gets hellos that arrive", func(f *Facts) {
			stopped(f)
			segment(f).Delivered = Known[[]netip.Addr](nil)
		}, HelloDropped, Warning, "cp2"},
		{"hellos have a wrong tag", func(f *Facts) { f.Status.Value.Hello.Discarded = map[string]uint64{"bad-tag": 4} }, HelloRefused, Warning, "auth_key_file"},
		{"hellos cannot be exchanged", func(f *Facts) { f.Status.Value.Hello.Error = "the port is taken" }, HelloFault, Warning, "hello"},

		{"a peer fell silent", func(f *Facts) {
			f.Status.Value.Peers[0].Condition, segment(f).Hellos[0].From = "silent", addr("192.0.2.11")
			f.Status.Value.Hello.Discarded = map[string]uint64{"hop-limit": 1}
			segment(f).Adverts = nil
			group(f).Answers[addr(vip)] = Known(Answer{})
		}, PeerSilent, Warning, "cp2"},
		{"a peer does not hear this node", func(f *Facts) { f.Status.Value.Peers[0].Hears = false }, PeerDeaf, Warning, "cp2"},
		{"another node has the name", func(f *Facts) { f.Status.Value.Hello.Namesake = true }, PeerNamesake, Error, "cp1"},
		{"a peer's settings differ", func(f *Facts) {
			f.Status.Value.Peers[0].VIPs = []agent.PeerVIPStatus{{Name: "api", Differs: []string{"fence"}}}
		}, SettingsDiffer, Warning, "cp2"},

		{"adverts are dropped", func(f *Facts) { f.WaysOut.Value[0].Passes = false }, AdvertsBlocked, Error, "eth0"},
		{"hellos are dropped", func(f *Facts) {
			f.WaysOut = Known([]WayOut{{Traffic: Hellos, Link: "eth0", To: addrPort("224.0.0.18:9651")}})
		}, HellosBlocked, Warning, "eth0"},
		{"what is passed on is dropped", func(f *Facts) {
			f.WaysOut = Known([]WayOut{{Traffic: SecondChance, Link: "eth0", To: addrPort("192.0.2.10:6443")}})
		}, SecondChanceBlocked, Warning, "eth0"},
		{"the kernel has no dup", func(f *Facts) { f.Kernel.Value.Missing = []string{"dup for IPv4"} }, HandoverUnsupported, Warning, "kernel"},
		{"the kernel has no tables with an owner", func(f *Facts) { f.Kernel.Value.Lacks = []string{"tables with an owner"} }, KernelLacks, Info, "kernel"},
		{"connections are not to be kept", func(f *Facts) { group(f).Handover.Preserve = false }, HandoverOff, Info, "api"},
		{"the daemon cannot keep connections", func(f *Facts) { status(f).Handover = agent.HandoverStatus{Reason: "the firewall"} }, HandoverEnds, Warning, "api"},

		{"the API server listens at the VIP", func(f *Facts) { group(f).Listeners = Known([]netip.Addr{addr(vip)}) }, APIServerBindsVIP, Error, "192.0.2.10:6443"},
		{"the API server listens at the node's address only", func(f *Facts) { group(f).Listeners = Known([]netip.Addr{addr("192.0.2.11")}) }, APIServerMissesVIP, Error, "192.0.2.10:6443"},
		{"nothing listens yet", func(f *Facts) { group(f).Listeners = Known[[]netip.Addr](nil) }, "", "", ""},

		{"the probe may not ask", func(f *Facts) { answered(f, counter.Unauthorised) }, ProbeUnauthorised, Warning, "api/apiserver"},
		{"the probe does not trust the server", func(f *Facts) { answered(f, counter.Untrusted) }, ProbeUntrusted, Error, "api/apiserver"},
		{"the probe has no CA", func(f *Facts) { answered(f, counter.Unconfigured) }, ProbeUnconfigured, Error, "api/apiserver"},
		{"the probe has no CA before kubeadm", func(f *Facts) { f.Initialised = false; answered(f, counter.Unconfigured) }, ProbeUnconfigured, Info, "api/apiserver"},
		{"the server is down", func(f *Facts) { answered(f, counter.Refused) }, APIServerDown, Warning, "api/apiserver"},
		{"the server hangs", func(f *Facts) { answered(f, counter.Timeout) }, APIServerNotReady, Warning, "api/apiserver"},

		{"the certificate lacks the VIP", func(f *Facts) { group(f).Certificate.Covers = false }, CertificateLacksVIP, Error, "api"},
		{"the certificate ends soon", func(f *Facts) { group(f).Certificate.NotAfter = noon().AddDate(0, 0, 29) }, CertificateEnds, Warning, "api"},
		{"the certificate ended", func(f *Facts) { group(f).Certificate.NotAfter = noon() }, CertificateEnds, Error, "api"},

		{"the kubelet has the VIP", func(f *Facts) { f.Kubelet.Value.NodeIPs = []netip.Addr{addr(vip)} }, NodeIPIsVIP, Error, vip},
		{"the kubelet chooses on the VIP's interface", func(f *Facts) { f.Kubelet.Value.NodeIPs = nil }, NodeIPAbsent, Warning, "eth0"},
		{"the kubelet chooses on another interface", func(f *Facts) { f.Kubelet.Value.NodeIPs, f.DefaultRoutes[0] = nil, "eth1" }, "", "", ""},
		{"the host's name is the VIP", func(f *Facts) { f.NamedBy = []netip.Addr{addr(vip)} }, HostnameIsVIP, Error, "cp1"},
		{"etcd gives the VIP", func(f *Facts) { f.Flags.Value[0].Addr = addr(vip) }, EtcdAdvertisesVIP, Error, vip},
		{"the API server gives the VIP", func(f *Facts) { f.Flags.Value[1].Addr = addr(vip) }, APIServerAdvertisesVIP, Error, vip},
		{"Calico takes the first address", func(f *Facts) { f.CNI = Known(CNI{Where: "calico-node", Known: true}) }, CNIAutodetection, Warning, "Calico"},
		{"Calico cannot be seen through", func(f *Facts) { f.CNI = Known(CNI{Where: "10-calico.conflist"}) }, CNIAutodetection, Info, "Calico"},
		{"Calico takes the node's address", func(f *Facts) {
			f.CNI = Known(CNI{Where: "calico-node", Known: true, Method: "kubernetes-internal-ip"})
		}, "", "", ""},

		{"etcd elects and is down", func(f *Facts) { elected(f).Silent = "connection refused" }, EtcdUnreachable, Error, etcdURL},
		{"etcd tells the peers and is down", func(f *Facts) { followed(f).Silent = "connection refused" }, EtcdUnreachable, Warning, etcdURL},
		{"etcd is down before kubeadm has run", func(f *Facts) { f.Initialised = false; elected(f).Silent = "connection refused" }, EtcdUnreachable, Info, etcdURL},
		{"etcd elects and has no quorum", func(f *Facts) { elected(f).Keyless = "no answer" }, EtcdUnreachable, Error, etcdURL},
		{"etcd tells the peers and has no quorum", func(f *Facts) { followed(f).Keyless = "no answer" }, "", "", ""},
		{"etcd's certificate is of another CA", func(f *Facts) {
			e := elected(f)
			e.Silent, e.Distrust = "ca_file does not hold the CA", true
		}, EtcdCertificate, Error, etcdURL},
		{"the certificate for etcd ends soon", func(f *Facts) { elected(f).ShownUntil = noon().AddDate(0, 0, 29) }, EtcdCertificate, Warning, "/etc/kubernetes/pki/etcd/healthcheck-client.crt"},
		{"the certificate for etcd has ended, and etcd does not mind", func(f *Facts) { elected(f).ShownUntil = noon() }, EtcdCertificate, Error, "/etc/kubernetes/pki/etcd/healthcheck-client.crt"},
		{"etcd elects and has used up its quota", func(f *Facts) { elected(f).Alarms = []string{"NOSPACE"} }, EtcdAlarm, Error, etcdURL},
		{"etcd tells the peers and its members differ", func(f *Facts) { followed(f).Alarms = []string{"CORRUPT"} }, EtcdAlarm, Warning, etcdURL},
		{"this host is no member", func(f *Facts) {
			followed(f).Members = []netip.Addr{addr("192.0.2.12"), addr("192.0.2.10"), addr("127.0.0.1")}
		}, EtcdStranger, Warning, etcdURL},
		{"etcd elects, on other hosts", func(f *Facts) { elected(f).Members = []netip.Addr{addr("198.51.100.1")} }, "", "", ""},
		{"etcd elects and all is well", func(f *Facts) { elected(f) }, "", "", ""},

		{"another program has the port of the metrics", func(f *Facts) {
			f.Sockets = Known([]Socket{{Local: addrPort("0.0.0.0:9650"), Program: Program{"nginx", 5}}})
		}, PortTaken, Error, "metrics.listen"},
		{"another program has the port at another address", func(f *Facts) { f.Sockets = Known([]Socket{{Local: addrPort("192.0.2.11:9650")}}) }, "", "", ""},
		{"another program has the port of hellos", func(f *Facts) {
			f.Sockets = Known([]Socket{{UDP: true, Local: addrPort("[::]:9651"), Program: Program{"socat", 5}}})
		}, PortTaken, Error, "hello.port"},
		{"a BFD daemon has the port", func(f *Facts) {
			watch(f, "")
			f.Sockets = Known([]Socket{{UDP: true, Local: addrPort("0.0.0.0:3784"), Program: Program{"bfdd", 5}}})
		}, PortTaken, Error, "bgp.neighbors[].bfd"},
		{"a BFD daemon has the port on all addresses, and sessions have one of their own", func(f *Facts) {
			watch(f, "192.0.2.12")
			f.Sockets = Known([]Socket{{UDP: true, Local: addrPort("0.0.0.0:3784"), Program: Program{"bfdd", 5}}})
		}, PortTaken, Error, "bgp.neighbors[].bfd"},
		{"a BFD daemon has the port on another address than the sessions'", func(f *Facts) {
			watch(f, "192.0.2.12")
			f.Sockets = Known([]Socket{{UDP: true, Local: addrPort("192.0.2.11:3784"), Program: Program{"bird", 5}}})
		}, "", "", ""},

		{"BIRD speaks BGP too", func(f *Facts) { announce(f, config.AnnounceBGP); f.Speakers = Known([]Program{{"bird", 4}}) }, BGPSpeakerBeside, Warning, "BGP"},
		{"no daemon announces what is left to one", func(f *Facts) { announce(f, config.AnnounceLocal) }, RoutingMissing, Warning, "BGP"},
		{"a session is down", func(f *Facts) {
			f.Status.Value.BGP.Neighbors = []agent.NeighborStatus{{Address: addr("192.0.2.1"), State: bgp.Idle}}
		}, BGPSessionDown, Warning, "192.0.2.1"},
		{"a router does not take IPv6", func(f *Facts) {
			peered(f, agent.NeighborStatus{Error: "the router did not agree to IPv6 unicast"})
		}, BGPSessionFault, Warning, "192.0.2.1"},
		{"a router has no BFD", func(f *Facts) { peered(f, agent.NeighborStatus{BFD: bgp.BFDDown}) }, BFDSessionDown, Warning, "192.0.2.1"},
		{"sessions are well, with BFD and without", func(f *Facts) {
			peered(f, agent.NeighborStatus{BFD: bgp.BFDUp}, agent.NeighborStatus{})
		}, "", "", ""},
		{"the speaker dies again and again", func(f *Facts) { f.Status.Value.BGP.Restarts = 2 }, SpeakerDies, Warning, "BGP"},
		{"somebody ended the speaker once", func(f *Facts) { f.Status.Value.BGP.Restarts = 1 }, "", "", ""},
	}
}

// Each thing that is wrong is found, once, and says what was seen, what to do and
// where to read more.
func TestExamine(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			f := healthy(t)
			r.change(f)
			report := Examine(f)
			var found []Finding
			for _, finding := range report.Findings {
				if finding.ID == r.id || r.id == "" {
					found = append(found, finding)
				}
			}
			if r.id == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("found %d of %s in %+v", len(found), r.id, report.Findings)
			}
			got := found[0]
			if got.Evidence == "" || got.Fix == "" {
				t.Errorf("it does not say what was seen and what to do: %+v", got)
			}
			got.Evidence, got.Fix = "", ""
			want := Finding{ID: r.id, Severity: r.severity, Subject: r.subject, Docs: "docs/doctor.md#" + string(r.id)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Strict filtering elsewhere than on the way to a router, and for IPv6, is no matter.
func TestRPFilterOffTheWayToRouters(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"on another interface": func(f *Facts) { f.Settings.Value["eth1"] = Settings{RPFilter: 1} },
		"with IPv6 VIPs only": func(f *Facts) {
			group(f).Addresses = []netip.Addr{addr("2001:db8::10")}
			f.Settings.Value["eth0"] = Settings{RPFilter: 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			announce(f, config.AnnounceBGP)
			f.Config.BGP.Neighbors = []config.Neighbor{{Address: addr("192.0.2.1")}}
			change(f)
			for _, finding := range Examine(f).Findings {
				if finding.ID == RPFilter {
					t.Errorf("found %+v", finding)
				}
			}
		})
	}
}

// No kind of finding is without a row that provokes it.
func TestEachKindIsProvoked(t *testing.T) {
	for _, id := range IDs() {
		if !slices.ContainsFunc(rows(), func(r row) bool { return r.id == id }) {
			t.Errorf("no row provokes %s", id)
		}
	}
}

// docs/doctor.md has a section for each kind, and for no other.
func TestEachKindHasItsSection(t *testing.T) {
	text, err := os.ReadFile("../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []ID
	for _, match := range regexp.MustCompile(`(?m)^### (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, ID(match[1]))
	}
	want := IDs()
	slices.Sort(want)
	slices.Sort(sections)
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Errorf("docs/doctor.md (-code +document):\n%s", diff)
	}
}

// What could not be looked at is named with its reason, and never good.
func TestWhatCouldNotBeSeen(t *testing.T) {
	const why = "it needs root"
	const whose = "whose port of hello.port is may be seen by root only: sudo vipd doctor"
	rows := []struct {
		name   string
		change func(*Facts)
		checks []string
	}{
		{"the segment", func(f *Facts) {
			group(f).Segment = Unknown[Segment](why)
			group(f).Answers[addr("192.0.2.10")] = Unknown[Answer](why)
		}, []string{"who-answers", "adverts", "hellos"}},
		{"the interfaces", func(f *Facts) { f.Links = Unknown[[]Link](why) }, []string{"interface", "who-holds"}},
		{"the interfaces' settings", func(f *Facts) { f.Settings = Unknown[map[string]Settings](why) }, []string{"interface-settings"}},
		{"the filters", func(f *Facts) { f.WaysOut = Unknown[[]WayOut](why) }, []string{"output-filter"}},
		{"the kernel", func(f *Facts) { f.Kernel = Unknown[Kernel](why) }, []string{"kernel"}},
		{"listeners", func(f *Facts) { group(f).Listeners = Unknown[[]netip.Addr](why) }, []string{"listeners"}},
		{"health", func(f *Facts) { group(f).Probes[0].Missing = why }, []string{"health"}},
		{"files", func(f *Facts) { f.Files = Unknown[[]File](why) }, []string{"file-access"}},
		{"other programs", func(f *Facts) { f.Rivals = Unknown[[]Rival](why) }, []string{"rivals"}},
		{"ports", func(f *Facts) { f.Sockets = Unknown[[]Socket](why) }, []string{"ports"}},
		{"whose a port is", func(f *Facts) {
			f.Sockets = Known([]Socket{{UDP: true, Local: addrPort("[::]:9651")}})
		}, []string{"ports"}},
		{"the pods' network", func(f *Facts) { f.CNI = Unknown[CNI](why) }, []string{"cni"}},
		{"the kubelet", func(f *Facts) { f.Kubelet = Unknown[*Kubelet](why) }, []string{"kubelet"}},
		{"the flags of the control plane", func(f *Facts) { f.Flags = Unknown[[]Flag](why) }, []string{"etcd", "api-server"}},
		{"etcd", func(f *Facts) { elected(f); f.Etcd = Unknown[*Etcd](why) }, []string{"etcd-answers"}},
		{"files that configure the network", func(f *Facts) { f.Mentions = Unknown[[]Mention](why) }, []string{"interface-manager"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			f := healthy(t)
			r.change(f)
			var skipped []string
			for _, c := range Examine(f).Checks {
				if c.Result == Skipped {
					skipped = append(skipped, c.ID)
					if want := []string{why}; !slices.Equal(want, c.Reasons) && !slices.Equal([]string{whose}, c.Reasons) {
						t.Errorf("%s is skipped because of %q, want %q", c.ID, c.Reasons, want)
					}
				}
			}
			if diff := cmp.Diff(r.checks, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

// A part that could be looked at is judged, and what is missing is told beside it.
func TestWhatWasSeenInPart(t *testing.T) {
	const why = "no way leads there"
	f := healthy(t)
	f.WaysOut = Fact[[]WayOut]{Value: []WayOut{{Traffic: Adverts, Link: "eth0", To: addrPort("224.0.0.18:0")}}, Missing: why}
	report := Examine(f)
	if len(report.Findings) != 1 || report.Findings[0].ID != AdvertsBlocked {
		t.Errorf("found %+v", report.Findings)
	}
	i := slices.IndexFunc(report.Checks, func(c Check) bool { return c.ID == "output-filter" })
	if diff := cmp.Diff(Check{ID: "output-filter", Result: Found, Reasons: []string{why}}, report.Checks[i]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a configuration the checks that need one are not good but skipped.
func TestWithoutAConfiguration(t *testing.T) {
	f := healthy(t)
	f.Config, f.Groups, f.Problems = nil, nil, []string{"no such file"}
	var good []string
	for _, c := range Examine(f).Checks {
		if c.Result == Good {
			good = append(good, c.ID)
		}
	}
	if diff := cmp.Diff([]string{"daemon", "peers", "peer-settings", "kernel", "punctuality"}, good); diff != "" {
		t.Errorf("good (-want +got):\n%s", diff)
	}
}

// Errors stand before warnings, and those before notes.
func TestTheWorstFirst(t *testing.T) {
	f := healthy(t)
	f.Managers = []Manager{{Interface: "eth0", NetworkManager: true}}
	f.Warnings = []string{"vips[0].fence: 0s"}
	link(f).Up = false
	var got []Severity
	for _, finding := range Examine(f).Findings {
		got = append(got, finding.Severity)
	}
	if diff := cmp.Diff([]Severity{Error, Warning, Info}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
