package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kubelet is this host's.
type Kubelet struct {
	// Where its flags were seen.
	Where string
	// NodeIPs are those of --node-ip; empty: it has no such flag.
	NodeIPs []netip.Addr
}

// Flag is an address in the flags of a component of the control plane.
type Flag struct {
	// Component is etcd or kube-apiserver, Where its manifest or process.
	Component, Where string
	Name             string
	Addr             netip.Addr
}

// CNI is what can be seen of the pods' network.
type CNI struct {
	// Where it was seen; empty: there is no Calico.
	Where string
	// Method is Calico's IP_AUTODETECTION_METHOD; Known: it could be seen.
	Method string
	Known  bool
}

// judgeKubelet looks whether the kubelet may take the VIP for the node's address.
func judgeKubelet(f *Facts, v *verdict) {
	v.groups(f)
	for _, addr := range f.NamedBy {
		if f.isVIP(addr) {
			v.found(HostnameIsVIP, Error, f.Hostname, "/etc/hosts names the VIP "+addr.String()+" with this host's name, so programs take it for the node's address",
				"give the name the node's own address there")
		}
	}
	kubelet, known := seen(v, f.Kubelet)
	if kubelet == nil {
		if known {
			v.needless("there is no kubelet on this host yet")
		}
		return
	}
	for _, addr := range kubelet.NodeIPs {
		if f.isVIP(addr) {
			v.found(NodeIPIsVIP, Error, addr.String(), kubelet.Where+" has it as --node-ip, and the VIP moves", "--node-ip=ADDRESS with the node's own one (KUBELET_EXTRA_ARGS, or nodeRegistration.kubeletExtraArgs)")
		}
	}
	if len(kubelet.NodeIPs) > 0 {
		return
	}
	for i := range f.Groups {
		g := &f.Groups[i]
		if way := f.DefaultRoutes[index(g.isIPv6())]; way != "" && way == g.Link {
			v.found(NodeIPAbsent, Warning, g.Link, fmt.Sprintf("%s has no --node-ip, so the kubelet takes an address of %s, which has the VIP at times; vipd keeps the node's own first", kubelet.Where, g.Link),
				"--node-ip=ADDRESS with the node's own one (KUBELET_EXTRA_ARGS, or nodeRegistration.kubeletExtraArgs)")
			return
		}
	}
}

func index(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

// judgeEtcd looks whether etcd gives the VIP for its own address.
func judgeEtcd(f *Facts, v *verdict) {
	judgeFlags(f, v, "etcd", EtcdAdvertisesVIP, "kubeadm writes the node's address there if localAPIEndpoint.advertiseAddress is the node's own")
}

// judgeAPIServer looks whether the API server gives the VIP for its own address.
func judgeAPIServer(f *Facts, v *verdict) {
	judgeFlags(f, v, "kube-apiserver", APIServerAdvertisesVIP, "localAPIEndpoint.advertiseAddress (kubeadm) must be the node's own address, and --bind-address 0.0.0.0 or ::")
}

func judgeFlags(f *Facts, v *verdict, component string, id ID, fix string) {
	v.groups(f)
	there := false
	flags, known := seen(v, f.Flags)
	for _, flag := range flags {
		if flag.Component != component {
			continue
		}
		there = true
		if f.isVIP(flag.Addr) {
			v.found(id, Error, flag.Addr.String(), fmt.Sprintf("%s has it in %s: it is not the node's, it moves", flag.Where, flag.Name), fix)
		}
	}
	if !there && known {
		v.needless("there is no " + component + " on this host yet")
	}
}

// judgeCNI looks whether the pods' network may take the VIP for the node's
// address.
func judgeCNI(f *Facts, v *verdict) {
	v.groups(f)
	cni, ok := seen(v, f.CNI)
	if !ok {
		return
	}
	const fix = "kubectl set env -n kube-system daemonset/calico-node IP_AUTODETECTION_METHOD=kubernetes-internal-ip (with the operator: nodeAddressAutodetectionV4.kubernetes: NodeInternalIP)"
	first := cni.Method == "" || strings.HasPrefix(cni.Method, "first-found")
	switch {
	case cni.Where == "":
		v.needless("no Calico was seen on this host")
	case !cni.Known:
		v.found(CNIAutodetection, Info, "Calico", cni.Where+" is there; how it finds the node's address cannot be seen from here, and first-found, its default, may find the VIP", fix)
	case first && slices.ContainsFunc(f.Groups, func(g Group) bool { return !g.Announce.Routed() }):
		v.found(CNIAutodetection, Warning, "Calico", cni.Where+" takes the first address that it finds (first-found), which may be the VIP", fix)
	}
}
