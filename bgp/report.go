package bgp

import (
	"net/netip"
	"time"
)

// Report is what became of what is wanted.
type Report struct {
	Neighbors []NeighborReport `json:"neighbors"`
	// Lateness is the greatest lateness of a BFD deadline since the last report.
	Lateness time.Duration `json:"lateness"`
	// Refused counts BFD packets that were not taken (RFC 5880 6.8.6, RFC 5881 5).
	Refused uint64 `json:"refused"`
}

// NeighborReport is the state of one neighbour.
type NeighborReport struct {
	Address netip.Addr   `json:"address"`
	ASN     uint32       `json:"asn"`
	State   SessionState `json:"state"`
	// Age is how long the session is in its state: the clocks of two processes
	// are not compared.
	Age time.Duration `json:"age"`
	// Announced are the routes that the neighbour was told; none unless the session
	// is established.
	Announced []Route `json:"announced"`
	// BFD is the BFD session's state; empty: there is none.
	BFD BFDState `json:"bfd"`
	// Flaps counts how often the session was lost.
	Flaps uint64 `json:"flaps"`
	// Error is what keeps the session from working, where that is known.
	Error string `json:"error"`
}

// SessionState is the state of a BGP session (RFC 4271 8.2.2).
type SessionState string

// The states of a session. Unusable and Quarantined are not the RFC's: no
// session is tried.
const (
	Idle        SessionState = "idle"
	Connect     SessionState = "connect"
	Active      SessionState = "active"
	OpenSent    SessionState = "opensent"
	OpenConfirm SessionState = "openconfirm"
	Established SessionState = "established"
	// Unusable: something of the configuration is missing, the error says what.
	Unusable SessionState = "unusable"
	// Quarantined: the neighbour's messages ended the speaker.
	Quarantined SessionState = "quarantined"
)

// BFDState is the state of a BFD session (RFC 5880 6.2).
type BFDState string

// The states of a BFD session.
const (
	BFDAdminDown BFDState = "admin-down"
	BFDDown      BFDState = "down"
	BFDInit      BFDState = "init"
	BFDUp        BFDState = "up"
)
