package agent

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/peer"
)

// keyFile is where tests put a key.
const keyFile = "/etc/vipd/hello.key"

// random is what a life of a daemon draws at random.
func (l *lan) random() (boot peer.Boot, secret [32]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives++
	binary.BigEndian.PutUint64(boot[:], l.lives)
	binary.BigEndian.PutUint64(secret[:], l.lives)
	return boot, secret
}

// hush keeps hellos from arriving, as firewalls do.
func (l *lan) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hushed = true
}

// hide makes some hellos disappear.
func (l *lan) hide(hidden func(from, to *host) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hidden = hidden
}

// keys are those of the node's key file.
func (n *node) keys(c *config.Config) (*peer.Keyring, error) {
	if c.AuthKeyFile == "" {
		return nil, nil
	}
	n.lan.mu.Lock()
	defer n.lan.mu.Unlock()
	return peer.NewKeyring([]byte(n.files[c.AuthKeyFile]), c.Cluster)
}

// mailbox is one host's socket for hellos.
type mailbox struct {
	host    *host
	process *process
	nic     *nic
	ipv6    bool
	port    uint16
	wake    func()

	joined bool
	closed bool
	queue  []peer.Datagram
}

// OpenHello implements HelloSockets.
func (p *process) OpenHello(name string, ipv6 bool, port uint16, ready chan struct{}) (HelloSocket, error) {
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	switch {
	case p.nics[name] == nil:
		return nil, fmt.Errorf("open hello socket on %s: no such device", name)
	case p.taken != nil:
		return nil, p.taken
	}
	m := &mailbox{host: p.host, process: p, nic: p.nics[name], ipv6: ipv6, port: port, wake: awakener(ready)}
	p.hellos = append(p.hellos, m)
	return m, nil
}

func (m *mailbox) Receive(d *peer.Datagram) bool {
	l := m.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(m.queue) == 0 {
		return false
	}
	*d, m.queue = m.queue[0], m.queue[1:]
	return true
}

func (m *mailbox) Send(src, dst netip.Addr, datagram []byte) error {
	m.process.pass()
	l := m.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.process.dead || !m.nic.up:
		return nil
	case m.closed || m.host.nics[m.nic.name] != m.nic:
		return fmt.Errorf("send hello on %s: no such device", m.nic.name)
	case src.Is6() != m.ipv6 || dst.Is6() != m.ipv6:
		return fmt.Errorf("send hello from %v to %v: not of the socket's family", src, dst)
	}
	d := peer.Datagram{Src: src, HopLimit: peer.HopLimit, Payload: slices.Clone(datagram)}
	for _, h := range l.hosts {
		if !l.carries(m.host, h) || l.hushed || l.hidden != nil && l.hidden(m.host, h) {
			continue
		}
		for _, to := range h.hellos {
			if to.takes(m.port, dst) {
				d.Interface = to.nic.name
				to.queue = append(to.queue, d)
				to.wake()
			}
		}
	}
	return nil
}

// takes tells whether a datagram is for the mailbox. The lock is held.
func (m *mailbox) takes(port uint16, dst netip.Addr) bool {
	if m.closed || !m.nic.up || m.port != port || m.ipv6 != dst.Is6() {
		return false
	}
	return dst == peer.Group(m.ipv6) && m.joined || m.nic.has(dst)
}

func (m *mailbox) Multicast(on bool) error {
	m.host.lan.mu.Lock()
	defer m.host.lan.mu.Unlock()
	m.joined = on
	return nil
}

func (m *mailbox) Refused() map[string]uint64 { return map[string]uint64{"oversized": 0} }

func (m *mailbox) Close() error {
	l := m.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	m.closed = true
	m.host.hellos = slices.DeleteFunc(m.host.hellos, func(o *mailbox) bool { return o == m })
	return nil
}

// awakener is what tells the loop that it should look.
func awakener(ready chan struct{}) func() {
	return func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
}
