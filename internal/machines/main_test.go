package machines

import (
	"testing"

	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
