package leasetest

import (
	"testing"
	"testing/synctest"
)

func TestStore(t *testing.T) {
	Contract(t, synctest.Test, func(*testing.T) Caller { return NewStore().Client() })
}
