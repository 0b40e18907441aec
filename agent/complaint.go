package agent

import "time"

// complaint is something that is wrong for a while: told when it begins, when it has
// become something else, and when it is over, and not more than once a minute, so
// that what comes and goes does not flood the log.
type complaint struct {
	// told is what was told last, until it was told that it is over; at is when.
	told string
	at   time.Time
}

// hear takes in what is wrong now, empty: nothing, and tells what is to be told.
func (c *complaint) hear(now time.Time, what string) (begins, ends bool) {
	switch {
	case what == "" && c.told != "":
		c.told = ""
		return false, true
	case what == "" || what == c.told || !c.at.IsZero() && now.Sub(c.at) < repeatPause:
		return false, false
	}
	c.told, c.at = what, now
	return true, false
}
