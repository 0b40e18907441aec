// Package metrics shows the daemon to Prometheus.
//
//	agent ── Status, Loop ──► Collector ──┐
//	Go runtime, process ──────────────────┴─ registry ──► /metrics ─┐
//	agent ── Alive ─────────────────────────────────────► /healthz ─┴─ Server ── metrics.listen
//
// A scrape has the loop build a status, as every reader of the status does, and
// reads counters; the loop does not wait for it. Every family is declared once, in
// collector.go, and documented in docs/metrics.md, which a test compares with
// it.
package metrics
