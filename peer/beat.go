package peer

import "time"

const (
	// Interval is the time between hellos of a node that has nothing new to say.
	Interval = time.Second
	// repeatAfter is when a hello with news is said again: the network may lose
	// one, and a handover should not wait for the next beat.
	repeatAfter = 100 * time.Millisecond
	// burst and pause bound hellos with news: so many at once, then one for
	// each pause.
	burst = 10
	pause = 100 * time.Millisecond
	// answerPause bounds hellos that were asked for by others: whoever sends old
	// hellos of a peer again and again gets no more than that out of a node.
	answerPause = 250 * time.Millisecond
)

// Beat decides when a node says hello: each second, at once on news, and soon
// when somebody waits for an echo. The zero value is due at once.
type Beat struct {
	started bool
	next    time.Time
	// repeat, news and asked are zero when there is nothing of the kind to do.
	repeat, news, asked time.Time
	// spent counts hellos with news that still weigh on the burst; one less
	// each pause since spentAt.
	spent    int
	spentAt  time.Time
	answered time.Time
}

// News tells that the next hello says something new.
func (b *Beat) News(now time.Time) {
	if !b.news.IsZero() {
		return
	}
	b.news = now
	if free := b.spentAt.Add(pause); b.spent >= burst && free.After(now) {
		b.news = free
	}
}

// Ask tells that a peer waits for an echo.
func (b *Beat) Ask(now time.Time) {
	if !b.asked.IsZero() {
		return
	}
	b.asked = now
	if free := b.answered.Add(answerPause); !b.answered.IsZero() && free.After(now) {
		b.asked = free
	}
}

// Deadline is when Due has to be called next; the zero time: now.
func (b *Beat) Deadline() time.Time {
	d := b.next
	for _, t := range [...]time.Time{b.repeat, b.news, b.asked} {
		if !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	return d
}

// Due reports whether to send a hello now. If so it counts as sent: one hello
// does for all that is due.
func (b *Beat) Due(now time.Time) bool {
	if b.started && now.Before(b.Deadline()) {
		return false
	}
	b.started = true
	b.next = now.Add(Interval)
	if reached(b.repeat, now) {
		b.repeat = time.Time{}
	}
	if !b.asked.IsZero() {
		b.asked, b.answered = time.Time{}, now
	}
	if !b.news.IsZero() {
		b.news = time.Time{}
		b.repeat = now.Add(repeatAfter)
		b.recover(now)
		b.spent++
	}
	return true
}

// recover lets the burst recover with time.
func (b *Beat) recover(now time.Time) {
	if b.spent == 0 {
		b.spentAt = now
		return
	}
	n := min(int(now.Sub(b.spentAt)/pause), b.spent)
	b.spent -= n
	b.spentAt = b.spentAt.Add(time.Duration(n) * pause)
	if b.spent == 0 {
		b.spentAt = now
	}
}

func reached(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
