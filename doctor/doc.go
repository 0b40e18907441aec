// Package doctor judges what was seen of a host: whether a VIP would work
// here, what breaks it, and how that is mended. It is pure; package survey looks.
//
//	survey ── Facts ──► Examine ── checks, each a question ──► Report: findings, checks
//
// A check that could not be made says why; nothing is passed over in silence.
// Each kind of finding has a section in docs/doctor.md.
package doctor
