package metrics

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
)

// Source is the daemon that is shown. Its methods are safe from any goroutine
// and answer within a second or so even if the loop is stuck.
type Source interface {
	// Status is the present state.
	Status() agent.Status
	// Loop counts what concerns the daemon as a whole.
	Loop() *agent.LoopCounters
}

// NewRegistry returns a registry with everything that /metrics shows: the
// daemon, the Go runtime and the process.
func NewRegistry(source Source) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		NewCollector(source),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// Collector turns the daemon's status and counters into metrics.
type Collector struct {
	source    Source
	goVersion string
	families  families

	buildInfo *family
	drained   *family

	vipInfo         *family
	owner           *family
	state           *family
	transitions     *family
	lastTransition  *family
	duplicateOwners *family
	restored        *family

	handoverSupported *family
	connections       *family
	connectionsReset  *family
	handovers         *family
	handoverDuration  *family
	forwarded         *family

	healthUp       *family
	probeDuration  *family
	probes         *family
	certExpiry     *family
	certCoversVIP  *family
	advertsSent    *family
	advertsHeard   *family
	discarded      *family
	priority       *family
	leaseHeld      *family
	leaseExpiry    *family
	leaseEtcdUp    *family
	peerUp         *family
	peerInfo       *family
	peerHears      *family
	peerLastHello  *family
	peerDiffers    *family
	hellosSent     *family
	hellosHeard    *family
	hellosDropped  *family
	loopLate       *family
	loopLag        *family
	reloadOK       *family
	reloadLastTime *family

	bgp bgpFamilies
}

// NewCollector returns a collector of source's metrics.
func NewCollector(source Source) *Collector {
	c := &Collector{source: source, goVersion: runtime.Version()}
	c.declareNode()
	c.declareVIP()
	c.declareHandover()
	c.declareHealth()
	c.declareVRRP()
	c.declareLease()
	c.declarePeers()
	c.declareBGP()
	return c
}

func (c *Collector) declareNode() {
	fs := &c.families
	c.buildInfo = fs.declare(gauge, "vipd_build_info", "Constant 1; the labels tell the version of vipd and of Go.", "version", "goversion")
	c.drained = fs.declare(gauge, "vipd_drained", "1 while this node is drained and takes no VIP, else 0.")
	c.loopLate = fs.declare(counter, "vipd_loop_late_total", "Deadlines served more than an advert interval too late: a frozen or starved daemon.")
	c.loopLag = fs.declare(histogram, "vipd_loop_lag_seconds", "How late the event loop served its deadlines.")
	c.reloadOK = fs.declare(gauge, "vipd_config_last_reload_successful", "1 if the last read of the configuration was good, 0 if an older one is still in force.")
	c.reloadLastTime = fs.declare(gauge, "vipd_config_last_reload_success_timestamp_seconds", "When the configuration in force was read, in Unix seconds.")
}

func (c *Collector) declareVIP() {
	fs := &c.families
	c.vipInfo = fs.declare(gauge, "vipd_vip_info", "Constant 1 for each address; the labels tell where and how it is held: interface is lo where routers lead to it.", "vip", "address", "interface", "election", "announce")
	c.owner = fs.declare(gauge, "vipd_vip_owner", "1 while this node answers for the VIP, else 0. The sum over all nodes should be 1; with election: none each node that is not drained has 1.", "vip")
	c.state = fs.declare(gauge, "vipd_vip_state", "1 for the state the VIP is in on this node, 0 for each other state.", "vip", "state")
	c.transitions = fs.declare(counter, "vipd_vip_transitions_total", "Changes of state, by the new state and the reason.", "vip", "to", "reason")
	c.lastTransition = fs.declare(gauge, "vipd_vip_last_transition_timestamp_seconds", "When the VIP came into its state, in Unix seconds.", "vip")
	c.duplicateOwners = fs.declare(counter, "vipd_vip_duplicate_owners_total", "Episodes in which another station claimed the VIP while this node owned it.", "vip")
	c.restored = fs.declare(counter, "vipd_vip_restored_total", "Addresses of the VIP put back after someone removed them.", "vip")
}

func (c *Collector) declareHandover() {
	fs := &c.families
	c.handoverSupported = fs.declare(gauge, "vipd_handover_supported", "1 while open connections of every VIP with announce: l2 are carried when it moves on purpose, else 0; vipd status tells why not.")
	c.connections = fs.declare(gauge, "vipd_vip_connections", "Open TCP connections to the VIP's port on this node.", "vip")
	c.connectionsReset = fs.declare(counter, "vipd_vip_connections_reset_total", "Connections that this node ended, by cause.", "vip", "cause")
	c.handovers = fs.declare(counter, "vipd_handovers_total", "Handovers that ended on this node as the former owner, by result.", "vip", "result")
	c.handoverDuration = fs.declare(histogram, "vipd_handover_duration_seconds", "How long this node carried connections after it was owner.", "vip")
	c.forwarded = fs.declare(counter, "vipd_handover_forwarded_packets_total", "Packets of connections unknown here that were passed on to the former owner.", "vip")
}

