// Package moves tests the promise of a planned move: no request fails, no open
// connection breaks, and none ever hangs. The real vipd runs on three hosts of a
// lab, in front of servers whose clients count.
//
//	open ── three hosts, one owner; 100 streams by TLS (HTTP/1.1 and HTTP/2), 500 requests a second
//	  lossless ── whatever moves the VIP; nothing failed, broke or hung
//	  pair ── one TCP connection to a second VIP, with both ends in the test's hands
//	  fate ── what became of one: kept, reset, or hung
//
// A test says what happens in these words, and waits for what must become true.
// How long things take is measured by the benchmark and asserted nowhere.
package moves
