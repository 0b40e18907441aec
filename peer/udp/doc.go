// Package udp carries hellos between the wire and the loop. One Socket serves
// one interface and one IP version.
//
//	wire -> kernel's queue -> Run, at a bounded pace -> 64 places -> Receive -> loop
//	                                                       └──────── Ready ──► loop
//	loop -> Send -> wire
//
// A socket of its own for each interface lets the kernel refuse what arrives on
// any other: a flood from outside never comes near the daemon. A socket for all
// would have to read it first.
//
// Unlike adverts, hellos pass a queue in front of the loop: no election waits
// for them, so nobody has to know that the queue is empty. When the loop is slow
// or hellos come in a flood, Run stops reading and the kernel drops the rest.
//
// Nothing here judges a hello: the hop limit is handed on as it came.
package udp
