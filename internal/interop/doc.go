// Package interop holds the tests of vipd beside the routers that it meets:
// keepalived in its common forms and FRR's vrrpd. Each row of the matrix is one
// neighbour with one configuration on one segment with one vipd, and the same
// story: who starts first owns, then each of the two crashes, resigns and comes
// back. What is judged is the adverts that a capture at the switch saw: one
// owner within the time of RFC 9568, and never two for longer than an interval.
//
// TestRollingReplacement replaces three keepalived by vipd, one after the other,
// before the eyes of a client.
package interop
