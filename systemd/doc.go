// Package systemd is vipd's side of the service manager: readiness, status line
// and watchdog (sd_notify(3)), records with fields in the journal
// (systemd.journal-fields(7)), and the delay of a host's shutdown (logind). The
// units that vipd is installed with lie beside it.
//
//	Supervisor ── is it alive? what does it do? ──► Service, the daemon's loop
//	    └─ READY, STATUS, WATCHDOG ──► Notifier ──► systemd
//	slog.Record ──► Journal ──► systemd-journald
//	systemd-logind ── the host goes down ──► Delay ──► hand over, then go on
//
// Nothing here decides anything, and nothing here is needed: without systemd
// each part is absent or says nothing.
package systemd
