// Package control is vipd's control API: HTTP and JSON on a unix socket, the
// server that the daemon runs and the client that the commands use.
//
//	vipd status ─┐            ┌─ Listen: 0660 root:GROUP, never open before
//	vipd drain ──┼─ Client ───┤
//	curl ────────┘   socket   └─ Server ─ who is it? ─┬─ Reader    status, history, watch
//	                             (SO_PEERCRED)        └─ Operator  drain, undrain, reload
//
// Who may open the socket may read. Changes are for root, the daemon's own user
// and members of the group. Answers that go on (watch, drain) are one JSON
// object a line. Every error is a JSON object {"error": "..."}.
package control
