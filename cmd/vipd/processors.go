package main

import (
	"os"
	"runtime"
	"time"

	"github.com/vipd/vipd/config"
)

// quickAdvert is the interval of adverts below which a few milliseconds matter.
const quickAdvert = 50 * time.Millisecond

// processors is how many threads run at a time. One does all that an idle daemon
// does, and a second one would be woken each time that one goroutine tells another
// something, to find nothing left. It is there for adverts that cannot wait until
// a goroutine that computes is interrupted, which takes Go up to 20 ms, and for
// programs to be started, by checks and notify: a thread that does so is out of
// Go's reach until the program's file is opened, which hangs when the file system
// does.
func processors(c *config.Config) int {
	if len(c.BGP.Neighbors) > 0 {
		return 2 // the speaker is a program
	}
	for _, v := range c.VIPs {
		if v.VRRP.AdvertInterval < quickAdvert {
			return 2
		}
		if len(v.Notify) > 0 {
			return 2
		}
		for _, check := range v.Health {
			if check.Type == config.CheckExec {
				return 2
			}
		}
	}
	return 1
}

// useProcessors has Go use as many as this configuration needs, unless the
// operator says otherwise by Go's own variable.
func useProcessors(c *config.Config) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(processors(c), runtime.NumCPU()))
	}
}
