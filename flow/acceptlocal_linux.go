package flow

import (
	"errors"
	"fmt"
)

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
