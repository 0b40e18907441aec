package gobgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/pprof"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/server"

	"github.com/vipd/vipd/bgp"
)

// LabelNeighbor is the label of a session's goroutines; its value is the
// neighbour's address.
const LabelNeighbor = "neighbor"

const (
	// connectRetry, in seconds, is how often a connection is tried (RFC 4271
	// ConnectRetryTime); gobgp's default is 120.
	connectRetry = 2
	// idleAfterReset, in seconds, is the pause after a session that this side
	// ended; gobgp's default is 30.
	idleAfterReset = 1
	// deferral, in seconds, is how long a speaker that was started again waits for
	// what the router has to say (RFC 4724 4.1), of which nothing matters here;
	// gobgp's default is 360.
	deferral = 1
	// closing bounds the wait for a notification to be sent.
	closing = time.Second
	// worstTTL is what gobgp accepts as least TTL with TTL security: the
	// neighbour is on the link (RFC 5082 3).
	worstTTL = 255
)

// Local is this node.
type Local struct {
	ASN      uint32
	RouterID netip.Addr
}

// Session is the BGP session with one neighbour. Its methods are safe for
// concurrent use.
type Session struct {
	local    Local
	neighbor bgp.Neighbor
	server   *server.BgpServer
	reaper   reaper
	log      *slog.Logger
	changed  func()
	endWatch context.CancelFunc
	// moved gets a value when the state changed.
	moved chan struct{}

	announcing sync.Mutex

	mu sync.Mutex
	// heard: there was an event.
	heard   bool
	state   bgp.SessionState
	since   time.Time
	flaps   uint64
	trouble trouble
}

// Open starts a session. It is tried again and again, whatever the neighbour
// does, until Close. changed is called, by any goroutine, when State may have
// changed; it must not call the Session.
func Open(local Local, n bgp.Neighbor, log *slog.Logger, changed func()) (*Session, error) {
	s := &Session{
		local: local, neighbor: n, log: log.With("neighbor", n.Address), changed: changed,
		state: bgp.Idle, since: time.Now(), moved: make(chan struct{}, 1),
		reaper: reaper{deleted: make(chan struct{}, 1)},
	}
	s.server = server.NewBgpServer(server.LoggerOption(&logger{s}), server.TimingHookOption(&s.reaper))
	go s.serve()
	if err := s.begin(); err != nil {
		s.stop()
		return nil, fmt.Errorf("begin BGP session with %s: %w", n.Address, err)
	}
	return s, nil
}

// serve runs the server. Labels pass from goroutine to goroutine, and all of a
// session's begin here. pprof.Do would take them off before a panic is shown.
func (s *Session) serve() {
	labels := pprof.Labels(LabelNeighbor, s.neighbor.Address.String())
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), labels))
	s.server.Serve()
}

func (s *Session) begin() error {
	ctx := context.Background()
	global := &api.Global{Asn: s.local.ASN, RouterId: s.local.RouterID.String(), ListenPort: -1}
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return err
	}
	if err := s.onlyOwnRoutes(ctx); err != nil {
		return err
	}
	// The peer comes first, because the reaper can end a server with a watch only by
	// the end of its peer.
	if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(s.neighbor)}); err != nil {
		return err
	}
	watching, end := context.WithCancel(ctx)
	s.endWatch = end
	request := &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}
	if err := s.server.WatchEvent(watching, request, s.event); err != nil {
		return err
	}
	return s.server.ListPeer(ctx, &api.ListPeerRequest{}, s.first)
}

// first notes the state that the session had when it was watched already, unless
// an event was quicker.
func (s *Session) first(p *api.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.heard {
		s.state = stateOf(p.GetState().GetSessionState())
	}
}

// onlyOwnRoutes neither imports nor exports anything but what is announced here.
// A mere "reject" on import would reject that too.
func (s *Session) onlyOwnRoutes(ctx context.Context) error {
	own := &api.Policy{Name: "own", Statements: []*api.Statement{{
		Name:       "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if err := s.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: own}); err != nil {
		return err
	}
	for _, direction := range []api.PolicyDirection{api.PolicyDirection_IMPORT, api.PolicyDirection_EXPORT} {
		assignment := &api.PolicyAssignment{
			Name: "global", Direction: direction,
			Policies: []*api.Policy{{Name: "own"}}, DefaultAction: api.RouteAction_REJECT,
		}
		if err := s.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: assignment}); err != nil {
			return err
		}
	}
	return nil
}

