package config

import (
	"errors"
	"fmt"
)

// notUnhealthy explains the bands to who writes a plain VRRP priority.
func notUnhealthy(text string) error {
	if n, err := decimal(text, 0, 255); err == nil {
		switch {
		case n == 255:
			return errors.New("255 is for the node whose own address it is (RFC 9568 5.2.4); use 128 to 254")
		case n < 128:
			return fmt.Errorf("%d is in the %s range; use 128 to 254", n, bandName(n))
		}
	}
	return nil
}

// notHealthy is notUnhealthy for the other band.
func notHealthy(text string) error {
	if n, err := decimal(text, 0, 255); err == nil && (n < 2 || n > 127) {
		return fmt.Errorf("%d is in the %s range; use 2 to 127", n, bandName(n))
	}
	return nil
}

// bandName is the band that a priority on the wire stands for.
func bandName(priority int) string {
	switch {
	case priority == 0:
		return "resigned"
	case priority == 1:
		return "draining"
	case priority < 128:
		return "unhealthy"
	}
	return "healthy"
}
