// Package wire asks the segment who answers for a VIP, from a host that knows
// nothing of any daemon: again and again, by ARP request or neighbour
// solicitation.
//
//	w, err := wire.Watch(l, l.Client, vip)
//	... things happen ...
//	report, err := w.Stop()
//	report.Two  // when more than one station answered the same question
//	report.None // when nobody did
//
// Each question bears a source address of its own, which the answer repeats: two
// answers to one question are two stations that have the address at one time, and
// an answer that is late is not taken for one to the next question.
//
// WatchPort knocks, too: with each question it begins a TCP connection with each
// host, by its MAC.
package wire
