package peer

// The header, in bytes from the start: magic 0, major version 4, minor version
// 5, flags 6, reserved 7, boot 8, sequence 16, nonce 24.
const (
	magic        = "vipd"
	majorVersion = 1
	minorVersion = 0
	headerLength = 32

	flagsOffset = 6
	// flagTagged: the last tagLength bytes are an authentication tag.
	flagTagged = 1 << 0
)

// The tag: an identifier of the key, and HMAC-SHA256.
const (
	keyIDLength = 4
	macLength   = 32
	tagLength   = keyIDLength + macLength
)

// fieldHead is the length of what stands before each section and each field:
// type (1 byte) and length of the value (2).
const fieldHead = 3

// Types of sections.
const (
	sectionNode         = 1 // ID 8, flags 1, name
	sectionVersion      = 2 // text
	sectionCapabilities = 3 // 8
	sectionMAC          = 4 // 6
	sectionIPv4         = 5 // 4 each
	sectionIPv6         = 6 // 16 each
	sectionEchoes       = 7 // 8 each
	sectionDigests      = 8 // setting 1, hash 4 each
	sectionStatement    = 9 // fields
)

// nodeStopping is the flag of sectionNode: the daemon stops.
const nodeStopping = 1 << 0

// Types of the fields of a statement.
const (
	fieldName        = 1  // text
	fieldIPv4        = 2  // 4 each
	fieldIPv6        = 3  // 16 each
	fieldState       = 4  // VRID, role, band, priority, API server: 1 each; flags 2
	fieldReason      = 5  // text
	fieldPredecessor = 6  // 8
	fieldSuccessor   = 7  // 8
	fieldHolders     = 8  // 8 each
	fieldTraffic     = 9  // connections 4, forwarded packets 8
	fieldGrace       = 10 // milliseconds, 4
	fieldDigests     = 11 // setting 1, hash 4 each
)

const (
	nodeLength    = 9
	stateLength   = 7
	trafficLength = 12
	digestLength  = 5
)

// Flags of fieldState.
const (
	stateDrained   = 1 << 0
	stateAnnounced = 1 << 1
	stateDone      = 1 << 2
)
