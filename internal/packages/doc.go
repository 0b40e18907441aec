// Package packages holds the tests of the .deb and .rpm that scripts/package
// builds: what is in them, that the same tree gives the same bytes, and that a real
// dpkg installs, upgrades, removes and purges them, in a chroot on an overlay.
// How they do on a running systemd is told by package machines.
package packages
