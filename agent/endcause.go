package agent

// EndCause is why this node ended open connections of a VIP. It is the metric's
// label too.
type EndCause string

// The causes.
const (
	// EndGrace: handover.grace was over.
	EndGrace EndCause = "grace"
	// EndHung: the API server hangs; its clients are better off elsewhere.
	EndHung EndCause = "hung"
	// EndUnheeded: the owner passes nothing on to this node: it is no vipd, or it
	// cannot.
	EndUnheeded EndCause = "unheeded"
	// EndLocal: only clients on this host were left.
	EndLocal EndCause = "local-clients"
	// EndWaited: vipd drain --wait-connections waited no longer.
	EndWaited EndCause = "waited"
	// EndUnkept: the VIP was given up where nothing can be kept: without a
	// successor, with handover.preserve false, or on a kernel that cannot.
	EndUnkept EndCause = "unkept"
	// EndStranded: a client on this host was connected to the former owner, and
	// the kernel cannot carry that.
	EndStranded EndCause = "stranded"
)

// EndCauses lists every EndCause, for documentation and tests.
func EndCauses() []EndCause {
	return []EndCause{EndGrace, EndHung, EndUnheeded, EndLocal, EndWaited, EndUnkept, EndStranded}
}

// explain is the cause for people.
func (c EndCause) explain() string {
	switch c {
	case EndGrace:
		return "handover.grace is over"
	case EndHung:
		return "the API server hangs"
	case EndUnheeded:
		return "the new owner passes nothing on to this node"
	case EndLocal:
		return "only clients on this host were left"
	case EndWaited:
		return "vipd drain waited no longer"
	case EndUnkept:
		return "there is nobody to keep them"
	case EndStranded:
		return "this kernel cannot carry connections of its own clients"
	}
	panic("agent: unhandled cause")
}
