package leasetest

import (
	"testing"
	"testing/synctest"
)

func TestStore(t *testing.T) {
	Contract(t, synctest.Test, func(*testing.T) (_, _ Caller) {
		s := NewStore()
		return s.Client(), s.Beside().Client()
	})
}
