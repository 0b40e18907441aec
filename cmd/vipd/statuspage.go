package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vipd/vipd/agent"
	"github.com/vipd/vipd/config"
)

// staleAfter is the age from which a status is not the present one: the daemon
// answers with its last one while its loop does not run.
const staleAfter = 5 * time.Second

// statusPage is the status for people, in the width of standard output.
func (g *globals) statusPage(s agent.Status) string {
	p := page{width: widthOf(g.stdout), style: g.style(g.stdout), now: s.Time}
	p.node(s)
	if age := g.now().Sub(s.Time); age > staleAfter {
		p.field("WARNING", fmt.Sprintf("this is as of %s ago: the daemon's event loop does not answer. "+
			"See systemctl status vipd; the VIPs leave this node by themselves within their fence.", span(age)), p.style.bad)
	}
	for i := range s.VIPs {
		p.text.WriteString("\n")
		p.vip(&s.VIPs[i])
	}
	p.routers(s.BGP)
	p.cluster(s)
	return p.text.String()
}

// page is a text of labelled fields.
type page struct {
	text  strings.Builder
	width int
	style style
	// now is the time of the status, from which ages count.
	now time.Time
}

// labelWidth is the width of the labels' column, indentation included.
const labelWidth = 15

// field writes a label and a text beside it, wrapped and painted. A label that
// is too long for its column has a line of its own.
func (p *page) field(label, text string, paint func(string) string) {
	if len(label) > labelWidth-3 {
		fmt.Fprintf(&p.text, "  %s\n", p.style.faint(label))
		label = ""
	}
	for _, line := range wrap(text, p.width-labelWidth) {
		fmt.Fprintf(&p.text, "%s%s\n", p.style.faint(fmt.Sprintf("  %-*s", labelWidth-2, label)), paint(line))
		label = ""
	}
}

func (p *page) node(s agent.Status) {
	header := fmt.Sprintf("%s, vipd %s, pid %d, %s", s.Node, s.Version, s.PID, s.Config)
	for _, line := range wrap(header, p.width) {
		fmt.Fprintln(&p.text, p.style.bold(line))
	}
	if s.Drained {
		p.field("DRAINED", "since "+s.DrainedSince+"; takes no VIP until 'vipd undrain' or a reboot", p.style.notice)
	}
}

func (p *page) vip(v *agent.VIPStatus) {
	head := fmt.Sprintf("%s%s", p.ageOf(v.Since), on(v.Interface))
	fmt.Fprintf(&p.text, "%s: %s%s\n", p.style.bold(v.Name), p.state(v.State), head)
	p.field("addresses", joined(v.Addresses), p.style.plain)
	p.field("reason", sentence(string(v.Reason), v.Detail), p.style.plain)
	p.owner(v)
	p.election(v)
	p.announced(v)
	p.health(v)
	p.handover(v)
	p.certificate(v)
	if v.DuplicateOwner {
		p.field("WARNING", fmt.Sprintf("another station claims this VIP while this node owns it. Run 'vipd status' on the other nodes; "+
			"'journalctl -u vipd' names its MAC; 'arping -D -I %s %s' asks for it.", cmp.Or(v.Election.Interface, v.Interface), v.Addresses[0]), p.style.bad)
	}
}

