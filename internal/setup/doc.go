// Package setup writes what a new control plane begins with: the configuration
// of its first node ([Plan.File], `vipd init`) and kubeadm's
// ([ClusterConfiguration], `vipd kubeadm`).
//
// It is pure: the host is an argument, and files are written elsewhere.
package setup
