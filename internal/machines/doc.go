// Package machines boots real systemd hosts in a lab: each is a systemd-nspawn
// container in the network namespace of one of the lab's hosts, with this
// machine's own file system below an overlay. Its tests install the package there
// and do to the host what operators and accidents do, while a client measures.
//
//	lab host cp1 ── network namespace ──┐
//	/ (read only) ─┐                    ├─ systemd-nspawn ── systemd, journald, logind, vipd
//	upper, tmpfs ──┴─ overlay ──────────┘
//
// What a machine writes stays in its overlay, across its reboots, and goes with the
// lab. Mounts are in a mount namespace that ends with the machine; its cgroup
// is one of its own, because systemd takes everything in its cgroup for its own.
package machines
