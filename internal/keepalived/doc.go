// Package keepalived reads keepalived.conf(5) and makes a configuration of
// vipd from it.
//
//	file ── Parse ──► []Statement ── Translate ──► Translation: YAML and Notes
//	          │ include                  │ read        instances, scripts, sync groups
//	          ▼                          ▼ gather      groups of vipd
//	       Source                          banded, checks
//
// What vipd has nothing for becomes a [Note] with its line. What would change
// the meaning of everything else, such as a parameter, is an error.
//
// The package is pure: files come from a [Source].
package keepalived
