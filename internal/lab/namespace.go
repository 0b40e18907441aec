package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespace is a named network namespace and a netlink socket into it.
type namespace struct {
	name   string
	handle netns.NsHandle
	links  *netlink.Handle
}

// newNamespace creates a named namespace, as `ip netns add` does, and runs
// setup inside it.
func newNamespace(name string, setup func() error) (*namespace, error) {
	ns := &namespace{name: name, handle: netns.None()}
	err := onThread(func() error {
		var err error
		if ns.handle, err = netns.NewNamed(name); err != nil { // also enters it
			return err
		}
		return setup()
	})
	if err == nil {
		ns.links, err = netlink.NewHandleAt(ns.handle)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create namespace %s: %w", name, err), ns.close())
	}
	return ns, nil
}

// do runs f on an operating system thread inside the namespace.
func (ns *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("enter namespace %s: %w", ns.name, err)
		}
		return f()
	})
}

// close gives up the handles; removing the namespace is the guard's business.
func (ns *namespace) close() error {
	if ns.links != nil {
		ns.links.Close()
	}
	if !ns.handle.IsOpen() {
		return nil
	}
	return ns.handle.Close()
}

// onThread runs f, which may change the thread's namespace, on a thread of its
// own and brings that thread back afterwards.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open own namespace: %w", err)
			return
		}
		defer func() { _ = home.Close() }() // only a handle
		err = f()
		if back := netns.Set(home); back != nil {
			// The goroutine ends locked, and with it the stray thread.
			result <- errors.Join(err, fmt.Errorf("return from namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}

// sysctl is one setting under /proc/sys; the path has slashes.
type sysctl struct{ path, value string }

// set writes settings in the namespace of the calling thread.
func set(settings []sysctl) error {
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join("/proc/sys", s.path), []byte(s.value), 0); err != nil {
			return fmt.Errorf("set sysctl: %w", err)
		}
	}
	return nil
}
