package udp

import "time"

const (
	// perTurn and turn bound how fast hellos are read: 1280 a second, four times
	// what the fullest table of peers sends when all of them are busy.
	perTurn = 64
	turn    = 50 * time.Millisecond
)

// pace bounds the work that a flood of hellos makes.
type pace struct {
	began time.Time
	read  int
}

// wait counts a datagram about to be read at now and returns how long to wait
// before.
func (p *pace) wait(now time.Time) time.Duration {
	if p.began.IsZero() || now.Sub(p.began) >= turn {
		p.began, p.read = now, 0
	}
	p.read++
	if p.read <= perTurn {
		return 0
	}
	rest := p.began.Add(turn)
	p.began, p.read = rest, 1
	return rest.Sub(now)
}
