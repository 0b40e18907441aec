package survey

import (
	"encoding/base64"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
)

// tree makes a root of files by their content.
func tree(t *testing.T, files map[string]string) root {
	t.Helper()
	dir := t.TempDir()
	// The way to a file counts, and this directory's own is for its owner only.
	for up := dir; up != os.TempDir(); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{"/proc/self/ns/net": "-> " + hereNet}
	maps.Copy(all, files)
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, link := strings.CutPrefix(content, "-> "); link {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root(dir)
}

// hereNet is this network namespace in a tree.
const hereNet = "net:[1]"

// running adds a process to a tree: in this network namespace, or another.
func running(files map[string]string, pid int, here bool, args ...string) {
	dir := "/proc/" + strconv.Itoa(pid)
	files[dir+"/cmdline"] = strings.Join(args, "\x00") + "\x00"
	files[dir+"/stat"] = strconv.Itoa(pid) + " (a (b) c) S 1 1"
	files[dir+"/ns/net"] = "-> " + hereNet
	if !here {
		files[dir+"/ns/net"] = "-> net:[2]"
	}
}

func theVIP() netip.Addr { return netip.MustParseAddr("192.0.2.10") }

// at surveys a tree for one VIP, while no daemon runs.
func at(t *testing.T, r root) *survey {
	t.Helper()
	s := &survey{root: r, processes: r.processes()}
	s.facts.Status = doctor.Unknown[agent.Status]("it does not run")
	s.facts.Groups = []doctor.Group{{VIP: config.VIP{Name: "api", Addresses: []netip.Addr{theVIP()}, Port: 6443}}}
	return s
}

func TestRivals(t *testing.T) {
	const same = "vrrp_instance a {\n virtual_ipaddress {\n  192.0.2.10/32\n }\n}\n"
	rows := []struct {
		name  string
		files map[string]string
		start func(files map[string]string)
		want  []string
	}{
		{"nobody", nil, func(map[string]string) {}, nil},
		{"keepalived with its usual file", map[string]string{"/etc/keepalived/keepalived.conf": same}, func(f map[string]string) { running(f, 5, true, "/usr/sbin/keepalived", "-D") }, []string{"keepalived"}},
		{"keepalived with a file of its own", map[string]string{"/etc/k.conf": same}, func(f map[string]string) { running(f, 5, true, "keepalived", "--use-file", "/etc/k.conf") }, []string{"keepalived"}},
		{"keepalived with the VIP in an included file", map[string]string{"/etc/keepalived/keepalived.conf": "include conf.d/*.conf\n", "/etc/keepalived/conf.d/a.conf": same}, func(f map[string]string) { running(f, 5, true, "keepalived") }, []string{"keepalived"}},
		{"keepalived with the VIP in a comment", map[string]string{"/etc/keepalived/keepalived.conf": "# 192.0.2.10\n! 192.0.2.10\n"}, func(f map[string]string) { running(f, 5, true, "keepalived") }, nil},
		{"keepalived with another address", map[string]string{"/etc/keepalived/keepalived.conf": strings.ReplaceAll(same, "192.0.2.10", "192.0.2.100")}, func(f map[string]string) { running(f, 5, true, "keepalived") }, nil},
		{"keepalived in another network namespace", map[string]string{"/etc/keepalived/keepalived.conf": same}, func(f map[string]string) { running(f, 5, false, "keepalived") }, nil},
		{"keepalived that does not run", map[string]string{"/etc/keepalived/keepalived.conf": same}, func(map[string]string) {}, nil},
		{"a manifest of kube-vip", map[string]string{"/etc/kubernetes/manifests/kube-vip.yaml": "image: ghcr.io/kube-vip/kube-vip:v1\n  - name: address\n    value: \"192.0.2.10\"\n"}, func(map[string]string) {}, []string{"kube-vip"}},
		{"a manifest of something else", map[string]string{"/etc/kubernetes/manifests/etcd.yaml": "value: 192.0.2.10\n"}, func(map[string]string) {}, nil},
		{"kube-vip by its environment", map[string]string{"/proc/5/environ": "PATH=/bin\x00address=192.0.2.10\x00"}, func(f map[string]string) { running(f, 5, true, "/kube-vip", "manager") }, []string{"kube-vip"}},
		{"another vipd", map[string]string{"/etc/vipd/vipd.yaml": "vips: [{addresses: [192.0.2.10]}]\n"}, func(f map[string]string) { running(f, 5, true, "/usr/bin/vipd", "run") }, []string{"vipd"}},
		{"a command of vipd", map[string]string{"/etc/vipd/vipd.yaml": "vips: [{addresses: [192.0.2.10]}]\n"}, func(f map[string]string) { running(f, 5, true, "vipd", "doctor") }, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			files := map[string]string{}
			for name, content := range row.files {
				files[name] = content
			}
			row.start(files)
			rivals := at(t, tree(t, files)).findRivals()
			var got []string
			for _, r := range rivals.Value {
				if r.VIP != theVIP() {
					t.Errorf("it has %s", r.VIP)
				}
				got = append(got, r.Program)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestKubelet(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.0.2.11")}
	rows := []struct {
		name  string
		files map[string]string
		args  []string
		want  *doctor.Kubelet
	}{
		{"there is none", nil, nil, nil},
		{"it runs with an address", nil, []string{"/usr/bin/kubelet", "--config=/a", "--node-ip=192.0.2.11"}, &doctor.Kubelet{NodeIPs: own}},
		{"it runs with an address in the next word", nil, []string{"kubelet", "--node-ip", "192.0.2.11"}, &doctor.Kubelet{NodeIPs: own}},
		{"it runs without", nil, []string{"kubelet", "--config=/a"}, &doctor.Kubelet{}},
		{"what runs counts, not the files", map[string]string{"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--node-ip=192.0.2.11\n"}, []string{"kubelet"}, &doctor.Kubelet{}},
		{"kubeadm's file", map[string]string{"/var/lib/kubelet/kubeadm-flags.env": "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///a --node-ip=192.0.2.11\"\n"}, nil, &doctor.Kubelet{NodeIPs: own}},
		{"the package's file, the first flag", map[string]string{"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--node-ip=192.0.2.11\n"}, nil, &doctor.Kubelet{NodeIPs: own}},
		{"a comment in the package's file", map[string]string{"/etc/sysconfig/kubelet": "# KUBELET_EXTRA_ARGS=--node-ip=192.0.2.11\n"}, nil, &doctor.Kubelet{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			files := map[string]string{}
			for name, content := range row.files {
				files[name] = content
			}
			if row.args != nil {
				running(files, 9, true, row.args...)
			}
			got := at(t, tree(t, files)).findKubelet().Value
			if diff := cmp.Diff(row.want, got, cmpopts.IgnoreFields(doctor.Kubelet{}, "Where"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsOfTheControlPlane(t *testing.T) {
	const etcd = "spec:\n  containers:\n  - command:\n    - etcd\n    - --advertise-client-urls=https://192.0.2.10:2379\n    - --listen-client-urls=https://127.0.0.1:2379,https://192.0.2.11:2379\n"
	files := map[string]string{"/etc/kubernetes/manifests/etcd.yaml": etcd}
	running(files, 5, true, "kube-apiserver", "--advertise-address=192.0.2.11")
	var got []string
	for _, f := range at(t, tree(t, files)).findFlags().Value {
		got = append(got, f.Component+" "+f.Name+" "+f.Addr.String())
	}
	slices.Sort(got)
	want := []string{
		"etcd --advertise-client-urls 192.0.2.10", "etcd --listen-client-urls 127.0.0.1", "etcd --listen-client-urls 192.0.2.11",
		"kube-apiserver --advertise-address 192.0.2.11",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCalico(t *testing.T) {
	rows := []struct {
		name  string
		files map[string]string
		runs  bool
		want  doctor.CNI
	}{
		{"none", nil, false, doctor.CNI{}},
		{"its files only", map[string]string{"/etc/cni/net.d/10-calico.conflist": "{}"}, false, doctor.CNI{Where: "/etc/cni/net.d/10-calico.conflist"}},
		{"it runs and says nothing", map[string]string{"/proc/5/environ": "PATH=/bin\x00"}, true, doctor.CNI{Where: "calico-node (pid 5)", Known: true}},
		{"it runs and says how", map[string]string{"/proc/5/environ": "PATH=/bin\x00IP_AUTODETECTION_METHOD=can-reach=192.0.2.1\x00"}, true, doctor.CNI{Where: "calico-node (pid 5)", Method: "can-reach=192.0.2.1", Known: true}},
		{"it runs and its environment may not be seen", nil, true, doctor.CNI{Where: "calico-node (pid 5)"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			files := map[string]string{}
			for name, content := range row.files {
				files[name] = content
			}
			if row.runs {
				running(files, 5, true, "calico-node", "-felix")
			}
			if diff := cmp.Diff(doctor.Known(row.want), at(t, tree(t, files)).findCNI()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestManagers(t *testing.T) {
	const network = "/run/systemd/network/10-netplan-eth0.network"
	const state = "ADMIN_STATE=configured\nNETWORK_FILE=" + network + "\n"
	rows := []struct {
		name  string
		files map[string]string
		want  []doctor.Manager
	}{
		{"nobody", nil, nil},
		{"networkd", map[string]string{"/run/systemd/netif/links/2": state, network: "[Network]\nDHCP=yes\n"}, []doctor.Manager{{Interface: "eth0", File: network}}},
		{"networkd, and the drop-in is there", map[string]string{"/run/systemd/netif/links/2": state, "/etc/systemd/network/10-netplan-eth0.network.d/vipd.conf": "[Network]\nKeepConfiguration=yes\n"}, []doctor.Manager{{Interface: "eth0", File: network, Keeps: true}}},
		{"networkd, and a drop-in is a comment", map[string]string{"/run/systemd/netif/links/2": state, "/etc/systemd/network/10-netplan-eth0.network.d/vipd.conf": "# KeepConfiguration=yes\n"}, []doctor.Manager{{Interface: "eth0", File: network}}},
		{"networkd keeps what DHCP gave only", map[string]string{"/run/systemd/netif/links/2": state, network: "KeepConfiguration=dhcp\n"}, []doctor.Manager{{Interface: "eth0", File: network}}},
		{"networkd leaves the interface alone", map[string]string{"/run/systemd/netif/links/2": "ADMIN_STATE=unmanaged\nNETWORK_FILE=" + network}, nil},
		{"NetworkManager", map[string]string{"/run/NetworkManager/devices/2": "[device]\nmanaged=true\nconnection-uuid=a\n"}, []doctor.Manager{{Interface: "eth0", NetworkManager: true}}},
		{"NetworkManager leaves it alone", map[string]string{"/run/NetworkManager/devices/2": "[device]\nmanaged=false\n"}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := tree(t, row.files).managers([]doctor.Link{{Name: "eth0"}}, map[string]int{"eth0": 2})
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The drop-in that the package brings is one that makes networkd keep addresses.
func TestPackagedDropInKeeps(t *testing.T) {
	text, err := os.ReadFile("../../systemd/vipd-networkd.conf")
	if err != nil {
		t.Fatal(err)
	}
	r := tree(t, map[string]string{"/etc/systemd/network/a.network.d/vipd.conf": string(text)})
	if !r.keeps("/etc/systemd/network/a.network") {
		t.Error("it does not")
	}
}

func TestMentions(t *testing.T) {
	r := tree(t, map[string]string{
		"/etc/netplan/01.yaml":                                     "network:\n  addresses:\n    - 192.0.2.11/24\n    - 192.0.2.10/24\n",
		"/etc/netplan/02.yaml":                                     "# 192.0.2.10\naddresses: [192.0.2.100/24]\n",
		"/etc/systemd/network/eth0.network":                        "Address=192.0.2.10/32\n",
		"/etc/network/interfaces":                                  "address 192.0.2.11\n  up ip addr add 192.0.2.10 dev eth0\n",
		"/etc/NetworkManager/system-connections/eth0.nmconnection": "address1=192.0.2.10/24,192.0.2.1\n",
	})
	want := []doctor.Mention{
		{File: "/etc/netplan/01.yaml", Line: 4, VIP: theVIP()},
		{File: "/etc/systemd/network/eth0.network", Line: 1, VIP: theVIP()},
		{File: "/etc/NetworkManager/system-connections/eth0.nmconnection", Line: 1, VIP: theVIP()},
		{File: "/etc/network/interfaces", Line: 2, VIP: theVIP()},
	}
	if diff := cmp.Diff(want, r.mentions([]netip.Addr{theVIP()}).Value, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostsFile(t *testing.T) {
	r := tree(t, map[string]string{"/etc/hosts": "127.0.0.1 localhost\n192.0.2.10 api cp1 # the VIP\n2001:db8::11\tcp1\n192.0.2.99 cp10\n"})
	want := []netip.Addr{theVIP(), netip.MustParseAddr("2001:db8::11")}
	if diff := cmp.Diff(want, r.namedBy("cp1"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnit(t *testing.T) {
	unit, err := os.ReadFile("../../systemd/vipd.service")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile("../../systemd/vipd-keys.conf")
	if err != nil {
		t.Fatal(err)
	}
	const path, dropIn = "/usr/lib/systemd/system/vipd.service", "/etc/systemd/system/vipd.service.d/"
	rows := []struct {
		name  string
		files map[string]string
		want  doctor.Unit
	}{
		{"it is not installed", nil, doctor.Unit{}},
		{"as the package has it", map[string]string{path: string(unit)}, doctor.Unit{Path: path, User: "vipd"}},
		{"enabled", map[string]string{path: string(unit), "/etc/systemd/system/multi-user.target.wants/vipd.service": "-> " + path}, doctor.Unit{Path: path, User: "vipd", Enabled: true}},
		{"with the drop-in for keys", map[string]string{path: string(unit), dropIn + "vipd-keys.conf": string(keys)}, doctor.Unit{Path: path, User: "vipd", ReadsAll: true}},
		{"as root", map[string]string{path: string(unit), dropIn + "a.conf": "[Service]\nUser=root\n"}, doctor.Unit{Path: path, User: "root", ReadsAll: true}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, tree(t, row.files).unit()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// list is an access list as acl(5) has it: read for a user and a group, bounded by
// a mask.
func accessListOf(t *testing.T, entries ...aclEntry) []byte {
	t.Helper()
	b := []byte{2, 0, 0, 0}
	for _, e := range entries {
		b = append(b, byte(e.tag), 0, byte(e.perm), 0, byte(e.id), byte(e.id>>8), byte(e.id>>16), byte(e.id>>24))
	}
	return b
}

func TestFileAccess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files to others")
	}
	const user, group, nobody = 901, 902, ^uint32(0)
	acl := func(mask, userPerm uint16) []byte {
		return accessListOf(t, aclEntry{1, 6, nobody}, aclEntry{aclUserNamed, userPerm, user}, aclEntry{aclGroupOwner, 0, nobody}, aclEntry{aclMask, mask, nobody}, aclEntry{0x20, 0, nobody})
	}
	const file = "/etc/vipd/key"
	rows := []struct {
		name   string
		mode   os.FileMode
		uid    int
		gid    int
		dir    os.FileMode
		acl    []byte
		runs   bool
		all    bool
		denied string
	}{
		{"everybody may", 0o644, 0, 0, 0o755, nil, false, false, ""},
		{"root alone may", 0o600, 0, 0, 0o755, nil, false, false, file},
		{"root alone may, and the unit reads all", 0o600, 0, 0, 0o755, nil, false, true, ""},
		{"its owner may", 0o400, user, 0, 0o755, nil, false, false, ""},
		{"its owner may not, though others may", 0o044, user, 0, 0o755, nil, false, false, file},
		{"its group may", 0o640, 0, group, 0o755, nil, false, false, ""},
		{"its group may not, though others may", 0o604, 0, group, 0o755, nil, false, false, file},
		{"the directory may not be entered", 0o644, 0, 0, 0o700, nil, false, false, "/etc/vipd"},
		{"the access list names the user", 0o640, 0, 0, 0o755, acl(4, 4), false, false, ""},
		{"the mask takes it back", 0o600, 0, 0, 0o755, acl(0, 4), false, false, file},
		{"a program that may be read only", 0o644, 0, 0, 0o755, nil, true, false, file},
		{"a program that may be run", 0o755, 0, 0, 0o755, nil, true, false, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := tree(t, map[string]string{file: "x", "/etc/passwd": "root:x:0:0::/:/\nvipd:x:901:901::/:/\n", "/etc/group": "keys:x:902:a,vipd\n"})
			for _, err := range []error{
				os.Chown(r.path(file), row.uid, row.gid), os.Chmod(r.path(file), row.mode), os.Chmod(r.path("/etc/vipd"), row.dir),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if row.acl != nil {
				if err := setACL(r.path(file), row.acl); err != nil {
					t.Skipf("no access lists here: %v (%s)", err, base64.StdEncoding.EncodeToString(row.acl))
				}
			}
			who, err := r.reader("vipd")
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.lookAt(doctor.File{Key: "auth_key_file", Path: file, Runs: row.runs}, who, row.all)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Exists || got.Denied != row.denied {
				t.Errorf("exists %v, denied by %q, want %q", got.Exists, got.Denied, row.denied)
			}
		})
	}
	t.Run("a file that is not there", func(t *testing.T) {
		if got, err := tree(t, nil).lookAt(doctor.File{Path: "/nonexistent"}, reader{uid: user}, false); err != nil || got.Exists {
			t.Errorf("exists %v, %v", got.Exists, err)
		}
	})
	t.Run("a user that is not there", func(t *testing.T) {
		if _, err := tree(t, nil).reader("vipd"); err == nil {
			t.Error("he is there")
		}
	})
}

func TestSockets(t *testing.T) {
	const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	row := func(local, state, inode string) string {
		return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0 100 0 0 10 0\n"
	}
	files := map[string]string{
		"/proc/net/tcp":  heading + row("0100007F:25B2", "0A", "11") + row("0100007F:25B3", "01", "12") + row("00000000:00B3", "0A", "14"),
		"/proc/net/udp6": heading + row("00000000000000000000000000000000:25B3", "07", "13"),
		"/proc/5/fd/3":   "-> socket:[11]",
		"/proc/6/fd/3":   "-> socket:[13]",
		"/proc/7/fd/3":   "-> socket:[14]",
	}
	running(files, 5, true, "nginx")
	running(files, 6, true, "vipd", "run")
	running(files, 7, true, "bird")
	s := at(t, tree(t, files))
	s.facts.Status = doctor.Known(agent.Status{PID: 6})
	want := []doctor.Socket{
		{Local: netip.MustParseAddrPort("127.0.0.1:9650"), Program: doctor.Program{Name: "nginx", PID: 5}},
		{Local: netip.MustParseAddrPort("0.0.0.0:179"), Program: doctor.Program{Name: "bird", PID: 7}},
		{UDP: true, Local: netip.MustParseAddrPort("[::]:9651"), Program: doctor.Program{Name: "vipd", PID: 6}, Ours: true},
	}
	sockets := s.findSockets().Value
	if diff := cmp.Diff(want, sockets, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]doctor.Program{{Name: "bird", PID: 7}}, s.findSpeakers(sockets).Value); diff != "" {
		t.Errorf("BGP (-want +got):\n%s", diff)
	}
}

func TestIPVS(t *testing.T) {
	r := tree(t, map[string]string{"/proc/net/ip_vs": "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n" +
		"TCP  C000020A:192B rr\n  -> C000020B:192B      Masq    1      0          0\nUDP  C000020A:0035 rr\nTCP  [2001:0db8:0000:0000:0000:0000:0000:0010]:192B rr\n"})
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:6443"), netip.MustParseAddrPort("[2001:db8::10]:6443")}
	if diff := cmp.Diff(want, r.ipvs().Value, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	r := tree(t, map[string]string{
		"/proc/sys/net/ipv4/conf/all/arp_ignore": "1\n", "/proc/sys/net/ipv4/conf/eth0/arp_ignore": "0\n",
		"/proc/sys/net/ipv4/conf/all/rp_filter": "0\n", "/proc/sys/net/ipv4/conf/eth0/rp_filter": "2\n",
		"/proc/sys/net/ipv6/conf/eth0/disable_ipv6": "1\n",
	})
	got, err := r.settings("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doctor.Settings{ARPIgnore: 1, RPFilter: 2, IPv6Off: true}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAddressesInText(t *testing.T) {
	rows := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "version 1.2", nil},
		{"a prefix", "addr 192.0.2.10/24", []string{"192.0.2.10"}},
		{"a URL", "https://192.0.2.10:2379,https://[2001:db8::1]:2379", []string{"192.0.2.10", "2001:db8::1"}},
		{"quotes", `"192.0.2.10"`, []string{"192.0.2.10"}},
		{"the end of a sentence", "it is 192.0.2.10.", []string{"192.0.2.10"}},
		{"a longer number is another address", "192.0.2.100 1192.0.2.10", []string{"192.0.2.100"}},
		{"an IPv6 prefix", "2001:db8::10/64", []string{"2001:db8::10"}},
		{"a key of YAML", "a: 192.0.2.10", []string{"192.0.2.10"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, a := range addressesIn(row.text) {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A daemon that does not answer, as a frozen one, is the one with this
// configuration, and no rival.
func TestDaemonThatDoesNotAnswer(t *testing.T) {
	files := map[string]string{"/etc/vipd/vipd.yaml": "vips: [{addresses: [192.0.2.10]}]\n"}
	running(files, 5, true, "/usr/bin/vipd", "run")
	s := at(t, tree(t, files))
	s.Path = "/etc/vipd/vipd.yaml"
	if s.pid() != 5 {
		t.Errorf("the daemon is process %d, want 5", s.pid())
	}
	if rivals := s.findRivals().Value; len(rivals) > 0 {
		t.Errorf("rivals: %+v", rivals)
	}
}
