package lab

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// podLink is a host's end of the link to its pod.
const podLink = "pod0"

// masquerade gives a pod's packets that leave the host by its interface the host's
// own source address, as the bridge plugin of CNI does.
const masquerade = `table inet pods {
	chain post {
		type nat hook postrouting priority srcnat
		oifname %q ip saddr %s masquerade
		oifname %q ip6 saddr %s masquerade
	}
}
`

// AddPod makes a namespace behind a host, like that of a Kubernetes pod: a link of
// its own, a default route by the host, which forwards and masquerades for it.
// One for each host.
func (l *Lab) AddPod(ctx context.Context, h *Host) (*Host, error) {
	const firstNetwork, lastNetwork = 80, 99 // two digits, behind those of segment and router
	network := firstNetwork + slices.Index(l.Hosts, h)
	if network < firstNetwork || network > lastNetwork {
		return nil, fmt.Errorf("add a pod to %s: it is not one of the lab's first %d hosts", h, 1+lastNetwork-firstNetwork)
	}
	inside, outside := place(network, 1), place(network, 10)
	pod, err := l.newNode(l.prefix, "pod-"+h.Name, nil)
	if pod != nil {
		l.Pods = append(l.Pods, pod)
	}
	if err != nil {
		return nil, fmt.Errorf("add a pod to %s: %w", h, err)
	}
	link := veth(podLink, firstPortIndex, pod.ns, outside.mac)
	link.HardwareAddr = inside.mac
	if err := connect(h.ns, link, pod.ns, outside); err != nil {
		return nil, err
	}
	if err := address(h.ns, podLink, inside); err != nil {
		return nil, err
	}
	if err := defaultRoute(pod.ns, inside); err != nil {
		return nil, err
	}
	if err := h.Do(func() error {
		return set([]sysctl{{"net/ipv4/ip_forward", "1"}, {"net/ipv6/conf/all/forwarding", "1"}})
	}); err != nil {
		return nil, err
	}
	rules := fmt.Sprintf(masquerade, h.Interface, inside.four.Masked(), h.Interface, inside.six.Masked())
	if _, err := h.RunInput(ctx, rules, "nft", "-f", "-"); err != nil {
		return nil, err
	}
	pod.Addr4, pod.Addr6, pod.MAC = outside.four.Addr(), outside.six.Addr(), outside.mac
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pod, awaitUp(ctx, pod.ns, pod.Interface)
}
