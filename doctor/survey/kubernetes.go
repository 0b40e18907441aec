package survey

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/vipd/vipd/doctor"
)

// kubeletFiles are where packages and kubeadm put the kubelet's flags.
func kubeletFiles() []string {
	return []string{"/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet"}
}

// findKubelet reads the kubelet's flags: of the process if it runs, else of the
// files that will be used.
func (s *survey) findKubelet() doctor.Fact[*doctor.Kubelet] {
	for _, p := range s.processes.Value {
		if p.name == "kubelet" {
			return doctor.Known(kubelet(p.where(), p.args))
		}
	}
	var args, files []string
	for _, file := range kubeletFiles() {
		if text := s.root.read(file); text != "" {
			files = append(files, file)
			args = append(args, strings.FieldsFunc(withoutComments(text, "#"), func(r rune) bool { return strings.ContainsRune(" \"'\n", r) })...)
		}
	}
	// What runs counts, if it is one that may not be seen.
	f := doctor.Fact[*doctor.Kubelet]{Missing: s.processes.Missing}
	if len(files) > 0 && f.Missing == "" {
		f.Value = kubelet("the kubelet ("+strings.Join(files, ", ")+")", args)
	}
	return f
}

func kubelet(where string, args []string) *doctor.Kubelet {
	k := &doctor.Kubelet{Where: where}
	if value, ok := flagValue(args, "--node-ip", "-node-ip", "KUBELET_EXTRA_ARGS=--node-ip"); ok {
		k.NodeIPs = addressesIn(value)
	}
	// In a file the first flag follows the name of the variable.
	for _, arg := range args {
		if _, value, ok := strings.Cut(arg, "=--node-ip="); ok {
			k.NodeIPs = addressesIn(value)
		}
	}
	return k
}

// namedBy are the addresses that /etc/hosts has for a name.
func (r root) namedBy(name string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(withoutComments(r.read("/etc/hosts"), "#")) {
		fields := strings.Fields(line)
		for i := 1; i < len(fields); i++ {
			if fields[i] == name {
				all = append(all, addressesIn(fields[0])...)
			}
		}
	}
	return all
}

// Flags by which a component says what address it has. A URL may be among them.
func addressFlags() map[string][]string {
	return map[string][]string{
		"etcd":           {"--advertise-client-urls", "--initial-advertise-peer-urls", "--listen-client-urls", "--listen-peer-urls"},
		"kube-apiserver": {"--advertise-address", "--bind-address"},
	}
}

// findFlags reads the addresses in the flags of etcd and the API server, of their
// manifests and of the processes.
func (s *survey) findFlags() doctor.Fact[[]doctor.Flag] {
	var all []doctor.Flag
	add := func(component, where string, args []string) {
		for _, name := range addressFlags()[component] {
			value, _ := flagValue(args, name)
			for _, addr := range addressesIn(value) {
				all = append(all, doctor.Flag{Component: component, Where: where, Name: name, Addr: addr})
			}
		}
	}
	for component := range addressFlags() {
		file := "/etc/kubernetes/manifests/" + component + ".yaml"
		if text := s.root.read(file); text != "" {
			add(component, file, manifestArgs(text))
			continue
		}
		for _, p := range s.processes.Value {
			if p.name == component {
				add(component, p.where(), p.args)
			}
		}
	}
	return doctor.Fact[[]doctor.Flag]{Value: all, Missing: s.processes.Missing}
}

// manifestArgs are the flags of a static pod's command, which kubeadm writes as a
// list with one a line.
func manifestArgs(text string) []string {
	item := regexp.MustCompile(`(?m)^\s*-\s+["']?(--[^"'\s]+)`)
	found := item.FindAllStringSubmatch(text, -1)
	all := make([]string, 0, len(found))
	for _, match := range found {
		all = append(all, match[1])
	}
	return all
}

// findCNI looks for Calico, which chooses the node's address by itself.
func (s *survey) findCNI() doctor.Fact[doctor.CNI] {
	for _, p := range s.processes.Value {
		if p.name != "calico-node" {
			continue
		}
		// Its backend decides nothing: the start-up and monitoring of addresses do, in
		// the same pod and with the same environment.
		method, _ := p.variable("IP_AUTODETECTION_METHOD")
		_, seen := p.variable("PATH")
		return doctor.Known(doctor.CNI{Where: p.where(), Method: method, Known: seen})
	}
	for _, file := range s.root.glob("/etc/cni/net.d/*calico*") {
		return doctor.Known(doctor.CNI{Where: file})
	}
	return doctor.Fact[doctor.CNI]{Missing: s.processes.Missing}
}
