package bfd

import (
	"math/rand/v2"
	"time"
)

// slow is the least interval of a session that is not up (RFC 5880 6.8.3).
const slow = time.Second

// Config is what a session wants.
type Config struct {
	// Transmit and Receive are the least intervals at which this side is ready
	// to send and to receive while the session is up.
	Transmit, Receive time.Duration
	// Multiplier is after how many lost packets the other side takes this one
	// for lost.
	Multiplier uint8
}

// Session is the machine of one session. It is not safe for concurrent use.
type Session struct {
	cfg    Config
	random *rand.Rand

	state, remoteState State
	diagnostic         Diagnostic
	mine, yours        uint32

	// transmit is bfd.DesiredMinTxInterval as it is said; sending and listening
	// are those that hold until a poll has ended (6.8.3).
	transmit           time.Duration
	sending, listening time.Duration

	remoteTransmit, remoteReceive time.Duration
	remoteMultiplier              uint8
	remoteDemand                  bool

	// polling: a poll sequence runs. final: a poll is to be answered.
	polling, final bool

	// sendAt and detectAt are deadlines; zero: none. sentAt is when the last
	// packet went out, spacing the interval for which sendAt was planned.
	sendAt, detectAt, sentAt time.Time
	spacing                  time.Duration
}

// NewSession returns a session in Down that begins to send at once. mine is its
// discriminator, unique on this node and not 0. seed is for jitter.
func NewSession(now time.Time, cfg Config, mine uint32, seed uint64) *Session {
	s := &Session{
		cfg: cfg, random: rand.New(rand.NewPCG(seed, uint64(mine))), //nolint:gosec // jitter is no secret
		state: Down, remoteState: Down, mine: mine,
		remoteReceive: time.Microsecond, // 6.8.1: bfd.RemoteMinRxInterval is 1 at first
		listening:     cfg.Receive,
	}
	s.pace()
	s.sending = s.transmit
	s.sendAt = now
	return s
}

// State is the session's state.
func (s *Session) State() State { return s.state }

// RemoteState is the other side's state as it was last heard; Down when nothing
// was for a detection time.
func (s *Session) RemoteState() State { return s.remoteState }

// Diagnostic is why the session left Up last.
func (s *Session) Diagnostic() Diagnostic { return s.diagnostic }

// Mine is this side's discriminator.
func (s *Session) Mine() uint32 { return s.mine }

// Detection is how long the other side may be silent; 0: nothing was heard.
func (s *Session) Detection() time.Duration {
	return time.Duration(s.remoteMultiplier) * max(s.listening, s.remoteTransmit)
}

// Deadline is when Tick has to be called; zero: never.
func (s *Session) Deadline() time.Time { return earliest(s.sendAt, s.detectAt) }

// Reconfigure changes what the session wants. While it is up both sides agree
// on it by a poll (6.8.3).
func (s *Session) Reconfigure(now time.Time, cfg Config) {
	if cfg == s.cfg {
		return
	}
	s.cfg = cfg
	s.retime(now)
}

// Stop takes the session down on behalf of the operator (6.8.16). It goes on
// saying so until it is dropped.
func (s *Session) Stop(now time.Time) {
	if s.state == AdminDown {
		return
	}
	s.enter(now, AdminDown, AdministrativelyDown)
}

// Hear takes a packet that Parse accepted and that is for this session (6.8.6).
func (s *Session) Hear(now time.Time, p *Packet) {
	s.yours = p.Mine
	s.remoteState, s.remoteDemand = p.State, p.Demand
	s.remoteTransmit, s.remoteReceive, s.remoteMultiplier = p.Transmit, p.Receive, p.Multiplier
	if p.Final && s.polling {
		s.polling = false
		s.sending, s.listening = s.transmit, s.cfg.Receive
	}
	if p.Poll {
		s.final, s.sendAt = true, now
	}
	s.follow(now, p.State)
	s.schedule(now)
	s.detectAt = time.Time{}
	if s.state != AdminDown {
		s.detectAt = now.Add(s.Detection())
	}
}

