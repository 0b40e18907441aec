package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/lab"
)

const (
	// every is the time between two questions.
	every = 5 * time.Millisecond
	// sources is how many source addresses questions have in turn; an answer may
	// take as long as it takes until its question's is used again.
	sources = 50
	// firstSource is the last part of the first of them, above what hosts of a lab
	// have.
	firstSource = 201
	// patience is how long answers to the last question are waited for.
	patience = 200 * time.Millisecond
	// inOneGo is how long the frames of a question may take to be sent. One that took
	// longer, because this process had to wait, does not count: the VIP may have moved
	// between its first frame and its last.
	inOneGo = every
	// settled is how long after a question its answers are usually here.
	settled = 50 * time.Millisecond
)

// Watcher asks for one VIP until it is stopped.
type Watcher struct {
	from  *lab.Host
	vip   netip.Addr
	names map[string]string
	// conn carries questions; knocks is for TCP to port, nil: nobody is knocked at.
	// In IPv6 they are one.
	conn, knocks *packet.Conn
	port         uint16
	stations     []net.HardwareAddr

	done    chan struct{}
	running sync.WaitGroup

	mu   sync.Mutex
	all  []Question
	open [sources]int // the index of the question that bears a source; -1: none did
	void map[int]bool // the questions, by index, that took too long to be asked
	err  error
}

// Watch starts to ask, from a host that has no part in what is watched.
func Watch(l *lab.Lab, from *lab.Host, vip netip.Addr) (*Watcher, error) {
	return watch(l, from, vip, 0)
}

// WatchPort is Watch, and with each question a connection to a TCP port of the VIP
// is begun with each host, by its MAC. So a host counts, too, that tells nobody who
// asks that it has the VIP, and goes on to serve those who know its MAC. One that
// passes new connections on to another host does not. The asking host needs all its
// ports for that.
func WatchPort(l *lab.Lab, from *lab.Host, vip netip.Addr, port uint16) (*Watcher, error) {
	return watch(l, from, vip, port)
}

func watch(l *lab.Lab, from *lab.Host, vip netip.Addr, port uint16) (*Watcher, error) {
	w := &Watcher{from: from, vip: vip, names: map[string]string{}, port: port, done: make(chan struct{}), void: map[int]bool{}}
	for _, h := range l.Hosts {
		w.names[h.MAC.String()] = h.Name
		w.stations = append(w.stations, h.MAC)
	}
	for i := range w.open {
		w.open[i] = -1
	}
	err := from.Do(w.listenOn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask for %s from %s: %w", vip, from, err), w.close())
	}
	w.running.Go(func() { w.listen(w.conn) })
	if w.knocks != nil && w.knocks != w.conn {
		w.running.Go(func() { w.listen(w.knocks) })
	}
	w.running.Go(w.ask)
	return w, nil
}

// listenOn opens the sockets in the namespace of the calling thread.
func (w *Watcher) listenOn() error {
	link, err := net.InterfaceByName(w.from.Interface)
	if err != nil {
		return err
	}
	protocol := unix.ETH_P_ARP
	if w.vip.Is6() {
		protocol = unix.ETH_P_IPV6
	}
	if w.conn, err = packet.Listen(link, packet.Raw, protocol, nil); err != nil || w.port == 0 {
		return err
	}
	if w.vip.Is6() {
		w.knocks = w.conn
		return nil
	}
	w.knocks, err = packet.Listen(link, packet.Raw, unix.ETH_P_IP, nil)
	return err
}

func (w *Watcher) close() error {
	var errs []error
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.knocks != nil && w.knocks != w.conn {
		errs = append(errs, w.knocks.Close())
	}
	return errors.Join(errs...)
}

// Stop ends the questions and tells what was seen.
func (w *Watcher) Stop() (Report, error) {
	end := time.Now()
	close(w.done)
	time.Sleep(patience) // nothing tells that no more answers come
	err := w.close()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := make([]Question, 0, len(w.all))
	for i, q := range w.all {
		if !w.void[i] {
			asked = append(asked, q)
		}
	}
	return summarise(asked, end), errors.Join(w.err, err)
}

// Latest are those who answered the latest question whose answers are all here.
func (w *Watcher) Latest() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, q := range slices.Backward(w.all) {
		if time.Since(q.At) > settled && !w.void[i] {
			return slices.Clone(q.By)
		}
	}
	return nil
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, fmt.Errorf("ask for %s from %s: %w", w.vip, w.from, err))
}

func (w *Watcher) ask() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for turn := 0; ; turn = (turn + 1) % sources {
		w.mu.Lock()
		number, at := len(w.all), time.Now()
		w.open[turn] = number
		w.all = append(w.all, Question{At: at})
		w.mu.Unlock()
		if err := w.put(turn, number); err != nil {
			w.fail(err)
			return
		}
		if time.Since(at) > inOneGo {
			w.mu.Lock()
			w.void[number] = true
			w.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
	}
}

// put asks one question of all.
func (w *Watcher) put(turn, number int) error {
	asked, err := question(w.from.MAC, source(w.vip, turn), w.vip)
	if err != nil {
		return err
	}
	if _, err := w.conn.WriteTo(asked, &packet.Addr{HardwareAddr: w.from.MAC}); err != nil || w.knocks == nil {
		return err
	}
	for _, station := range w.stations {
		for _, frame := range []func(station, mac net.HardwareAddr, from netip.Addr, to netip.AddrPort, sequence uint32) []byte{knock, farewell} {
			said := frame(station, w.from.MAC, w.own(), netip.AddrPortFrom(w.vip, w.port), uint32(number)) //nolint:gosec // a watch asks some thousand questions
			if _, err := w.knocks.WriteTo(said, &packet.Addr{HardwareAddr: station}); err != nil {
				return err
			}
		}
	}
	return nil
}

// own is the address of the asking host, from which it knocks.
func (w *Watcher) own() netip.Addr {
	if w.vip.Is6() {
		return w.from.Addr6
	}
	return w.from.Addr4
}

func (w *Watcher) listen(on *packet.Conn) {
	frame := make([]byte, 2048)
	for {
		n, _, err := on.ReadFrom(frame)
		if err != nil {
			select {
			case <-w.done: // Stop closed the socket
			default:
				w.fail(err)
			}
			return
		}
		if mac, to, ok := answer(frame[:n], w.vip); ok && on == w.conn {
			w.answered(mac, to)
		}
		if mac, number, ok := opened(frame[:n], netip.AddrPortFrom(w.vip, w.port), w.own()); ok && on == w.knocks {
			w.note(mac, int(number))
		}
	}
}

// answered notes an answer to the question that came from an address.
func (w *Watcher) answered(mac net.HardwareAddr, to netip.Addr) {
	bytes := to.AsSlice()
	turn := int(bytes[len(bytes)-1]) - firstSource
	if turn < 0 || turn >= sources || to != source(w.vip, turn) {
		return
	}
	w.mu.Lock()
	number := w.open[turn]
	w.mu.Unlock()
	w.note(mac, number)
}

// note adds a station to those who answered a question.
func (w *Watcher) note(mac net.HardwareAddr, number int) {
	name, ok := w.names[mac.String()]
	if !ok {
		name = mac.String()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if number < 0 || number >= len(w.all) {
		return
	}
	q := &w.all[number]
	if i, known := slices.BinarySearch(q.By, name); !known {
		q.By = slices.Insert(q.By, i, name)
	}
}
