package bfd

import (
	"encoding/binary"
	"errors"
	"time"
)

// PacketSize is the size of a control packet without authentication, in bytes.
const PacketSize = 24

const version = 1

// Errors of Parse. They say by which rule of RFC 5880 6.8.6 a packet is refused.
var (
	ErrVersion        = errors.New("version")
	ErrLength         = errors.New("length")
	ErrMultiplier     = errors.New("multiplier")
	ErrMultipoint     = errors.New("multipoint")
	ErrDiscriminator  = errors.New("discriminator")
	ErrAuthentication = errors.New("authentication")
	ErrUnknownSession = errors.New("unknown-session")
)

// Packet is a control packet (RFC 5880 4.1).
type Packet struct {
	Diagnostic Diagnostic
	State      State
	Poll       bool
	Final      bool
	// Independent: the sender's forwarding outlives its control plane (C).
	Independent bool
	Demand      bool
	Multiplier  uint8
	// Mine is the sender's discriminator, Yours the receiver's as the sender
	// knows it; 0: it does not.
	Mine, Yours uint32
	// Transmit is the least interval at which the sender would like to send,
	// Receive the least at which it is ready to receive; 0: it wants nothing.
	Transmit, Receive time.Duration
	// Echo is the least interval between echo packets; 0: none are answered.
	Echo time.Duration
}

// Parse reads a packet and refuses what 6.8.6 refuses without a session. It
// allocates nothing.
func Parse(b []byte, p *Packet) error {
	switch {
	case len(b) < PacketSize:
		return ErrLength
	case b[0]>>5 != version:
		return ErrVersion
	}
	length, authenticated := int(b[3]), b[1]&0x04 != 0
	switch {
	case length < PacketSize || authenticated && length < PacketSize+2 || length > len(b):
		return ErrLength
	case b[2] == 0:
		return ErrMultiplier
	case b[1]&0x01 != 0:
		return ErrMultipoint
	case authenticated:
		return ErrAuthentication
	}
	*p = Packet{
		Diagnostic: Diagnostic(b[0] & 0x1f), State: State(b[1] >> 6),
		Poll: b[1]&0x20 != 0, Final: b[1]&0x10 != 0, Independent: b[1]&0x08 != 0, Demand: b[1]&0x02 != 0,
		Multiplier: b[2],
		Mine:       binary.BigEndian.Uint32(b[4:]), Yours: binary.BigEndian.Uint32(b[8:]),
		Transmit: microseconds(b[12:]), Receive: microseconds(b[16:]), Echo: microseconds(b[20:]),
	}
	switch {
	case p.Mine == 0:
		return ErrDiscriminator
	case p.Yours == 0 && p.State != Down && p.State != AdminDown:
		return ErrDiscriminator
	}
	return nil
}

// Append appends the packet to b.
func (p *Packet) Append(b []byte) []byte {
	flags := byte(p.State)<<6 | flag(p.Poll, 0x20) | flag(p.Final, 0x10) | flag(p.Independent, 0x08) | flag(p.Demand, 0x02)
	b = append(b, version<<5|byte(p.Diagnostic)&0x1f, flags, p.Multiplier, PacketSize)
	b = binary.BigEndian.AppendUint32(b, p.Mine)
	b = binary.BigEndian.AppendUint32(b, p.Yours)
	b = appendMicroseconds(b, p.Transmit)
	b = appendMicroseconds(b, p.Receive)
	return appendMicroseconds(b, p.Echo)
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func appendMicroseconds(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(d/time.Microsecond)) //nolint:gosec // an hour at most
}

func microseconds(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

// State is a session's state; the values are those on the wire.
type State uint8

// The states (RFC 5880 4.1).
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String is the state's name for logs and tests.
func (s State) String() string {
	return [...]string{"admin-down", "down", "init", "up"}[s&3]
}

// Diagnostic is why a session left Up last (RFC 5880 4.1).
type Diagnostic uint8

// The diagnostics that are used here; others may be received.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

// String is the diagnostic for people.
func (d Diagnostic) String() string {
	words := [...]string{
		"no diagnostic", "nothing was heard for the detection time", "echo failed",
		"the neighbour said down", "forwarding plane reset", "path down",
		"concatenated path down", "administratively down", "reverse concatenated path down",
	}
	if int(d) < len(words) {
		return words[d]
	}
	return "reserved diagnostic"
}
