// Package udp carries BFD over UDP: single hop (RFC 5881) and multihop
// (RFC 5883), IPv4 and IPv6.
//
// One thread does everything: it waits in ppoll(2) until a packet is there or a
// deadline has come, empties all sockets, and only then lets package bfd judge
// silence, so that a thread that was kept from running does not take its own
// lateness for the neighbour's. Nothing is allocated per packet.
package udp
