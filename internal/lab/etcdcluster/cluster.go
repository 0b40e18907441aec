package etcdcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/apiserver"
)

// poll is the pause between two looks at a member.
const poll = 50 * time.Millisecond

// callTimeout bounds a call that changes the members: one that was handed to a
// leader that is gone has no answer.
const callTimeout = 5 * time.Second

// ClientPort is the TCP port that clients ask; members ask each other on the next.
const ClientPort = 2379

// Cluster is an etcd cluster in a lab. Its methods are for one goroutine.
type Cluster struct {
	lab *lab.Lab
	ca  *apiserver.CA
	// running are the processes of members, by host.
	running map[*lab.Host]*lab.Proc
	clients map[*lab.Host]*clientv3.Client
}

// New prepares a cluster without members.
func New(l *lab.Lab) (*Cluster, error) {
	ca, err := apiserver.NamedCA("etcd-ca")
	if err != nil {
		return nil, err
	}
	return &Cluster{lab: l, ca: ca, running: map[*lab.Host]*lab.Proc{}, clients: map[*lab.Host]*clientv3.Client{}}, nil
}

// Close ends the clients; the members end with their lab.
func (c *Cluster) Close() {
	for _, client := range c.clients {
		_ = client.Close() // nothing is asked any more
	}
	clear(c.clients)
}

// PKI is the directory of a host's certificates. Those of a host that never was a
// member are not there, as before kubeadm init.
func (c *Cluster) PKI(h *lab.Host) string { return filepath.Join(h.Dir(), "pki", "etcd") }

// Endpoint is the URL at which a host's processes find its member.
func (c *Cluster) Endpoint() string { return fmt.Sprintf("https://127.0.0.1:%d", ClientPort) }

func data(h *lab.Host) string { return filepath.Join(h.Dir(), "etcd") }

func peerURL(h *lab.Host) string { return fmt.Sprintf("https://%s:%d", h.Addr4, ClientPort+1) }

func clientURL(h *lab.Host) string { return fmt.Sprintf("https://%s:%d", h.Addr4, ClientPort) }

// named is hosts as --initial-cluster wants them.
func named(hosts []*lab.Host) string {
	words := make([]string, len(hosts))
	for i, h := range hosts {
		words[i] = h.Name + "=" + peerURL(h)
	}
	return strings.Join(words, ",")
}