// follow is the state machine (6.2, 6.8.6).
func (s *Session) follow(now time.Time, theirs State) {
	switch {
	case s.state == AdminDown:
	case theirs == AdminDown:
		if s.state != Down {
			s.enter(now, Down, NeighborSignaledDown)
		}
	case s.state == Down && theirs == Down:
		s.enter(now, Init, s.diagnostic)
	case s.state == Down && theirs == Init, s.state == Init && theirs != Down:
		s.enter(now, Up, NoDiagnostic)
	case s.state == Up && theirs == Down:
		s.enter(now, Down, NeighborSignaledDown)
	}
}

// Tick does what is due at now, and tells whether a packet is to be sent. Each
// packet that had arrived must have been heard before: silence is judged here.
func (s *Session) Tick(now time.Time) (send bool) {
	if due(s.detectAt, now) {
		s.detectAt = time.Time{}
		s.yours = 0 // 6.8.1: nothing was heard for a detection time
		s.polling, s.final = false, false
		if s.state == Init || s.state == Up {
			s.enter(now, Down, DetectionTimeExpired)
		}
		s.remoteState, s.remoteDemand = Down, false
		s.remoteTransmit, s.remoteReceive = 0, time.Microsecond
		s.schedule(now)
	}
	return due(s.sendAt, now)
}

// Packet fills p with what is to be sent now, and plans the next one. Call it
// when Tick or Hear left something to send.
func (s *Session) Packet(now time.Time, p *Packet) {
	*p = Packet{
		Diagnostic: s.diagnostic, State: s.state, Multiplier: s.cfg.Multiplier,
		Poll: s.polling && !s.final, Final: s.final,
		Mine: s.mine, Yours: s.yours, Transmit: s.transmit, Receive: s.cfg.Receive,
	}
	s.final = false
	s.sentAt = now
	s.sendAt = time.Time{}
	s.schedule(now)
}

// enter changes the state. What changed is said at once (6.8.7).
func (s *Session) enter(now time.Time, to State, why Diagnostic) {
	s.state, s.diagnostic = to, why
	s.retime(now)
	s.sendAt = now
}

// pace is the interval that is said (6.8.3).
func (s *Session) pace() {
	s.transmit = s.cfg.Transmit
	if s.state != Up {
		s.transmit = max(slow, s.cfg.Transmit)
	}
}

// retime applies a change of what is wanted. A longer interval of sending, and a
// shorter one of receiving, wait until the other side has answered a poll.
func (s *Session) retime(now time.Time) {
	before := s.transmit
	s.pace()
	if s.state != Up {
		s.polling = false
		s.sending, s.listening = s.transmit, s.cfg.Receive
		s.schedule(now)
		return
	}
	if s.transmit != before || s.cfg.Receive != s.listening {
		s.polling = true
		s.sendAt = now
	}
	s.sending = min(s.sending, s.transmit)
	s.listening = max(s.listening, s.cfg.Receive)
	s.schedule(now)
}

// schedule plans the next periodic packet. One that is due stays so, and one
// that is planned for the present interval too.
func (s *Session) schedule(now time.Time) {
	if s.sentAt.IsZero() || due(s.sendAt, now) {
		return
	}
	if s.quiet() {
		s.sendAt = time.Time{}
		return
	}
	spacing := max(s.sending, s.remoteReceive)
	if s.sendAt.IsZero() || spacing != s.spacing {
		s.spacing = spacing
		s.sendAt = s.sentAt.Add(s.jittered(spacing))
	}
}

// quiet: no periodic packets are wanted (6.8.7).
func (s *Session) quiet() bool {
	demand := s.remoteDemand && s.state == Up && s.remoteState == Up && !s.polling
	return demand || s.remoteReceive == 0
}

// jittered is an interval less a random part (6.8.7): up to 25 %, and at least
// 10 % where a single lost packet counts.
func (s *Session) jittered(d time.Duration) time.Duration {
	most, least := 25, 0
	if s.cfg.Multiplier == 1 {
		least = 10
	}
	cut := least + s.random.IntN(most-least+1)
	return d - d*time.Duration(cut)/100
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// earliest is the earlier of two deadlines; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
