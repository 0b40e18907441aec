package moves

import (
	"testing"

	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.MainWithVipd(m) }
