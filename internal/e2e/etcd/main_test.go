package etcd

import (
	"os"
	"testing"

	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == askingCommand {
		ask(os.Args[2:])
		return
	}
	labtest.MainWithVipd(m)
}
