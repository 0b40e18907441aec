package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// equateEmpty: on the wire no list and an empty one are the same.
var equateEmpty = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func TestGreatestHelloFitsIntoOneDatagram(t *testing.T) {
	h := greatestHello()
	datagram, next := h.Append(nil, 0)
	if n := len(datagram) + tagLength; n > MaxSize || next != 1 {
		t.Errorf("%d bytes with a tag, %d statements said; want at most %d bytes and 1", n, next, MaxSize)
	}
	var got Hello
	must(t, new(Parser).Parse(datagram, &got))
	if diff := cmp.Diff(h, &got, equateEmpty); diff != "" {
		t.Errorf("-said +heard:\n%s", diff)
	}
}

func TestManyGroupsAreSaidInSeveralWholeDatagrams(t *testing.T) {
	said := fullHello()
	said.Statements = nil
	for i := range 100 {
		s := fullStatement()
		s.Name = fmt.Sprintf("vip%d", i+1)
		s.VIPs = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
		said.Statements = append(said.Statements, s)
	}
	var p Parser
	var heard []Statement
	var sequences []uint64
	sender := NewSender(ring(t, keyOne))
	receiver := ring(t, keyOne)
	sender.Each(said, addr("192.0.2.12"), func(datagram []byte) {
		if len(datagram) > MaxSize {
			t.Errorf("datagram of %d bytes", len(datagram))
		}
		body, err := receiver.open(datagram, addr("192.0.2.12"))
		must(t, err)
		var h Hello
		must(t, p.Parse(body, &h))
		sequences = append(sequences, h.Sequence)
		heard = append(heard, h.Statements...)
		h.Statements, h.Sequence = nil, 0
		want := *said
		want.Statements, want.Sequence = nil, 0
		if diff := cmp.Diff(want, h, equateEmpty); diff != "" {
			t.Errorf("what stands in each datagram, -said +heard:\n%s", diff)
		}
	})
	if diff := cmp.Diff(said.Statements, heard, equateEmpty); diff != "" {
		t.Errorf("-said +heard:\n%s", diff)
	}
	for i, n := range sequences {
		if n != uint64(i+1) {
			t.Fatalf("sequence numbers %v", sequences)
		}
	}
}

func TestWhatIsBeyondTheLimitsIsCut(t *testing.T) {
	said := greatestHello()
	said.Name += "more"
	said.Version += "more"
	said.Link.Addresses = append(said.Link.Addresses, addr("2001:db8::5"))
	said.Echoes = append(said.Echoes, Nonce{1})
	said.Digests = append(said.Digests, Digest{Setting: 1})
	s := &said.Statements[0]
	s.Name += "more"
	s.Reason += "more"
	s.VIPs = append(s.VIPs, addr("2001:db8::19"))
	s.Holders = append(s.Holders, ID{1})
	s.Digests = append(s.Digests, Digest{Setting: 1})
	datagram, _ := said.Append(nil, 0)
	var heard Hello
	must(t, new(Parser).Parse(datagram, &heard))
	if diff := cmp.Diff(greatestHello(), &heard, equateEmpty); diff != "" {
		t.Errorf("-at the limits +heard:\n%s", diff)
	}
}

func TestValuesOutOfRangeAreBroughtIntoIt(t *testing.T) {
	said := fullHello()
	said.Name = "cp 2\n\x1b[31m"
	said.Statements[0].Reason = "ünwell"
	said.Statements[0].Grace = 100 * 24 * time.Hour
	said.Statements[0].Predecessor = ID{}
	datagram, _ := said.Append(nil, 0)
	var heard Hello
	must(t, new(Parser).Parse(datagram, &heard))
	want := fullHello()
	want.Name = "cp?2??[31m"
	want.Statements[0].Reason = "??nwell"
	want.Statements[0].Grace = math.MaxUint32 * time.Millisecond
	want.Statements[0].Predecessor = ID{}
	if diff := cmp.Diff(want, &heard, equateEmpty); diff != "" {
		t.Errorf("-want +heard:\n%s", diff)
	}
}

// section makes a section or field.
func section(kind uint8, value ...byte) []byte {
	b := []byte{kind, 0, 0}
	binary.BigEndian.PutUint16(b[1:], uint16(len(value)))
	return append(b, value...)
}

// sparse is the smallest hello with more sections behind it.
func sparse(more ...[]byte) []byte {
	b, _ := sparseHello().Append(nil, 0)
	return append(b, slices.Concat(more...)...)
}

// stated is a state field as this version writes it.
func stated(more ...byte) []byte {
	return section(fieldState, append([]byte{51, byte(Owner), byte(Healthy), 200, byte(APIServerAlive), 0, stateAnnounced}, more...)...)
}

func TestNewerMinorVersions(t *testing.T) {
	vip := section(fieldIPv4, 192, 0, 2, 10)
	statement := func(fields ...[]byte) []byte {
		return section(sectionStatement, slices.Concat(fields...)...)
	}
	owner := Statement{VIPs: addrs("192.0.2.10"), VRID: 51, Role: Owner, Band: Healthy, Priority: 200, APIServer: APIServerAlive, Announced: true}
	foreign := owner
	foreign.Role, foreign.Band, foreign.APIServer = RoleUnknown, BandUnknown, APIServerUnknown
	hello := func(change func(*Hello)) Hello {
		h := *sparseHello()
		change(&h)
		return h
	}
	rows := []struct {
		name string
		in   []byte
		want Hello
	}{
		{"a higher minor version is told and read", func() []byte { b := sparse(); b[5] = 7; return b }(),
			hello(func(h *Hello) { h.Minor = 7 })},
		{"a section of unknown type is skipped", sparse(section(200, 1, 2, 3), section(sectionVersion, 'v', '2')),
			hello(func(h *Hello) { h.Version = "v2" })},
		{"a field of unknown type is skipped", sparse(statement(section(200, 1, 2, 3), vip, stated())),
			hello(func(h *Hello) { h.Statements = []Statement{owner} })},
		{"a longer state is read as far as it is known", sparse(statement(vip, stated(1, 2, 3))),
			hello(func(h *Hello) { h.Statements = []Statement{owner} })},
		{"a longer traffic field is read as far as it is known",
			sparse(statement(vip, stated(), section(fieldTraffic, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9))),
			hello(func(h *Hello) {
				s := owner
				s.Connections, s.Forwarded = 1, 2
				h.Statements = []Statement{s}
			})},
		{"unknown words are read as not said", sparse(statement(vip, section(fieldState, 51, 99, 99, 200, 99, 0, stateAnnounced))),
			hello(func(h *Hello) { h.Statements = []Statement{foreign} })},
		{"unknown flags are ignored", sparse(statement(vip, section(fieldState, 51, byte(Owner), byte(Healthy), 200, byte(APIServerAlive), 0xff, 0xf8|stateAnnounced))),
			hello(func(h *Hello) { h.Statements = []Statement{owner} })},
		{"unknown capabilities are kept", sparse(section(sectionCapabilities, 0x80, 0, 0, 0, 0, 0, 0, 1)),
			hello(func(h *Hello) { h.Capabilities = 1<<63 | ForwardsIPv4 })},
		{"an unknown setting is kept", sparse(section(sectionDigests, 200, 0, 0, 0, 1)),
			hello(func(h *Hello) { h.Digests = []Digest{{Setting: 200, Hash: 1}} })},
		{"a longer name is cut", sparse(section(sectionNode, append(make([]byte, nodeLength), strings.Repeat("n", 200)...)...)),
			hello(func(h *Hello) { h.ID, h.Name = ID{}, strings.Repeat("n", maxName) })},
		{"more holders than are kept", sparse(statement(vip, stated(), section(fieldHolders, make([]byte, 8*20)...))),
			hello(func(h *Hello) {
				s := owner
				s.Holders = make([]ID, maxHolders)
				h.Statements = []Statement{s}
			})},
		{"more echoes than this version sends are all read", sparse(section(sectionEchoes, make([]byte, 8*100)...)),
			hello(func(h *Hello) { h.Echoes = make([]Nonce, 100) })},
		{"of a section that comes twice the last one counts", sparse(section(sectionVersion, 'a'), section(sectionVersion, 'b')),
			hello(func(h *Hello) { h.Version = "b" })},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			// A Hello with memory of something else in it must not show through.
			got := *greatestHello()
			must(t, new(Parser).Parse(row.in, &got))
			if diff := cmp.Diff(row.want, got, equateEmpty); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRefusedByTheParser(t *testing.T) {
	statement := func(fields ...[]byte) []byte {
		return sparse(section(sectionStatement, slices.Concat(fields...)...))
	}
	vip := section(fieldIPv4, 192, 0, 2, 10)
	header := sparse()[:headerLength]
	change := func(at int, to byte) []byte { b := sparse(); b[at] = to; return b }
	rows := []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, ErrVersion},
		{"shorter than a header", header[:headerLength-1], ErrVersion},
		{"other magic", change(0, 'V'), ErrVersion},
		{"other major version", change(4, majorVersion+1), ErrVersion},
		{"no name: a header only", header, ErrMalformed},
		{"an empty name", append(slices.Clone(header), section(sectionNode, make([]byte, nodeLength)...)...), ErrMalformed},
		{"a node without flags", sparse(section(sectionNode, make([]byte, 8)...)), ErrMalformed},
		{"a section cut in its head", sparse([]byte{200, 0}), ErrMalformed},
		{"a section longer than the datagram", sparse([]byte{200, 0, 2, 1}), ErrMalformed},
		{"longer than any hello", sparse(section(200, make([]byte, MaxSize)...)), ErrMalformed},
		{"a terminal's escape in the name", sparse(section(sectionNode, append(make([]byte, nodeLength), "\x1b[2J"...)...)), ErrMalformed},
		{"a space in the version", sparse(section(sectionVersion, []byte("v 1")...)), ErrMalformed},
		{"short capabilities", sparse(section(sectionCapabilities, 1, 2, 3)), ErrMalformed},
		{"a short MAC", sparse(section(sectionMAC, 2, 0, 0, 0, 0)), ErrMalformed},
		{"the MAC of a group", sparse(section(sectionMAC, 1, 0, 0x5e, 0, 0, 0x12)), ErrMalformed},
		{"a piece of an IPv4 address", sparse(section(sectionIPv4, 192, 0, 2)), ErrMalformed},
		{"a piece of an IPv6 address", sparse(section(sectionIPv6, 0x20, 1)), ErrMalformed},
		{"a link address that is a group", sparse(section(sectionIPv4, 224, 0, 0, 18)), ErrMalformed},
		{"a link address that is unspecified", sparse(section(sectionIPv6, make([]byte, 16)...)), ErrMalformed},
		{"an IPv4 address in IPv6 form", sparse(section(sectionIPv6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1)), ErrMalformed},
		{"half an echo", sparse(section(sectionEchoes, 1, 2, 3, 4)), ErrMalformed},
		{"half a digest", sparse(section(sectionDigests, 1, 2)), ErrMalformed},
		{"a group without a VIP", statement(stated()), ErrMalformed},
		{"a group without a state", statement(vip), ErrMalformed},
		{"a VIP on loopback", statement(section(fieldIPv4, 127, 0, 0, 1), stated()), ErrMalformed},
		{"a VIP that is broadcast", statement(section(fieldIPv4, 255, 255, 255, 255), stated()), ErrMalformed},
		{"a short state", statement(vip, section(fieldState, 51, 1, 1, 1, 1, 0)), ErrMalformed},
		{"a field longer than its section", statement(vip, stated(), []byte{fieldName, 0, 9, 'a'}), ErrMalformed},
		{"a control character in the group's name", statement(vip, stated(), section(fieldName, 7)), ErrMalformed},
		{"a control character in the reason", statement(vip, stated(), section(fieldReason, 7)), ErrMalformed},
		{"a short predecessor", statement(vip, stated(), section(fieldPredecessor, 1)), ErrMalformed},
		{"a short successor", statement(vip, stated(), section(fieldSuccessor, 1)), ErrMalformed},
		{"half a holder", statement(vip, stated(), section(fieldHolders, 1, 2, 3, 4)), ErrMalformed},
		{"short traffic", statement(vip, stated(), section(fieldTraffic, 1)), ErrMalformed},
		{"a short grace", statement(vip, stated(), section(fieldGrace, 1)), ErrMalformed},
		{"half a digest of a group", statement(vip, stated(), section(fieldDigests, 1)), ErrMalformed},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var h Hello
			if err := new(Parser).Parse(row.in, &h); !errors.Is(err, row.want) {
				t.Errorf("error %v, want %v", err, row.want)
			}
		})
	}
}

// A datagram cut anywhere is refused, or says less: never something else.
func TestCutDatagrams(t *testing.T) {
	whole, _ := fullHello().Append(nil, 0)
	var p Parser
	for n := range whole {
		var h Hello
		if err := p.Parse(whole[:n], &h); err == nil && len(h.Statements) > 0 {
			t.Errorf("the first %d of %d bytes were taken for the whole", n, len(whole))
		}
	}
}

// What was read is written and read again as the same.
func FuzzParse(f *testing.F) {
	for _, h := range []*Hello{sparseHello(), fullHello(), greatestHello()} {
		b, _ := h.Append(nil, 0)
		f.Add(b)
	}
	f.Add(sparse(section(200, 1), section(sectionStatement, slices.Concat(section(fieldIPv4, 192, 0, 2, 10), stated(1))...)))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var p Parser
		var first, second Hello
		if err := p.Parse(datagram, &first); err != nil {
			if !errors.Is(err, ErrVersion) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("unknown error %v", err)
			}
			return
		}
		first.Minor = minorVersion
		first.Echoes = first.Echoes[:min(len(first.Echoes), maxEchoes)]
		var statements []Statement
		for next := 0; ; {
			var again []byte
			again, next = first.Append(nil, next)
			if len(again) > MaxSize-tagLength {
				t.Fatalf("written in %d bytes", len(again))
			}
			must(t, p.Parse(again, &second))
			for i := range second.Statements {
				var s Statement
				s.copyFrom(&second.Statements[i])
				statements = append(statements, s)
			}
			if next >= len(first.Statements) {
				break
			}
		}
		second.Statements = statements
		if diff := cmp.Diff(first, second, equateEmpty); diff != "" {
			t.Errorf("-read +read again:\n%s", diff)
		}
	})
}

func TestStatementsDifferInAllButTheirCounts(t *testing.T) {
	rows := []struct {
		name   string
		change func(*Statement)
		want   bool
	}{
		{"nothing", func(*Statement) {}, false},
		{"connections", func(s *Statement) { s.Connections++ }, false},
		{"forwarded packets", func(s *Statement) { s.Forwarded++ }, false},
		{"time left", func(s *Statement) { s.Grace-- }, false},
		{"name", func(s *Statement) { s.Name = "x" }, true},
		{"addresses", func(s *Statement) { s.VIPs = s.VIPs[:1] }, true},
		{"VRID", func(s *Statement) { s.VRID++ }, true},
		{"role", func(s *Statement) { s.Role = Shadow }, true},
		{"band", func(s *Statement) { s.Band = Draining }, true},
		{"priority", func(s *Statement) { s.Priority++ }, true},
		{"API server", func(s *Statement) { s.APIServer = APIServerHung }, true},
		{"reason", func(s *Statement) { s.Reason = "x" }, true},
		{"drained", func(s *Statement) { s.Drained = false }, true},
		{"announced", func(s *Statement) { s.Announced = false }, true},
		{"done", func(s *Statement) { s.Done = false }, true},
		{"predecessor", func(s *Statement) { s.Predecessor = ID{} }, true},
		{"successor", func(s *Statement) { s.Successor = ID{} }, true},
		{"holders", func(s *Statement) { slices.Reverse(s.Holders) }, true},
		{"digests", func(s *Statement) { s.Digests[0].Hash++ }, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a, b := fullStatement(), fullStatement()
			row.change(&b)
			if got := a.differs(&b); got != row.want {
				t.Errorf("differs: %v, want %v", got, row.want)
			}
		})
	}
}

func TestLinkAddressOfAVersion(t *testing.T) {
	l := Link{Addresses: addrs("192.0.2.12", "2001:db8::12", "fe80::12")}
	if got := l.Address(false); got != addr("192.0.2.12") {
		t.Errorf("IPv4 %v", got)
	}
	if got := l.Address(true); got != addr("2001:db8::12") {
		t.Errorf("IPv6 %v", got)
	}
	if got := (&Link{}).Address(true); got.IsValid() {
		t.Errorf("an address out of nothing: %v", got)
	}
}

func TestSettingsThatDiffer(t *testing.T) {
	of := func(pairs ...any) []Digest {
		var all []Digest
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, DigestOf(pairs[i].(Setting), pairs[i+1].(string)))
		}
		return all
	}
	rows := []struct {
		name         string
		mine, theirs []Digest
		want         []Setting
	}{
		{"the same", of(SettingVRID, "51", SettingFence, "3s"), of(SettingFence, "3s", SettingVRID, "51"), nil},
		{"two differ", of(SettingVRID, "51", SettingFence, "3s", SettingPort, "6443"), of(SettingVRID, "52", SettingFence, "4s", SettingPort, "6443"),
			[]Setting{SettingVRID, SettingFence}},
		{"told by one side only: another version", of(SettingVRID, "51"), of(SettingFence, "3s"), nil},
		{"values that run together", of(SettingVRID, "5", SettingFence, "13s"), of(SettingVRID, "51", SettingFence, "3s"),
			[]Setting{SettingVRID, SettingFence}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, Differing(row.mine, row.theirs)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWords(t *testing.T) {
	all := func(n int, word func(uint8) string) []string {
		var words []string
		for i := range n + 1 {
			words = append(words, word(uint8(i)))
		}
		return words
	}
	rows := []struct {
		name      string
		got, want []string
	}{
		{"roles", all(int(roles), func(n uint8) string { return Role(n).String() }),
			[]string{"unknown", "init", "backup", "claiming", "owner", "listening", "handover", "fault", "drained", "unknown"}},
		{"bands", all(int(bands), func(n uint8) string { return Band(n).String() }),
			[]string{"unknown", "resigned", "draining", "unhealthy", "healthy", "unknown"}},
		{"API servers", all(int(apiServers), func(n uint8) string { return APIServer(n).String() }),
			[]string{"unknown", "alive", "stopping", "hung", "dead", "unknown"}},
		{"conditions", all(2, func(n uint8) string { return Condition(n).String() }), []string{"silent", "left", "alive"}},
		{"settings", all(12, func(n uint8) string { return Setting(n).String() }), []string{
			"unknown", "cluster", "addresses", "port", "announce", "election", "fence", "vrrp.vrid", "vrrp.version",
			"vrrp.advert_interval", "vrrp.preempt", "handover.preserve", "handover.grace"}},
	}
	for _, row := range rows {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", row.name, diff)
		}
	}
}