func joined(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

func (p *page) state(s agent.State) string {
	word := strings.ToUpper(string(s))
	switch s {
	case agent.StateOwner:
		return p.style.good(word)
	case agent.StateFault:
		return p.style.bad(word)
	case agent.StateDrained, agent.StateInit, agent.StateHandover:
		return p.style.notice(word)
	case agent.StateBackup:
	}
	return p.style.bold(word)
}

func (p *page) owner(v *agent.VIPStatus) {
	switch {
	case v.State == agent.StateOwner:
		p.field("owner", "this node"+inBrackets(v.Owner), p.style.plain)
	case v.Owner == "":
		p.field("owner", "nobody is heard", p.style.notice)
	default:
		p.field("owner", fmt.Sprintf("%s (priority %d)", v.Owner, v.Election.OwnerPriority), p.style.plain)
	}
}

// announced tells how routers are told of the VIP, and until when.
func (p *page) announced(v *agent.VIPStatus) {
	switch left := v.HealthyAt.Sub(p.now); {
	case v.AnnouncedAs == "":
	case v.HealthyAt.IsZero():
		p.field("announced", "as "+v.AnnouncedAs, p.style.plain)
	default:
		p.field("announced", fmt.Sprintf("as %s, for %s more if health lasts", v.AnnouncedAs, span(max(0, left))), p.style.notice)
	}
}

func (p *page) election(v *agent.VIPStatus) {
	e := v.Election
	if e.Type == string(config.ElectionNone) {
		p.field("election", "none: every node holds it; this one is "+e.Band, p.style.plain)
		return
	}
	advert := "no advert yet"
	if e.LastAdvertAgeSeconds >= 0 {
		advert = fmt.Sprintf("last advert %s ago", brief(e.LastAdvertAgeSeconds))
	}
	segment := ""
	if e.Interface != v.Interface && e.Interface != "" {
		segment = " on " + e.Interface
	}
	p.field("election", fmt.Sprintf("%s%s, VRID %d, priority %d (%s), %s", e.Type, segment, e.VRID, e.Priority, e.Band, advert), p.style.plain)
	p.lease(e.Lease)
	p.listedPeers(e.Peers)
}

// lease tells who has the lease in etcd.
func (p *page) lease(l *agent.LeaseStatus) {
	if l == nil {
		return
	}
	text, paint := "nobody has it", p.style.notice
	switch {
	case l.Bootstrapping:
		text = "etcd was never reached; VRRP elects until it is"
	case l.Held:
		text, paint = fmt.Sprintf("this node has it, for %s without etcd", brief(l.RemainingSeconds)), p.style.plain
	case l.Holder != "":
		text, paint = l.Holder+" has it", p.style.plain
	}
	if l.TTLSeconds > 0 {
		text += fmt.Sprintf("; TTL %s, term %d", brief(l.TTLSeconds), l.Term)
	}
	if l.Error != "" {
		text, paint = text+"; "+l.Error, p.style.bad
	}
	p.field("lease", text, paint)
	p.candidates(l.Candidates)
}

// candidates tells which nodes would take the lease, and how fit they are.
func (p *page) candidates(all []agent.LeaseCandidate) {
	words := make([]string, len(all))
	for i, c := range all {
		words[i] = fmt.Sprintf("%s (%s)", c.Node, c.Band)
	}
	if len(words) > 0 {
		p.field("candidates", strings.Join(words, ", "), p.style.plain)
	}
}

// listedPeers tells whom adverts go to, where that is not the multicast group, or
// should not be.
func (p *page) listedPeers(l agent.ListedPeers) {
	if len(l.From) == 0 && l.Problem == "" {
		return
	}
	text, paint := "the multicast group", p.style.plain
	if len(l.From) > 0 {
		to := "nobody"
		if len(l.Addresses) > 0 {
			to = joined(l.Addresses)
		}
		text = to + " (" + strings.Join(l.From, ", ") + ")"
	}
	if l.Problem != "" {
		text, paint = text+"; "+l.Problem, p.style.notice
	}
	p.field("adverts to", text, paint)
}

func (p *page) health(v *agent.VIPStatus) {
	verdict, paint := "good", p.style.plain
	if !v.Healthy {
		verdict, paint = "BAD", p.style.bad
	}
	if len(v.Health) == 0 {
		verdict += ", without any check"
	}
	p.field("health", verdict, paint)
	for _, check := range v.Health {
		p.field("  "+check.Name, p.verdict(check), p.paintOf(check))
	}
}

// handover tells what becomes of open connections.
func (p *page) handover(v *agent.VIPStatus) {
	h, paint := &v.Handover, p.style.plain
	var text string
	switch {
	case h.Shadow:
		text = fmt.Sprintf("%d open here, carried for %s at the most", h.Connections, span(time.Duration(h.GraceSeconds*float64(time.Second))))
	case v.State == agent.StateOwner:
		text = fmt.Sprintf("%d open here", h.Connections)
	default:
		text = "none of this node's"
	}
	if len(h.ForwardingTo) > 0 {
		text += ", others passed on to " + strings.Join(h.ForwardingTo, ", ")
	}
	if !h.Supported {
		text, paint = "END when the VIP moves: "+h.Reason, p.style.notice
	}
	p.field("connections", text, paint)
}

func (p *page) verdict(c agent.CheckStatus) string {
	// A healthy check may have something to say too.
	if c.Healthy {
		text := fmt.Sprintf("%s, good%s, %s", c.Type, p.ageOf(c.Since), brief(c.LatencySeconds))
		return sentence(text, c.Error)
	}
	alive := ""
	if c.Alive {
		alive = ", though it answers"
	}
	return sentence(fmt.Sprintf("%s, BAD%s%s", c.Type, p.ageOf(c.Since), alive), c.Error)
}

func (p *page) paintOf(c agent.CheckStatus) func(string) string {
	switch {
	case !c.Healthy:
		return p.style.bad
	case c.Error != "":
		return p.style.notice
	}
	return p.style.plain
}

// certificateNotice is how long before its end a certificate is worth a look.
// kubeadm's live a year.
const certificateNotice = 30 * 24 * time.Hour

func (p *page) certificate(v *agent.VIPStatus) {
	c := v.Certificate
	if c == nil {
		return
	}
	left := c.NotAfter.Sub(p.now)
	paint := p.style.plain
	text := fmt.Sprintf("good until %s (%s)", c.NotAfter.UTC().Format(time.DateOnly), span(left))
	switch {
	case left <= 0:
		text, paint = fmt.Sprintf("ENDED %s ago; renew it: kubeadm certs renew apiserver", span(-left)), p.style.bad
	case left < certificateNotice:
		text, paint = text+"; renew it: kubeadm certs renew apiserver", p.style.notice
	}
	if !c.CoversVIP {
		text += "; it names neither the VIP nor the endpoint, so clients cannot verify it"
		paint = p.style.bad
	}
	p.field("certificate", text, paint)
}

// ageOf is " for 3h12m", or nothing for a time that is not known.
func (p *page) ageOf(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return " for " + span(p.now.Sub(since))
}

func on(name string) string {
	if name == "" {
		return ", no interface yet"
	}
	return " on " + name
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// sentence joins a word and what it is about.
func sentence(word, detail string) string {
	if detail == "" {
		return word
	}
	return word + ": " + detail
}

// span is a duration for people, its two largest units: 12s, 3m12s, 3h12m,
// 12d3h.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 2*day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// brief is a short duration in seconds for people: 3.1ms, 1.5s.
func brief(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.3gms", seconds*1000)
	}
	return fmt.Sprintf("%.1fs", seconds)
}
