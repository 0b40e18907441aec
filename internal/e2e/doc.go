// Package e2e tests the real vipd, as a binary, on hosts of a lab: real frames,
// real kernels, real API servers to probe, a client that counts what it lost, and
// a real keepalived as neighbour.
//
//	open ── three hosts, one owner, the client is served
//	  try ── something happens to the owner; another host serves the client
//	  mend ── it is undone
//	  settle ── one owner, by the daemons' words and in the kernels; all others ready; nothing moves any more
//
// A test tells a story in these words. It waits for what must become true, and counts
// what clients were promised; it never asserts how long something took.
//
// The tests need root. They build vipd themselves, unless -vipd names a binary;
// -vipd-race builds it with the race detector.
package e2e
