// Package metrics shows the daemon to Prometheus.
//
//	agent ── Status, Loop ──► Collector ──┐
//	Go runtime, process ──────────────────┴─ registry ──► /metrics ─┐
//	agent ── Alive ─────────────────────────────────────► /healthz ─┴─ Server ── metrics.listen
//
// A scrape reads a snapshot and counters, and holds nobody up. Every family is declared once, in collector.go, and documented in
// docs/metrics.md, which a test compares with it.
package metrics
