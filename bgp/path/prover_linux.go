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
	// this node takes some of them here.
	tries = 8
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
}

// opened is an interface that several questions may need at a time.
type opened struct {
	users    int
	giveBack func() error
}

// NewProver returns a Prover.
func NewProver(accept AcceptLocal) *Prover {
	return &Prover{accept: accept, open: map[string]*opened{}}
}

// question is what to ask for, and from where.
type question struct {
	vip  netip.AddrPort
	from netip.Addr
	link string
	url  URL
	// oneWillDo: this node may be asked too, so that one request which was served
	// elsewhere says enough.
	oneWillDo bool
}

// errHere: a request was served by this node itself.
var errHere = errors.New("the router still sends to this node")

// Prove returns nil when other nodes served each of a few requests for each VIP,
// on each way to the routers. It returns within patience or a little more.
func (p *Prover) Prove(ctx context.Context, vips []netip.AddrPort, url URL, routers []netip.Addr) error {
	leading, err := ways(routers)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range leading {
		for _, vip := range vips {
			from, err := w.from(vip.Addr(), vips)
			if err != nil {
				return err
			}
			q := question{vip: vip, from: from, link: w.link.Attrs().Name, url: url}
			g.Go(func() error { return p.prove(ctx, q) })
		}
	}
	return g.Wait()
}

// ProveShared is Prove where this node's way could not be made worse before: nil when
// another node served at least one of a few requests for each VIP, on each default
// route. A router that prefers this node's way, or spreads by addresses alone, may
// lead all of them back here, which proves nothing.
func (p *Prover) ProveShared(ctx context.Context, vips []netip.AddrPort, url URL) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, vip := range vips {
		leading, err := waysOut(vip.Addr())
		if err != nil {
			return err
		}
		for _, w := range leading {
			from, err := w.from(vip.Addr(), vips)
			if err != nil {
				return err
			}
			q := question{vip: vip, from: from, link: w.link.Attrs().Name, url: url, oneWillDo: true}
			g.Go(func() error { return p.prove(ctx, q) })
		}
	}
	return g.Wait()
}

func (p *Prover) prove(ctx context.Context, q question) (err error) {
	if q.vip.Addr().Is4() {
		if err := unfiltered(q.link); err != nil {
			return err
		}
		if err := p.begin(q.link); err != nil {
			return fmt.Errorf("ask for %s by %s: %w", q.vip, q.link, err)
		}
		defer func() { err = errors.Join(err, p.end(q.link)) }()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask := q.askEach
	if q.oneWillDo {
		ask = q.askAny
	}
	if err := ask(ctx); err != nil {
		return fmt.Errorf("ask for %s by %s: %w", q.vip, q.link, err)
	}
	return nil
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
			if err := raw.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), q.link) }); err != nil {
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
