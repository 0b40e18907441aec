// Package pcap reads what a capture of a lab has written, with the kernel's time
// of each frame.
package pcap

import (
	"encoding/binary"
	"iter"
	"os"
	"time"
)

// Frames yields the Ethernet frames that a capture has written so far, which are
// valid until the next one; a record that is not whole yet is left out.
func Frames(file string) (iter.Seq2[time.Time, []byte], error) {
	const fileHeader, recordHeader = 24, 16
	content, err := os.ReadFile(file) //nolint:gosec // a capture of the lab
	if err != nil {
		return nil, err
	}
	return func(yield func(time.Time, []byte) bool) {
		for b := content[min(fileHeader, len(content)):]; len(b) >= recordHeader; {
			// pcap-savefile(5): seconds, microseconds, captured length, length.
			size := int(binary.NativeEndian.Uint32(b[8:]))
			if len(b) < recordHeader+size {
				return
			}
			at := time.Unix(int64(binary.NativeEndian.Uint32(b)), int64(binary.NativeEndian.Uint32(b[4:]))*1000)
			if !yield(at, b[recordHeader:][:size]) {
				return
			}
			b = b[recordHeader+size:]
		}
	}, nil
}