func (c *Collector) declareHealth() {
	fs := &c.families
	c.healthUp = fs.declare(gauge, "vipd_health_up", "1 while the health check passes, else 0.", "vip", "check")
	c.probeDuration = fs.declare(histogram, "vipd_health_probe_duration_seconds", "How long the probes of the health check took.", "vip", "check")
	c.probes = fs.declare(counter, "vipd_health_probes_total", "Probes of the health check, by result: success or failure.", "vip", "check", "result")
	c.certExpiry = fs.declare(gauge, "vipd_apiserver_certificate_expiry_timestamp_seconds", "When the API server's certificate ends, in Unix seconds. Absent before the first TLS connection.", "vip")
	c.certCoversVIP = fs.declare(gauge, "vipd_apiserver_certificate_covers_vip", "1 if the API server's certificate names the VIP or the endpoint, else 0: clients of the VIP could not verify it.", "vip")
}

func (c *Collector) declareVRRP() {
	fs := &c.families
	c.advertsSent = fs.declare(counter, "vipd_vrrp_adverts_sent_total", "Adverts sent for the VIP.", "vip")
	c.advertsHeard = fs.declare(counter, "vipd_vrrp_adverts_received_total", "Adverts of other nodes heard for the VIP.", "vip")
	c.discarded = fs.declare(counter, "vipd_vrrp_packets_discarded_total", "VRRP packets dropped unprocessed, by reason.", "reason")
	c.priority = fs.declare(gauge, "vipd_vrrp_priority", "The priority byte this node advertises or would advertise: 128 to 254 healthy, 2 to 127 unhealthy, 1 draining, 0 resigned, 255 the holder of a lease in etcd.", "vip")
}

func (c *Collector) declareLease() {
	fs := &c.families
	c.leaseHeld = fs.declare(gauge, "vipd_lease_held", "1 while this node has the VIP's lease in etcd, else 0. Only with election: etcd.", "vip")
	c.leaseExpiry = fs.declare(gauge, "vipd_lease_expiry_timestamp_seconds", "When this node gives the VIP up if etcd does not confirm the lease again, in Unix seconds. Only while it has the lease.", "vip")
	c.leaseEtcdUp = fs.declare(gauge, "vipd_lease_etcd_up", "1 if etcd answered this node's last question about the VIP's lease, else 0; vipd status tells why not. Only with election: etcd.", "vip")
}

func (c *Collector) declarePeers() {
	fs := &c.families
	c.peerUp = fs.declare(gauge, "vipd_peer_up", "1 while hellos of the peer arrive, else 0: it stopped, or is silent.", "peer")
	c.peerInfo = fs.declare(gauge, "vipd_peer_info", "Constant 1; the labels tell the peer's version of vipd and whether a key proves its hellos.", "peer", "version", "authenticated")
	c.peerHears = fs.declare(gauge, "vipd_peer_hears", "1 while the peer hears this node's hellos, else 0.", "peer")
	c.peerLastHello = fs.declare(gauge, "vipd_peer_last_hello_timestamp_seconds", "When the last hello of the peer arrived, in Unix seconds.", "peer")
	c.peerDiffers = fs.declare(gauge, "vipd_peer_differing_settings", "Settings that differ between the peer and this node and must not.", "peer")
	c.hellosSent = fs.declare(counter, "vipd_hellos_sent_total", "Hellos sent, for each destination.")
	c.hellosHeard = fs.declare(counter, "vipd_hellos_received_total", "Hellos that arrived, discarded ones among them.")
	c.hellosDropped = fs.declare(counter, "vipd_hellos_discarded_total", "Hellos that were not believed, by reason.", "reason")
}

// Describe tells every family.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.families {
		ch <- f.desc
	}
}

// Collect reads one status.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	status := c.source.Status()
	c.buildInfo.send(ch, 1, status.Version, c.goVersion)
	c.drained.sendTruth(ch, status.Drained)
	c.collectLoop(ch, c.source.Loop())
	supported := true
	for i := range status.VIPs {
		v := &status.VIPs[i]
		supported = supported && (v.Handover.Supported || v.Announce != string(config.AnnounceL2))
		c.collectVIP(ch, v)
		c.collectHandover(ch, v)
		c.collectHealth(ch, v)
		c.collectElection(ch, v)
		c.collectLease(ch, v, status.Time)
	}
	c.handoverSupported.sendTruth(ch, supported)
	for i := range status.Peers {
		c.collectPeer(ch, &status.Peers[i], status.Time)
	}
	c.collectBGP(ch, status.BGP, status.VIPs)
}

