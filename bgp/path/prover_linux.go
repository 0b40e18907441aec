package path

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// tries is how many requests are made, at one time and so from different
	// ports. Routers spread connections by those, so one that still has a path to
	// this node takes some of them here; of two nodes the other one has no share in
	// one of 65,000 questions.
	tries = 16
	// patience bounds each request. It is longer than the kernel's first
	// retransmission of a SYN.
	patience = 2 * time.Second
)

// URL is a question of HTTP; the zero URL: a connection will do.
type URL struct {
	// TLS asks by https. The certificate is not verified: the answer is about
	// health, and tells nothing to anybody.
	TLS  bool
	Path string
}

// AcceptLocal makes an interface take answers whose source, the VIP, is an
// address of this host, until giveBack is called.
type AcceptLocal func(interfaceName string) (giveBack func() error, err error)

// Prover asks for VIPs through the routers. It is safe for concurrent use.
type Prover struct {
	accept AcceptLocal

	mu sync.Mutex
	// open are the interfaces that take such answers now.
	open map[string]*opened
	// led are the VIPs, by interface, that are led to a router now.
	led map[led]bool
}

// led is a VIP that is led to a router by an interface.
type led struct {
	vip  netip.Addr
	link int
}

// opened is an interface that several questions may need at a time.
type opened struct {
	users    int
	giveBack func() error
}

// NewProver returns a Prover.
func NewProver(accept AcceptLocal) *Prover {
	return &Prover{accept: accept, open: map[string]*opened{}, led: map[led]bool{}}
}

// question is what to ask for, and from where.
type question struct {
	vip  netip.AddrPort
	from netip.Addr
	way  way
	url  URL
	// oneWillDo: this node may be asked too, so that one request which was served
	// elsewhere says enough.
	oneWillDo bool
}

// errHere: a request was served by this node itself.
var errHere = errors.New("the router still sends to this node")

// link is the interface to ask by.
func (q question) link() string { return q.way.link.Attrs().Name }

// String is what is asked, for errors.
func (q question) String() string {
	if q.way.hop.IsValid() {
		return fmt.Sprintf("ask for %s by %s through %s", q.vip, q.link(), q.way.hop)
	}
	return fmt.Sprintf("ask for %s by %s", q.vip, q.link())
}

// Prove returns nil when other nodes served each of a few requests for each VIP,
// through each router. It returns within patience or a little more, for each router
// of an interface.
func (p *Prover) Prove(ctx context.Context, vips []netip.AddrPort, url URL, routers []netip.Addr) error {
	leading, err := ways(routers)
	if err != nil {
		return err
	}
	var all [][]question
	for _, vip := range vips {
		fit, err := suited(leading, vip.Addr())
		if err != nil {
			return err
		}
		for _, ways := range byLink(fit) {
			asked, err := questions(question{vip: vip, url: url}, ways, vips)
			if err != nil {
				return err
			}
			all = append(all, asked)
		}
	}
	return p.proveAll(ctx, all)
}

// questions are one question by each of some ways.
func questions(q question, ways []way, vips []netip.AddrPort) ([]question, error) {
	all := make([]question, len(ways))
	for i, w := range ways {
		from, err := w.from(q.vip.Addr(), vips)
		if err != nil {
			return nil, err
		}
		q.way, q.from = w, from
		all[i] = q
	}
	return all, nil
}

