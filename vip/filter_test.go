package vip

import (
	"testing"

	"golang.org/x/net/bpf"
)

// The packet type's test in front is left out here, because the virtual machine of x/net
// does not know the extension; the kernel runs it in TestWatchClaims.
func TestFilters(t *testing.T) {
	type row struct {
		file   string
		passes bool
	}
	tests := []struct {
		name   string
		filter []bpf.Instruction
		rows   []row
	}{
		{"ARP with a sender", arpFilter(), []row{
			{"linux-arp-announcement", true},
			{"linux-arp-reply", true},
			{"linux-arp-request", true},
			{"question-arp-probe", false},
			{"linux-solicited-advertisement", false},
		}},
		{"neighbour messages", neighbourFilter(), []row{
			{"linux-unsolicited-advertisement", true},
			{"linux-solicited-advertisement", true},
			{"linux-dad-solicitation", true},
			{"linux-solicitation", true},
			{"linux-router-solicitation", false},
			{"linux-echo-request", false},
			{"linux-arp-reply", false},
		}},
	}
	for _, tt := range tests {
		machine, err := bpf.NewVM(tt.filter)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for _, row := range tt.rows {
			n, err := machine.Run(readFrame(t, row.file))
			if err != nil || n > 0 != row.passes {
				t.Errorf("%s: %s passes %v (%v), want %v", tt.name, row.file, n > 0, err, row.passes)
			}
		}
		if n, err := machine.Run(readFrame(t, "linux-arp-reply")[:ethernetLength]); err != nil || n > 0 {
			t.Errorf("%s: a frame without payload passes (%v)", tt.name, err)
		}
		if _, err := assemble(tt.filter); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
