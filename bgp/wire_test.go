package bgp

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func byValue() []cmp.Option {
	return []cmp.Option{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	sent := []Message{
		{Wanted: &Wanted{
			ASN: 64512, RouterID: netip.MustParseAddr("192.0.2.11"), Generation: 7,
			Neighbors: []Neighbor{{Address: netip.MustParseAddr("192.0.2.1"), ASN: 1, HoldTime: time.Second, Password: "x", BFD: BFD{Enabled: true}}},
			Routes:    []Route{{Prefix: netip.MustParsePrefix("198.51.100.10/32"), Communities: []Community{GracefulShutdown}}},
		}},
		{Report: &Report{Lateness: time.Millisecond, Neighbors: []NeighborReport{{Address: netip.MustParseAddr("2001:db8::1"), State: Established}}}},
	}
	var pipe bytes.Buffer
	for _, m := range sent {
		if err := Write(&pipe, m); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(&pipe)
	for _, want := range sent {
		got, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, byValue()...); diff != "" {
			t.Errorf("-sent +arrived:\n%s", diff)
		}
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestWhatIsNoMessageIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "x\n", "nothing known": "{\"other\":1}\n", "too long": strings.Repeat(" ", maxMessage+1) + "\n",
	} {
		if _, err := NewReader(strings.NewReader(text)).Read(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPasswordFileIsNoBusinessOfTheSpeaker(t *testing.T) {
	var pipe bytes.Buffer
	if err := Write(&pipe, Message{Wanted: &Wanted{Neighbors: []Neighbor{{PasswordFile: "/secret"}}}}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(pipe.String(), "/secret") {
		t.Errorf("sent: %s", &pipe)
	}
}
