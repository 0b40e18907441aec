package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Etcd tells where the cluster's etcd is, and what proves who is who.
type Etcd struct {
	// Endpoints are URLs of client ports, at least one, all https or all http.
	Endpoints []string
	// CAFile verifies etcd; empty: the system's CA certificates do.
	CAFile string
	// CertFile and KeyFile are shown to etcd; empty: nothing is.
	CertFile, KeyFile string
}

// UsesEtcd tells whether anything of the configuration needs etcd.
func (c *Config) UsesEtcd() bool {
	return c.FollowsMembers() || slices.ContainsFunc(c.VIPs, func(v VIP) bool { return v.Election == ElectionEtcd })
}

// FollowsMembers tells whether peers of any kind are etcd's members.
func (c *Config) FollowsMembers() bool {
	return c.Hello.EtcdPeers || slices.ContainsFunc(c.VIPs, func(v VIP) bool { return v.VRRP.EtcdPeers })
}

// defaultEtcd is the member on this node with the files that kubeadm makes.
func defaultEtcd() Etcd {
	const pki = "/etc/kubernetes/pki/etcd/"
	return Etcd{
		Endpoints: []string{"https://127.0.0.1:2379"},
		CAFile:    pki + "ca.crt",
		CertFile:  pki + "healthcheck-client.crt",
		KeyFile:   pki + "healthcheck-client.key",
	}
}

func etcdKeys() []key[Etcd] {
	return []key[Etcd]{
		{
			name:  "endpoints",
			value: list(text(etcdEndpoint), func(e *Etcd) *[]string { return &e.Endpoints }),
		},
		{
			name:  "ca_file",
			value: one(text(either(filePath)), func(e *Etcd) *string { return &e.CAFile }),
		},
		{
			name:  "cert_file",
			value: one(text(either(filePath)), func(e *Etcd) *string { return &e.CertFile }),
		},
		{
			name:  "key_file",
			value: one(text(either(filePath)), func(e *Etcd) *string { return &e.KeyFile }),
		},
	}
}

// etcdEndpoint accepts the URL of a member's client port.
func etcdEndpoint(s string) error {
	if err := webURL(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%s is no URL: %w", quote(s), plainCause(err))
	case u.Port() == "":
		return fmt.Errorf("%s has no port; write https://host:2379", quote(s))
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery:
		return errors.New(quote(s) + " has a path; write https://host:2379")
	}
	return nil
}

// checkEtcd reports endpoints that do not go together, and half a certificate.
func checkEtcd(e *Etcd, f *findings) {
	if len(e.Endpoints) == 0 {
		f.add("etcd.endpoints", "needs at least one; write [\"https://127.0.0.1:2379\"]")
	}
	scheme := func(endpoint string) string { before, _, _ := strings.Cut(endpoint, ":"); return before }
	for i, endpoint := range e.Endpoints {
		at := element("etcd.endpoints", i)
		switch {
		case endpoint == "":
		case slices.Contains(e.Endpoints[:i], endpoint):
			f.add(at, "%s is in the list twice", endpoint)
		case scheme(endpoint) != scheme(e.Endpoints[0]):
			f.add(at, "%s and %s: write https for all, or http for all", e.Endpoints[0], endpoint)
		}
	}
	switch {
	case e.CertFile != "" && e.KeyFile == "":
		f.add("etcd.cert_file", "needs key_file too")
	case e.KeyFile != "" && e.CertFile == "":
		f.add("etcd.key_file", "needs cert_file too")
	}
}

// maxClaims is how many addresses a group may have that etcd elects: two comparisons
// each, and a few more, are one transaction, which etcd takes up to 128 of
// (--max-txn-ops).
const maxClaims = 60

// checkLease reports settings of another election. Beside a lease there is no
// preemption: who holds it keeps it inside its band.
func checkLease(v *VIP, at string, f *findings) {
	switch {
	case v.Election != ElectionEtcd && v.Etcd != defaultVIP().Etcd:
		f.add(member(at, "etcd"), "is for election: etcd; this group's is %s", v.Election)
	case v.Election == ElectionEtcd && v.Fence == 0:
		f.add(member(at, "fence"), "0s lets a frozen daemon keep the VIP beyond its lease; write 1s or more")
	case v.Election == ElectionEtcd && len(v.Addresses) > maxClaims:
		f.add(member(at, "addresses"), "%d of them are more than etcd compares at once with election: etcd; write at most %d, and another group for the others", len(v.Addresses), maxClaims)
	case v.Election == ElectionEtcd && v.VRRP.Preempt == PreemptAlways:
		f.add(member(at, "vrrp.preempt"), "always is for election: vrrp; a lease stays where it is while its holder is healthy")
	}
}

// nameWarnings are of VIPs that etcd elects by a name that is their place in the file:
// on another node another VIP may have that place.
func nameWarnings(c *Config) []string {
	var all []string
	for i, v := range c.VIPs {
		if len(c.VIPs) > 1 && v.Election == ElectionEtcd && v.Name == placeName(i) {
			all = append(all, fmt.Sprintf("%s: %s is the VIP's place in the file, and has to mean the same addresses on all nodes with election: etcd; write a name of its own, such as apiserver, on all of them", member(element("vips", i), "name"), v.Name))
		}
	}
	return all
}

// etcdWord stands in a list of peers for the members of etcd.
const etcdWord = "etcd"

// peers is a key with a list of addresses, of which the word etcd may be one.
func peers[T any](addresses func(*T) *[]netip.Addr, etcd func(*T) *bool) value[T] {
	k := peerAddress()
	return leaf(
		func(f *findings, at string, n *yaml.Node, into *T) {
			var all []netip.Addr
			members := false
			if readElements(f, at, n, func(at string, n *yaml.Node) {
				if n.Kind != yaml.ScalarNode || n.Value != etcdWord {
					a, _ := readScalar(f, at, n, k)
					all = append(all, a)
					return
				}
				if members {
					f.add(at, "%s is in the list twice", etcdWord)
				}
				members = true
				f.words[at] = true
			}) {
				*addresses(into), *etcd(into) = all, members
			}
		},
		func(from *T) *yaml.Node {
			n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			if *etcd(from) {
				n.Content = append(n.Content, textNode(etcdWord))
			}
			for _, a := range *addresses(from) {
				n.Content = append(n.Content, k.node(a))
			}
			return n
		},
	)
}

// elementOf is the path of the i-th address of a list of peers as it is written.
func (f *findings) elementOf(at string, i int) string {
	for j := 0; ; j++ {
		switch {
		case f.words[element(at, j)]:
		case i == 0:
			return element(at, j)
		default:
			i--
		}
	}
}