// proveAll asks at one time what is in different lists, and one after the other what
// is in one: to one VIP the kernel leads through one router of an interface at a
// time.
func (p *Prover) proveAll(ctx context.Context, lists [][]question) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, list := range lists {
		g.Go(func() error {
			for _, q := range list {
				if err := p.prove(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// ProveShared is Prove where this node's way could not be made worse before: nil when
// another node served at least one of a few requests for each VIP, on each default
// route. A router that prefers this node's way, or spreads by addresses alone, may
// lead all of them back here, which proves nothing.
func (p *Prover) ProveShared(ctx context.Context, vips []netip.AddrPort, url URL) error {
	var all [][]question
	for _, vip := range vips {
		leading, err := waysOut(vip.Addr())
		if err != nil {
			return err
		}
		asked, err := questions(question{vip: vip, url: url, oneWillDo: true}, leading, vips)
		if err != nil {
			return err
		}
		all = append(all, slices.Collect(slices.Chunk(asked, 1))...)
	}
	return p.proveAll(ctx, all)
}

func (p *Prover) prove(ctx context.Context, q question) (err error) {
	if q.vip.Addr().Is4() {
		if err := unfiltered(q.link()); err != nil {
			return err
		}
		if err := p.begin(q.link()); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		defer func() { err = errors.Join(err, p.end(q.link())) }()
	}
	if q.way.hop.IsValid() {
		giveBack, err := p.lead(lead{vip: q.vip.Addr(), link: q.way.link, hop: q.way.hop})
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		defer func() { err = errors.Join(err, giveBack()) }()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask := q.askEach
	if q.oneWillDo {
		ask = q.askAny
	}
	if err := ask(ctx); err != nil {
		return fmt.Errorf("%s: %w", q, err)
	}
	return nil
}

// lead leads to a router until giveBack is called. A question that was given up
// may still lead elsewhere for a moment.
func (p *Prover) lead(l lead) (giveBack func() error, err error) {
	key := led{l.vip, l.link.Attrs().Index}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.led[key] {
		return nil, errors.New("an earlier question is not over yet")
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	p.led[key] = true
	return func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.led, key)
		return l.end()
	}, nil
}

// askEach returns nil when each request was served elsewhere.
func (q question) askEach(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range tries {
		g.Go(func() error { return q.ask(ctx) })
	}
	return g.Wait()
}

// askAny returns nil when one request was served elsewhere. Of the others it tells
// what says most: that they came back is the least.
func (q question) askAny(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var asked sync.WaitGroup
	answers := make([]error, tries)
	for i := range answers {
		asked.Go(func() {
			if answers[i] = q.ask(ctx); answers[i] == nil {
				cancel()
			}
		})
	}
	asked.Wait()
	if slices.Contains(answers, nil) {
		return nil
	}
	telling := slices.IndexFunc(answers, func(err error) bool { return !errors.Is(err, errHere) })
	if telling < 0 {
		return errors.New("all requests came back to this node: the router knows no other, prefers this one, or spreads by addresses alone")
	}
	return answers[telling]
}

// begin makes an interface take answers, unless it does for another question.
func (p *Prover) begin(link string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[link]
	if o == nil {
		giveBack, err := p.accept(link)
		if err != nil {
			return err
		}
		o = &opened{giveBack: giveBack}
		p.open[link] = o
	}
	o.users++
	return nil
}

// end undoes begin when nobody else needs it.
func (p *Prover) end(link string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[link]
	if o.users--; o.users > 0 {
		return nil
	}
	delete(p.open, link)
	return o.giveBack()
}

// unfiltered tells why answers from the VIP cannot come in by an interface. Strict
// reverse path filtering (RFC 3704 2.2) finds the VIP on lo and drops what bears
// it elsewhere; the greater value of the two counts
// (Documentation/networking/ip-sysctl.rst).
func unfiltered(link string) error {
	const strict = "1"
	mode := "0"
	for _, name := range []string{"all", link} {
		value, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "rp_filter"))
		if err != nil {
			return fmt.Errorf("ask by %s: %w", link, err)
		}
		mode = max(mode, strings.TrimSpace(string(value)))
	}
	if mode == strict {
		return fmt.Errorf("ask by %[1]s: rp_filter is strict there, so that answers from a VIP of this host are dropped; set net.ipv4.conf.%[1]s.rp_filter=2", link)
	}
	return nil
}

// dialer connects by the interface, past the address on lo.
func (q question) dialer() *net.Dialer {
	return &net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(q.from, 0)),
		Control: func(_, _ string, raw syscall.RawConn) error {
			var bound error
			if err := raw.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), q.link()) }); err != nil {
				return err
			}
			return os.NewSyscallError("setsockopt bind to device", bound)
		},
	}
}

// ask asks one question on a connection of its own.
func (q question) ask(ctx context.Context) error {
	conn, err := q.dialer().DialContext(ctx, "tcp", q.vip.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is sent that could be lost
	if q.url != (URL{}) {
		err = q.get(ctx, conn)
	} else {
		err = touch(ctx, conn.(*net.TCPConn))
	}
	if err != nil {
		return err
	}
	here, err := servedHere(q.vip, netip.AddrPortFrom(q.from, conn.LocalAddr().(*net.TCPAddr).AddrPort().Port()))
	if err != nil {
		return err
	}
	if here {
		return errHere
	}
	return nil
}

// get asks whether the node at the other end is ready.
func (q question) get(ctx context.Context, conn net.Conn) error {
	scheme := "http"
	if q.url.TLS {
		scheme = "https"
	}
	transport := &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return lasting{conn}, nil },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see URL
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+q.vip.String()+q.url.Path, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // it is not read
	switch response.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return nil // as in package health: who asks is not known, and need not be
	}
	return fmt.Errorf("the node that answers is not ready: %s", response.Status)
}

// lasting is a connection that HTTP does not close.
type lasting struct{ net.Conn }

func (lasting) Close() error { return nil }
