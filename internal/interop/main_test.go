package interop

import (
	"flag"
	"testing"

	"github.com/vipd/vipd/internal/lab/labtest"
)

// Most of a story is waiting, so more of them run at once than there are
// processors.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	labtest.MainWithVipd(m)
}

// vipdBinary is the path of the vipd under test.
func vipdBinary() string { return labtest.Vipd() }
