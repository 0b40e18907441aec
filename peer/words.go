package peer

// The numbers below are the wire's. Zero is "not said", and what a newer version
// may say with a higher number is read as zero.

// Role is what a node does for a group.
type Role uint8

// The roles.
const (
	RoleUnknown Role = iota
	// Starting: not decided yet.
	Starting
	// Backup: ready to take over.
	Backup
	// Claiming: about to own. The others point at this node's predecessor before
	// it announces itself.
	Claiming
	// Owner: answers for the VIPs.
	Owner
	// Listening: an owner that was late and is mute until it knows better.
	Listening
	// Shadow: was owner; keeps the VIPs silently for its open connections.
	Shadow
	// Faulty: no link, interface or address.
	Faulty
	// Withdrawn: kept off by an operator, and holds nothing.
	Withdrawn
	roles
)

// String is the role's word in status and logs.
func (r Role) String() string {
	return word(r, "unknown", "init", "backup", "claiming", "owner", "listening", "handover", "fault", "drained")
}

// Band is how fit a node is for a group; a higher band is the better owner.
type Band uint8

// The bands.
const (
	BandUnknown Band = iota
	Resigned
	Draining
	Unhealthy
	Healthy
	bands
)

// String is the band's word in status and logs.
func (b Band) String() string {
	return word(b, "unknown", "resigned", "draining", "unhealthy", "healthy")
}

// APIServer is the state of the server behind the VIP on a node.
type APIServer uint8

// The states of an API server.
const (
	APIServerUnknown APIServer = iota
	// APIServerAlive: answers its liveness probe.
	APIServerAlive
	// APIServerStopping: refuses new connections and has established ones; they
	// are carried until it ends them.
	APIServerStopping
	// APIServerHung: its liveness times out or fails; its connections are worth
	// nothing.
	APIServerHung
	// APIServerDead: refuses connections and has none.
	APIServerDead
	apiServers
)

// String is the state's word in status and logs.
func (a APIServer) String() string {
	return word(a, "unknown", "alive", "stopping", "hung", "dead")
}

func word[T ~uint8](n T, words ...string) string {
	if int(n) >= len(words) {
		return words[0]
	}
	return words[n]
}

// understood returns n, or zero if it is not below end.
func understood[T ~uint8](n uint8, end T) T {
	if n >= uint8(end) {
		return 0
	}
	return T(n)
}

// Capabilities is a set of what a node's kernel and program can do. Bits that
// this version has no name for are kept.
type Capabilities uint64

// The capabilities.
const (
	// ForwardsIPv4 and ForwardsIPv6: gives packets of connections that it does
	// not know to its predecessor.
	ForwardsIPv4 Capabilities = 1 << iota
	ForwardsIPv6
	// Shadows: can keep a VIP silently.
	Shadows
	// Resets: can end connections so that their clients are told.
	Resets
)

// Has reports whether all of want are in the set.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }
