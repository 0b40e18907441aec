package keepalived

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// instance is a vrrp_instance.
type instance struct {
	at   Statement
	name string
	link string
	vrid int
	// version is 0 when the instance does not say.
	version      int
	priority     int
	interval     time.Duration
	nopreempt    bool
	preemptDelay time.Duration
	authType     string
	password     string
	peers        []netip.Addr
	// advertised are in the adverts, excluded are not.
	advertised, excluded []netip.Addr
	tracked              tracked
}

// tracked is what the state of an instance or a sync group hangs on.
type tracked struct {
	scripts []trackedScript
	links   []string
}

type trackedScript struct {
	at   Statement
	name string
	// weight is nil when the script's own counts.
	weight *weight
}

// weight is what is added to the priority while a script succeeds, if positive,
// or taken off it while it fails; 0: failing is a fault.
type weight struct {
	value   int
	reverse bool
}

// script is a vrrp_script.
type script struct {
	at                Statement
	command           []string
	interval, timeout time.Duration
	rise, fall        int
	weight            weight
}

// syncGroup is a vrrp_sync_group.
type syncGroup struct {
	at      Statement
	name    string
	members []string
	tracked tracked
}

// model is a configuration of keepalived, as far as it is understood.
type model struct {
	version   int
	instances []*instance
	scripts   map[string]*script
	groups    []syncGroup
	notes     []Note
	// general are the notes on all of the file, once each.
	general []string
}

func (m *model) note(at Statement, format string, args ...any) {
	m.notes = append(m.notes, Note{at.File, at.Line, plain(fmt.Sprintf(format, args...))})
}

// generally notes what holds for all of the file, once.
func (m *model) generally(text string) {
	if !slices.Contains(m.general, text) {
		m.general = append(m.general, text)
	}
}
