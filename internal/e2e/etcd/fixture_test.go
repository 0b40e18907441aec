package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/control"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/etcdcluster"
	"github.com/vipd/vipd/internal/lab/labtest"
	"github.com/vipd/vipd/internal/lab/wire"
)

// theVIP is what all is about, theVIP6 moves with it where a story says so, and
// anotherVIP is elected by itself.
var theVIP, theVIP6, anotherVIP = lab.VIP4(), lab.VIP6(), lab.VIP4().Next()

// group is what the configuration says of a VIP group, beside its health.
type group struct {
	name      string
	addresses []netip.Addr
	keys      []string
}

// stage is a lab with an etcd and vipd on its hosts.
type stage struct {
	*lab.Lab
	t    *testing.T
	ctx  context.Context
	etcd *etcdcluster.Cluster
	// groups are the VIP groups, the one of theVIP first. health is the check of all.
	groups []group
	health string
	// endpoints are where a host's vipd finds etcd; nil: at the member itself.
	endpoints func(h *lab.Host) []string
	// binary is vipd.
	binary  string
	running map[*lab.Host]*lab.Proc
	service *service
}

// open builds a lab of hosts on which nothing runs. keys are those of the VIP's
// group.
func open(t *testing.T, hosts int, keys ...string) *stage {
	t.Helper()
	l := labtest.New(t, lab.Options{Hosts: hosts}, "etcd", "etcdctl")
	c, err := etcdcluster.New(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &stage{
		Lab: l, t: t, ctx: labtest.Context(t, 2*time.Minute), etcd: c,
		groups: []group{{"apiserver", []netip.Addr{theVIP}, keys}}, health: "{type: exec, command: [/bin/true]}",
		binary: labtest.Vipd(), running: map[*lab.Host]*lab.Proc{},
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func dir(h *lab.Host) string { return filepath.Join(h.Dir(), "vipd") }

func socket(h *lab.Host) string { return filepath.Join(dir(h), "vipd.sock") }

// vipd starts the daemon on a host. Its health is always good unless a story says
// otherwise: what it does depends on nothing but etcd and the segment.
func (s *stage) vipd(h *lab.Host) {
	s.t.Helper()
	file := s.configure(h)
	p, err := h.Start("vipd", "nice", "-n", "-15", s.binary, "run", "--config", file)
	s.must(err)
	s.running[h] = p
}

// configure writes a host's configuration.
func (s *stage) configure(h *lab.Host) (file string) {
	s.t.Helper()
	pki := func(name string) string { return filepath.Join(s.etcd.PKI(h), name) }
	endpoints := []string{s.etcd.Endpoint()}
	if s.endpoints != nil {
		endpoints = s.endpoints(h)
	}
	health := s.health
	if s.service != nil {
		health = fmt.Sprintf(health, s.service.program.CAFile(h))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\nvips:\n", h)
	for _, g := range s.groups {
		fmt.Fprintf(&b, "  - name: %s\n    addresses: [%s]\n    health: [%s]\n", g.name, quoted(g.addresses), health)
		for _, key := range g.keys {
			fmt.Fprintf(&b, "    %s\n", key)
		}
	}
	fmt.Fprintf(&b, "etcd: {endpoints: [%s], ca_file: %s, cert_file: %s, key_file: %s}\n", quoted(endpoints),
		pki(etcdcluster.CAFile), pki(etcdcluster.ClientCertFile), pki(etcdcluster.ClientKeyFile))
	fmt.Fprintf(&b, "control: {socket: %s}\nmetrics: {listen: \"\"}\nstate_dir: %s\ndata_dir: %s\n",
		socket(h), filepath.Join(dir(h), "state"), filepath.Join(dir(h), "data"))
	s.must(os.MkdirAll(dir(h), 0o750))
	file = filepath.Join(dir(h), "vipd.yaml")
	s.must(os.WriteFile(file, []byte(b.String()), 0o600))
	return file
}

// quoted is a list in YAML, without its brackets.
func quoted[T any](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = fmt.Sprintf("%q", fmt.Sprint(one))
	}
	return strings.Join(words, ", ")
}

// kill kills a host's daemon.
func (s *stage) kill(h *lab.Host) {
	s.t.Helper()
	s.must(s.running[h].Kill())
	_, err := s.running[h].Wait(s.ctx)
	s.must(err)
}

// status is the status of theVIP's group on a host.
func (s *stage) status(h *lab.Host) (agent.VIPStatus, error) { return s.statusOf(h, s.groups[0]) }

// statusOf is a group's status on a host.
func (s *stage) statusOf(h *lab.Host, of group) (agent.VIPStatus, error) {
	node, err := s.nodeStatus(h)
	if err != nil {
		return agent.VIPStatus{}, err
	}
	for _, v := range node.VIPs {
		if v.Name == of.name {
			return v, nil
		}
	}
	return agent.VIPStatus{}, errors.New("the VIP is not there")
}

// nodeStatus is a host's status.
func (s *stage) nodeStatus(h *lab.Host) (agent.Status, error) {
	client := control.NewClient(socket(h))
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.ctx, time.Second) // a frozen daemon does not answer
	defer cancel()
	return client.Status(ctx)
}

// await waits until a host's status is as wanted.
func (s *stage) await(h *lab.Host, what string, wanted func(agent.VIPStatus) bool) {
	s.t.Helper()
	s.must(lab.AwaitEvery(s.ctx, 20*time.Millisecond, h.Name+" to "+what, func() error {
		v, err := s.status(h)
		if err != nil {
			return err
		}
		if !wanted(v) {
			return fmt.Errorf("it is %s for %s (%s), owner %q, peers %v", v.State, v.Reason, v.Detail, v.Owner, v.Election.Peers)
		}
		return nil
	}))
}

func (s *stage) awaitOwner(h *lab.Host) {
	s.t.Helper()
	s.await(h, "own the VIP", func(v agent.VIPStatus) bool { return v.State == agent.StateOwner })
}

// awaitBackup waits until a host hears the owner.
func (s *stage) awaitBackup(h, owner *lab.Host) {
	s.t.Helper()
	s.await(h, "hear "+owner.Name, func(v agent.VIPStatus) bool {
		return v.State == agent.StateBackup && v.Owner == owner.Addr4.String()
	})
}

// awaitPeers waits until a host sends to others, known from a source.
func (s *stage) awaitPeers(h *lab.Host, from string, others ...*lab.Host) {
	s.t.Helper()
	var want []netip.Addr
	for _, o := range others {
		want = append(want, o.Addr4)
	}
	s.await(h, fmt.Sprintf("have the peers %v from %s", want, from), func(v agent.VIPStatus) bool {
		p := v.Election.Peers
		return slices.Equal(p.From, []string{from}) && slices.Equal(p.Addresses, want)
	})
}

// watch asks for the VIP from now on.
func (s *stage) watch() *wire.Watcher {
	s.t.Helper()
	w, err := wire.Watch(s.Lab, s.Client, theVIP)
	s.must(err)
	return w
}

// seen ends a watch and returns what it saw.
func (s *stage) seen(w *wire.Watcher) wire.Report {
	s.t.Helper()
	report, err := w.Stop()
	s.must(err)
	for _, i := range report.All {
		s.t.Log(i)
	}
	return report
}

// judge is seen, and fails the test if two stations answered at one time.
func (s *stage) judge(w *wire.Watcher) wire.Report {
	s.t.Helper()
	report := s.seen(w)
	for _, two := range report.Two {
		s.t.Errorf("two answered for the VIP: %v", two)
	}
	return report
}
