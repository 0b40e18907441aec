package bgptest

import (
	"encoding/binary"
	"io"
)

// SendTable sends that many routes or some more, none of them twice, many in each
// UPDATE (RFC 4271 4.3). w is a session that is established, without AS numbers of
// four bytes.
func SendTable(w io.Writer, routes int) error {
	// ORIGIN, AS_PATH of one sequence and NEXT_HOP (RFC 4271 5.1.1 to 5.1.3).
	attributes := []byte{0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, ASN >> 8, ASN & 0xff, 0x40, 3, 4, 192, 0, 2, 1}
	const each, bits = 500, 32
	for next := uint32(10 << 24); routes > 0; routes -= each {
		body := append([]byte{0, 0, 0, byte(len(attributes))}, attributes...)
		for range each {
			body = binary.BigEndian.AppendUint32(append(body, bits), next)
			next++
		}
		if _, err := w.Write(message(update, body...)); err != nil {
			return err
		}
	}
	return nil
}