// Start makes a new cluster of hosts, and waits until each member answers.
func (c *Cluster) Start(ctx context.Context, hosts ...*lab.Host) error {
	for _, h := range hosts {
		if err := issue(c.ca, h, c.PKI(h)); err != nil {
			return err
		}
		if err := c.start(h, "--initial-cluster", named(hosts), "--initial-cluster-state", "new"); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		if err := c.awaitServing(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// Run starts members that ended, all before it waits for any: with their data, a
// majority of them is a cluster again.
func (c *Cluster) Run(ctx context.Context, hosts ...*lab.Host) error {
	for _, h := range hosts {
		if err := c.start(h); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		if err := c.awaitServing(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// start starts a host's member; more flags tell of the cluster, for a member
// without data.
func (c *Cluster) start(h *lab.Host, more ...string) error {
	pki := func(name string) string { return filepath.Join(c.PKI(h), name) }
	argv := append([]string{
		"etcd", "--name", h.Name, "--data-dir", data(h),
		"--advertise-client-urls", clientURL(h), "--listen-client-urls", c.Endpoint() + "," + clientURL(h),
		"--initial-advertise-peer-urls", peerURL(h), "--listen-peer-urls", peerURL(h),
		"--cert-file", pki("server.crt"), "--key-file", pki("server.key"),
		"--trusted-ca-file", pki(CAFile), "--client-cert-auth",
		"--peer-cert-file", pki("peer.crt"), "--peer-key-file", pki("peer.key"),
		"--peer-trusted-ca-file", pki(CAFile), "--peer-client-cert-auth",
		"--listen-metrics-urls", "http://127.0.0.1:2381", "--snapshot-count", "10000",
		"--pre-vote", // the default since etcd 3.5: who was cut off ends no leader when it returns
		"--logger", "zap", "--log-level", "error",
	}, more...)
	p, err := h.Start("etcd", argv...)
	if err != nil {
		return err
	}
	c.running[h] = p
	return nil
}

// awaitServing waits until a member answers what needs a quorum.
func (c *Cluster) awaitServing(ctx context.Context, h *lab.Host) error {
	client, err := c.Client(h)
	if err != nil {
		return err
	}
	return lab.AwaitEvery(ctx, poll, "etcd on "+h.Name+" to serve", func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := client.Get(ctx, "awaited")
		return err
	})
}

// Stop stops a member in order.
func (c *Cluster) Stop(ctx context.Context, h *lab.Host) error { return c.end(ctx, h, syscall.SIGTERM) }

// Kill kills a member.
func (c *Cluster) Kill(ctx context.Context, h *lab.Host) error { return c.end(ctx, h, syscall.SIGKILL) }

func (c *Cluster) end(ctx context.Context, h *lab.Host, signal syscall.Signal) error {
	p := c.running[h]
	if p == nil {
		return fmt.Errorf("end etcd on %s: it does not run", h)
	}
	delete(c.running, h)
	if err := p.Signal(signal); err != nil {
		return err
	}
	_, err := p.Wait(ctx)
	return err
}

// Freeze stops a member's process where it is; Thaw lets it go on.
func (c *Cluster) Freeze(h *lab.Host) error { return c.running[h].Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (c *Cluster) Thaw(h *lab.Host) error { return c.running[h].Signal(syscall.SIGCONT) }

// members are the hosts whose member runs, in the lab's order.
func (c *Cluster) members() []*lab.Host {
	return slices.DeleteFunc(slices.Clone(c.lab.Hosts), func(h *lab.Host) bool { return c.running[h] == nil })
}

// Leader waits until all members that run and answer name one leader.
func (c *Cluster) Leader(ctx context.Context) (leader *lab.Host, err error) {
	err = lab.AwaitEvery(ctx, poll, "etcd's members to agree on a leader", func() error {
		leader, err = c.leader(ctx)
		return err
	})
	return leader, err
}

func (c *Cluster) leader(ctx context.Context) (*lab.Host, error) {
	id, asked := uint64(0), c.members()
	byID := map[uint64]*lab.Host{}
	for _, h := range asked {
		client, err := c.Client(h)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		status, err := client.Status(ctx, c.Endpoint())
		cancel()
		switch {
		case err != nil:
			continue // cut off or frozen: it has no say
		case status.Leader == 0 || id != 0 && id != status.Leader:
			return nil, errors.New("they do not")
		}
		id, byID[status.Header.MemberId] = status.Leader, h
	}
	if byID[id] == nil {
		return nil, errors.New("the leader does not answer")
	}
	return byID[id], nil
}

// Lead makes a member the leader.
func (c *Cluster) Lead(ctx context.Context, h *lab.Host) error {
	leader, err := c.Leader(ctx)
	if err != nil || leader == h {
		return err
	}
	id, err := c.id(ctx, leader, h)
	if err != nil {
		return err
	}
	client, err := c.Client(leader)
	if err != nil {
		return err
	}
	if _, err := client.MoveLeader(ctx, id); err != nil {
		return fmt.Errorf("make etcd on %s the leader: %w", h, err)
	}
	return nil
}

// id asks one member for the number of another.
func (c *Cluster) id(ctx context.Context, asked, of *lab.Host) (uint64, error) {
	client, err := c.Client(asked)
	if err != nil {
		return 0, err
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		return 0, fmt.Errorf("list etcd's members on %s: %w", asked, err)
	}
	for _, m := range list.Members {
		if slices.Contains(m.PeerURLs, peerURL(of)) {
			return m.ID, nil
		}
	}
	return 0, fmt.Errorf("%s is no member of etcd", of)
}

// other is a running member that is not on h.
func (c *Cluster) other(h *lab.Host) (*lab.Host, error) {
	for _, m := range c.members() {
		if m != h {
			return m, nil
		}
	}
	return nil, fmt.Errorf("etcd runs nowhere but on %s", h)
}

// Add makes a host known to the cluster as a learner, without starting its
// member.
func (c *Cluster) Add(ctx context.Context, h *lab.Host) error {
	by, err := c.other(h)
	if err != nil {
		return err
	}
	client, err := c.Client(by)
	if err != nil {
		return err
	}
	// A cluster whose members have not all been connected for 5 s refuses; kubeadm
	// tries again too.
	return lab.AwaitEvery(ctx, poll, "etcd to take "+h.Name+" in", func() error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := client.MemberAddAsLearner(ctx, []string{peerURL(h)})
		return err
	})
}

// Join adds a host's member to the cluster as kubeadm join does: a learner, which
// is started, and promoted when it has caught up.
func (c *Cluster) Join(ctx context.Context, h *lab.Host) error {
	before := c.members()
	if err := c.Add(ctx, h); err != nil {
		return err
	}
	if err := issue(c.ca, h, c.PKI(h)); err != nil {
		return err
	}
	if err := c.start(h, "--initial-cluster", named(append(before, h)), "--initial-cluster-state", "existing"); err != nil {
		return err
	}
	id, err := c.id(ctx, before[0], h)
	if err != nil {
		return err
	}
	client, err := c.Client(before[0])
	if err != nil {
		return err
	}
	err = lab.AwaitEvery(ctx, poll, "etcd on "+h.Name+" to be promoted", func() error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := client.MemberPromote(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	return c.awaitServing(ctx, h)
}

// Remove takes a host's member out of the cluster, as kubeadm reset does. Its
// process, which ends by itself, is not waited for; its data are gone.
func (c *Cluster) Remove(ctx context.Context, h *lab.Host) error {
	by, err := c.other(h)
	if err != nil {
		return err
	}
	id, err := c.id(ctx, by, h)
	if err != nil {
		return err
	}
	client, err := c.Client(by)
	if err != nil {
		return err
	}
	err = lab.AwaitEvery(ctx, poll, "etcd to let "+h.Name+" go", func() error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := client.MemberRemove(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if p := c.running[h]; p != nil {
		if err := c.Kill(ctx, h); err != nil {
			return err
		}
	}
	return os.RemoveAll(data(h))
}

// Save writes a snapshot of a member's data to a file.
func (c *Cluster) Save(ctx context.Context, h *lab.Host, file string) error {
	pki := c.PKI(h)
	_, err := h.Run(ctx, "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", c.Endpoint(),
		"--cacert", filepath.Join(pki, CAFile), "--cert", filepath.Join(pki, ClientCertFile), "--key", filepath.Join(pki, ClientKeyFile),
		"snapshot", "save", file)
	return err
}

// Restore makes a new cluster of hosts with what a snapshot holds; the members
// that run are killed, and their data are gone.
func (c *Cluster) Restore(ctx context.Context, file string, hosts ...*lab.Host) error {
	for _, h := range c.members() {
		if err := c.Kill(ctx, h); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		if err := os.RemoveAll(data(h)); err != nil {
			return fmt.Errorf("restore etcd on %s: %w", h, err)
		}
		_, err := h.Run(ctx, "env", "ETCDCTL_API=3", "etcdctl", "snapshot", "restore", file,
			"--name", h.Name, "--data-dir", data(h), "--initial-cluster", named(hosts),
			"--initial-advertise-peer-urls", peerURL(h), "--initial-cluster-token", "restored")
		if err != nil {
			return err
		}
	}
	return c.Run(ctx, hosts...)
}
