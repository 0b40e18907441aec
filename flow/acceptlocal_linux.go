package flow

import (
	"errors"
	"fmt"
)

// AcceptLocal is the function of that name, for a host whose interfaces this Flow
// may need the same setting of at the same time: whoever needs it last gives it
// back. The next life puts it back after a kill.
func (f *Flow) AcceptLocal(ifname string) (giveBack func() error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guests[ifname]++
	if err := f.borrowFor(ifname); err != nil {
		return nil, errors.Join(err, f.dismiss(ifname))
	}
	return func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.dismiss(ifname)
	}, nil
}

func (f *Flow) dismiss(ifname string) error {
	if f.guests[ifname]--; f.guests[ifname] == 0 {
		delete(f.guests, ifname)
	}
	return f.giveBack()
}

// AcceptLocal makes an interface take IPv4 packets whose source is an address of
// this host (accept_local), which the kernel drops as martians otherwise.
// giveBack puts the setting back; it must be called. A kill in between leaves
// the setting behind, where it does no harm.
func AcceptLocal(ifname string) (giveBack func() error, err error) {
	conf, err := dialDevconf()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conf.close()) }()
	l, err := conf.link(ifname)
	if err != nil {
		return nil, err
	}
	if l.settings[acceptLocal] != 0 {
		return func() error { return nil }, nil
	}
	if err := conf.set(l, acceptLocal, 1); err != nil {
		return nil, err
	}
	return func() error { return refuseLocal(l) }, nil
}

func refuseLocal(l link) error {
	conf, err := dialDevconf()
	if err != nil {
		return fmt.Errorf("put %s of %s back: %w", acceptLocal, l.name, err)
	}
	return errors.Join(conf.set(l, acceptLocal, 0), conf.close())
}