func (c *Collector) collectPeer(ch chan<- prometheus.Metric, p *agent.PeerStatus, now time.Time) {
	c.peerUp.sendTruth(ch, p.Condition == "alive", p.Node)
	c.peerInfo.send(ch, 1, p.Node, p.Version, strconv.FormatBool(p.Authenticated))
	c.peerHears.sendTruth(ch, p.Hears, p.Node)
	c.peerLastHello.sendTime(ch, now.Add(-time.Duration(p.LastHelloAgeSeconds*float64(time.Second))), p.Node)
	differing := len(p.Differs)
	for _, v := range p.VIPs {
		differing += len(v.Differs)
	}
	c.peerDiffers.send(ch, float64(differing), p.Node)
}

func (c *Collector) collectLoop(ch chan<- prometheus.Metric, loop *agent.LoopCounters) {
	c.loopLate.send(ch, float64(loop.Late.Load()))
	c.loopLag.sendHistogram(ch, &loop.Lag)
	c.reloadOK.sendTruth(ch, loop.ReloadOK.Load())
	if seconds := loop.ReloadTime.Load(); seconds != 0 {
		c.reloadLastTime.sendTime(ch, time.Unix(seconds, 0))
	}
	c.hellosSent.send(ch, float64(loop.HellosSent.Load()))
	c.hellosHeard.send(ch, float64(loop.HellosReceived.Load()))
	c.discarded.sendByReason(ch, loop.Discarded.Load())
	c.hellosDropped.sendByReason(ch, loop.HellosDiscarded.Load())
}

func (c *Collector) collectVIP(ch chan<- prometheus.Metric, v *agent.VIPStatus) {
	for _, address := range v.Addresses {
		c.vipInfo.send(ch, 1, v.Name, address.String(), v.Interface, v.Election.Type, v.Announce)
	}
	c.owner.sendTruth(ch, v.State == agent.StateOwner, v.Name)
	for _, state := range agent.States() {
		c.state.sendTruth(ch, v.State == state, v.Name, string(state))
	}
	c.lastTransition.sendTime(ch, v.Since, v.Name)
	if v.Counters == nil {
		return
	}
	c.duplicateOwners.send(ch, float64(v.Counters.DuplicateOwners.Load()), v.Name)
	c.restored.send(ch, float64(v.Counters.Restored.Load()), v.Name)
	if transitions := v.Counters.Transitions.Load(); transitions != nil {
		for key, count := range *transitions {
			c.transitions.send(ch, float64(count), v.Name, string(key.To), string(key.Reason))
		}
	}
}

func (c *Collector) collectHandover(ch chan<- prometheus.Metric, v *agent.VIPStatus) {
	c.connections.send(ch, float64(v.Handover.Connections), v.Name)
	if v.Counters == nil {
		return
	}
	c.forwarded.send(ch, float64(v.Counters.Forwarded.Load()), v.Name)
	c.handoverDuration.sendHistogram(ch, &v.Counters.HandoverDuration, v.Name)
	if resets := v.Counters.ConnectionsReset.Load(); resets != nil {
		for cause, count := range *resets {
			c.connectionsReset.send(ch, float64(count), v.Name, string(cause))
		}
	}
	if handovers := v.Counters.Handovers.Load(); handovers != nil {
		for result, count := range *handovers {
			c.handovers.send(ch, float64(count), v.Name, string(result))
		}
	}
}

func (c *Collector) collectHealth(ch chan<- prometheus.Metric, v *agent.VIPStatus) {
	for i := range v.Health {
		check := &v.Health[i]
		c.healthUp.sendTruth(ch, check.Healthy, v.Name, check.Name)
		if check.Counters == nil {
			continue
		}
		c.probes.send(ch, float64(check.Counters.Succeeded.Load()), v.Name, check.Name, "success")
		c.probes.send(ch, float64(check.Counters.Failed.Load()), v.Name, check.Name, "failure")
		c.probeDuration.sendHistogram(ch, &check.Counters.Duration, v.Name, check.Name)
	}
	if v.Certificate != nil {
		c.certExpiry.sendTime(ch, v.Certificate.NotAfter, v.Name)
		c.certCoversVIP.sendTruth(ch, v.Certificate.CoversVIP, v.Name)
	}
}

func (c *Collector) collectLease(ch chan<- prometheus.Metric, v *agent.VIPStatus, now time.Time) {
	l := v.Election.Lease
	if l == nil {
		return
	}
	c.leaseHeld.sendTruth(ch, l.Held, v.Name)
	c.leaseEtcdUp.sendTruth(ch, l.Error == "", v.Name)
	if l.Held {
		c.leaseExpiry.sendTime(ch, now.Add(time.Duration(l.RemainingSeconds*float64(time.Second))), v.Name)
	}
}

func (c *Collector) collectElection(ch chan<- prometheus.Metric, v *agent.VIPStatus) {
	c.priority.send(ch, float64(v.Election.Priority), v.Name)
	if v.Counters == nil {
		return
	}
	c.advertsSent.send(ch, float64(v.Counters.AdvertsSent.Load()), v.Name)
	c.advertsHeard.send(ch, float64(v.Counters.AdvertsReceived.Load()), v.Name)
}