// peerOf is a neighbour as gobgp wants it.
func peerOf(n bgp.Neighbor) *api.Peer {
	p := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: n.Address.String(), PeerAsn: n.ASN, AuthPassword: n.Password},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry: connectRetry, IdleHoldTimeAfterReset: idleAfterReset,
			HoldTime: seconds(n.HoldTime), KeepaliveInterval: seconds(n.HoldTime / 3),
		}},
		Transport: &api.Transport{RemotePort: uint32(n.Port)},
	}
	if n.Source.IsValid() {
		p.Transport.LocalAddress = n.Source.String()
	}
	switch {
	case n.Multihop > 0:
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(n.Multihop)}
	case n.TTLSecurity:
		p.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: worstTTL}
	}
	restart := n.GracefulRestart > 0
	if restart {
		p.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(seconds(n.GracefulRestart)), //nolint:gosec // 12 bits
			LocalRestarting: n.Restarted, DeferralTime: deferral,
		}
	}
	for _, f := range families() {
		p.AfiSafis = append(p.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: restart}},
		})
	}
	return p
}

// seconds are whole ones.
func seconds(d time.Duration) uint64 { return uint64(d / time.Second) } //nolint:gosec // not negative

// families are those of every session. What the router does not agree to is left
// out of it (RFC 4760 8).
func families() []*api.Family {
	return []*api.Family{
		{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST},
		{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST},
	}
}

// event notes the session's state. It must not call the server back.
func (s *Session) event(ev *api.WatchEventResponse) {
	state := ev.GetPeer().GetPeer().GetState()
	if state == nil {
		return
	}
	s.mu.Lock()
	s.heard = true
	now := stateOf(state.SessionState)
	if now == s.state {
		s.mu.Unlock()
		return
	}
	if s.state == bgp.Established {
		s.flaps++
	}
	s.state, s.since = now, time.Now()
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
	s.changed()
}

func stateOf(state api.PeerState_SessionState) bgp.SessionState {
	switch state {
	case api.PeerState_CONNECT:
		return bgp.Connect
	case api.PeerState_ACTIVE:
		return bgp.Active
	case api.PeerState_OPENSENT:
		return bgp.OpenSent
	case api.PeerState_OPENCONFIRM:
		return bgp.OpenConfirm
	case api.PeerState_ESTABLISHED:
		return bgp.Established
	case api.PeerState_IDLE, api.PeerState_UNKNOWN:
	}
	return bgp.Idle
}

// blame takes one of gobgp's lines, which may say why there is no session.
func (s *Session) blame(msg string, fields gobgplog.Fields) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble.note(msg, fields)
}

// State is the session's state. BFD and what is announced are not of it.
func (s *Session) State() bgp.NeighborReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := bgp.NeighborReport{
		Address: s.neighbor.Address, ASN: s.neighbor.ASN, State: s.state,
		Age: time.Since(s.since), Flaps: s.flaps,
	}
	if s.state != bgp.Established {
		r.Error = s.trouble.String()
	}
	return r
}

// Reset ends the connection and lets it begin anew. RFC 9384's subcode for BFD
// is not in gobgp's API, so the text of RFC 9003 says why.
func (s *Session) Reset(why string) error {
	err := s.server.ResetPeer(context.Background(), &api.ResetPeerRequest{Address: s.neighbor.Address.String(), Communication: why})
	if err != nil {
		return fmt.Errorf("reset BGP session with %s: %w", s.neighbor.Address, err)
	}
	return nil
}

// Hasten begins a session anew that is not established, without the pauses
// between attempts: gobgp idles for 5 s after each connection that the neighbour
// ended. It cuts short an attempt that is under way.
func (s *Session) Hasten() error {
	ctx := context.Background()
	err := s.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: s.neighbor.Address.String()})
	if err == nil {
		<-s.reaper.deleted // the reaper is to wait for the last one
		err = s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(s.neighbor)})
		s.reaper.peerless.Store(err != nil)
	}
	if err != nil {
		return fmt.Errorf("begin BGP session with %s anew: %w", s.neighbor.Address, err)
	}
	return nil
}

// Close ends the session for good and tells the neighbour why (RFC 9003). It
// returns within a second or two, whatever the neighbour does.
func (s *Session) Close(why string) error {
	request := &api.ShutdownPeerRequest{Address: s.neighbor.Address.String(), Communication: why}
	err := s.server.ShutdownPeer(context.Background(), request)
	if err == nil {
		s.awaitEnd()
	}
	s.stop()
	if err != nil {
		return fmt.Errorf("close BGP session with %s: %w", s.neighbor.Address, err)
	}
	return nil
}

// Remove is Close for a neighbour that the configuration does not have any more,
// which is what it is told (RFC 4486 4, Peer De-configured).
func (s *Session) Remove() error {
	s.stop() // gobgp says so whenever it stops
	return nil
}

// awaitEnd waits until the connection has ended: a notification is queued, and
// stop would overtake it.
func (s *Session) awaitEnd() {
	limit := time.After(closing)
	for s.State().State == bgp.Established {
		select {
		case <-s.moved:
		case <-limit:
			return
		}
	}
}

func (s *Session) stop() {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ctx := context.Background()
		_ = s.server.StopBgp(ctx, &api.StopBgpRequest{}) // it fails only for want of a request
		s.reaper.reap(s.server, s.endWatch)
	}()
	select {
	case <-stopped:
	case <-time.After(closing):
	}
}
