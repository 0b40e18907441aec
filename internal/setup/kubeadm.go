package setup

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vipd/vipd/config"
)

// ClusterConfiguration is the fragment of kubeadm's configuration
// (kubeadm.k8s.io/v1beta4) that makes a cluster use a VIP group. The notes say
// what else kubeadm has to be told, elsewhere.
func ClusterConfiguration(v config.VIP) (file []byte, notes []string, err error) {
	host, port, err := net.SplitHostPort(v.Endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("read the endpoint of %s: %w", v.Name, err) // config has checked it
	}
	d := config.NewDraft("# For kubeadm init --config, with what else the cluster needs.")
	d.Text("apiVersion", "kubeadm.k8s.io/v1beta4", "")
	d.Text("kind", "ClusterConfiguration", "")
	// kubeadm takes only lower-case names (RFC 1123).
	d.Text("controlPlaneEndpoint", net.JoinHostPort(strings.ToLower(host), port), "")
	if names := missing(v.Addresses, host); len(names) > 0 {
		d.Section("apiServer").List("certSANs", names, "kubeadm adds the endpoint by itself, but not these")
	}
	file, err = d.YAML()
	return file, portNotes(v, port), err
}

// missing are the VIPs that kubeadm does not put into the API server's
// certificate by itself: it adds the host of controlPlaneEndpoint, and never
// what a name stands for (GetAPIServerAltNames in kubeadm's pkiutil).
func missing(vips []netip.Addr, endpoint string) []string {
	var names []string
	covered, _ := netip.ParseAddr(endpoint) // a name covers no address
	for _, a := range vips {
		if a != covered {
			names = append(names, a.String())
		}
	}
	return names
}

func portNotes(v config.VIP, endpoint string) []string {
	const usual = 6443 // kubeadm's default of localAPIEndpoint.bindPort
	var notes []string
	if port := strconv.Itoa(int(v.Port)); endpoint != port {
		notes = append(notes, fmt.Sprintf("The endpoint has port %s and the VIP serves port %s: something between has to translate", endpoint, port))
	}
	if v.Port != usual {
		notes = append(notes, fmt.Sprintf("The API servers have to listen on port %d: localAPIEndpoint.bindPort in InitConfiguration, controlPlane.localAPIEndpoint.bindPort in JoinConfiguration", v.Port))
	}
	return notes
}
