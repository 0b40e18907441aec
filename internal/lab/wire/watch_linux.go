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
	// settled is how long after a question its answers are usually here.
	settled = 50 * time.Millisecond
)

// Watcher asks for one VIP until it is stopped.
type Watcher struct {
	from  *lab.Host
	vip   netip.Addr
	conn  *packet.Conn
	names map[string]string

	done    chan struct{}
	running sync.WaitGroup

	mu   sync.Mutex
	all  []Question
	open [sources]int // the index of the question that bears a source; -1: none did
	err  error
}

// Watch starts to ask, from a host that has no part in what is watched.
func Watch(l *lab.Lab, from *lab.Host, vip netip.Addr) (*Watcher, error) {
	w := &Watcher{from: from, vip: vip, names: map[string]string{}, done: make(chan struct{})}
	for _, h := range l.Hosts {
		w.names[h.MAC.String()] = h.Name
	}
	for i := range w.open {
		w.open[i] = -1
	}
	protocol := unix.ETH_P_ARP
	if vip.Is6() {
		protocol = unix.ETH_P_IPV6
	}
	err := from.Do(func() error {
		link, err := net.InterfaceByName(from.Interface)
		if err != nil {
			return err
		}
		w.conn, err = packet.Listen(link, packet.Raw, protocol, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for %s from %s: %w", vip, from, err)
	}
	w.running.Go(w.listen)
	w.running.Go(w.ask)
	return w, nil
}

// Stop ends the questions and tells what was seen.
func (w *Watcher) Stop() (Report, error) {
	end := time.Now()
	close(w.done)
	time.Sleep(patience) // nothing tells that no more answers come
	err := w.conn.Close()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return summarise(w.all, end), errors.Join(w.err, err)
}

// Latest are those who answered the latest question whose answers are all here.
func (w *Watcher) Latest() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range slices.Backward(w.all) {
		if time.Since(q.At) > settled {
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
		frame, err := question(w.from.MAC, source(w.vip, turn), w.vip)
		if err != nil {
			w.fail(err)
			return
		}
		w.mu.Lock()
		w.open[turn] = len(w.all)
		w.all = append(w.all, Question{At: time.Now()})
		w.mu.Unlock()
		if _, err := w.conn.WriteTo(frame, &packet.Addr{HardwareAddr: w.from.MAC}); err != nil {
			w.fail(err)
			return
		}
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
	}
}

func (w *Watcher) listen() {
	frame := make([]byte, 2048)
	for {
		n, _, err := w.conn.ReadFrom(frame)
		if err != nil {
			select {
			case <-w.done: // Stop closed the socket
			default:
				w.fail(err)
			}
			return
		}
		if mac, to, ok := answer(frame[:n], w.vip); ok {
			w.answered(mac, to)
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
	name, ok := w.names[mac.String()]
	if !ok {
		name = mac.String()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[turn] < 0 {
		return
	}
	q := &w.all[w.open[turn]]
	if i, known := slices.BinarySearch(q.By, name); !known {
		q.By = slices.Insert(q.By, i, name)
	}
}
