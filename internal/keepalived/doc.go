// Package keepalived reads keepalived.conf(5) and makes a configuration of
// vipd from it.
//
//	file ── Parse ──► []Statement ── read ──► instances, scripts, sync groups
//	         │ include                             │ group, bands, checks
//	         ▼                                     ▼
//	      Source                        Translation: YAML and Notes
//
// What vipd has nothing for becomes a [Note] with its line. What would change
// the meaning of everything else, such as a parameter, is an error.
//
// The package is pure: files come from a [Source].
package keepalived
