// Package apiserver is a stand-in for kube-apiserver, small enough to run three
// times on a laptop and to be killed often. It speaks TLS, HTTP/1.1 and HTTP/2,
// with certificates like kubeadm's, and serves
//
//	/livez, /readyz   as kube-apiserver does
//	/whoami           the node's name: a request
//	/stream           a line "NODE N" each 10 ms without end: a watch
//	/sink             takes all that is sent: an upload
//
// The same port answers plain HTTP too. kube-apiserver does not, but 500 fresh
// TLS connections a second, each with its handshake, would load a small machine
// so much that measurements suffer; whether a connection reaches the right host
// does not depend on what it carries.
//
// The process stops in two ways. Killed, it is gone. At SIGTERM it does what
// kube-apiserver does without a shutdown delay: the listener closes at once,
// open connections are served on (readyz says 500 there), and it ends when none
// is left or after a grace. A control socket sets a Mode, so that a living server can
// be unready, hung and so on.
package apiserver
