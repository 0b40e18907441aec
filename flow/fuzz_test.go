package flow

import (
	"testing"

	"github.com/mdlayher/netlink"
)

// What the kernel sends is read without a panic, whatever it is.

func FuzzParseEndpoint(f *testing.F) {
	f.Add(make([]byte, diagMessageLength))
	f.Add(append(make([]byte, diagMessageLength), 8, 0, diagInfo, 0, 1, 2, 3, 4))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseEndpoint(b) })
}

func FuzzParseLink(f *testing.F) {
	f.Add(make([]byte, 16))
	if b, err := settingMessage(2, arpIgnore, 1); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseLink(b) })
}

func FuzzNamesOfMessages(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 9, 0, 1, 0, 'v', 'i', 'p', 'd', 0})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = firstNames(netlink.Message{Data: b}) })
}

func FuzzPresence(f *testing.F) {
	f.Add(setOwned, vip4.AsSlice(), a4.AsSlice(), false)
	f.Fuzz(func(_ *testing.T, set string, key, value []byte, v6 bool) {
		presence([]element{{set: set, key: key, value: value}}, v6)
		opened(key, v6)
	})
}
