package follow

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		done := make(chan error)
		go func() {
			done <- Follower{}.Follow(ctx, path, func(content []byte, err error) {
				if err != nil {
					told = append(told, "error")
					return
				}
				told = append(told, string(content))
			})
		}()
		step := func(change func() error) {
			t.Helper()
			if err := change(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				<-time.After(period)
			}
			synctest.Wait()
		}
		step(func() error { return nil })
		step(func() error { return os.WriteFile(path, []byte("a"), 0o600) })
		step(func() error { return os.WriteFile(path, []byte("b"), 0o600) })
		step(func() error { return os.Rename(path, path+".away") })
		step(func() error { return os.Rename(path+".away", path) })
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"error", "a", "b", "error", "b"}, told); diff != "" {
			t.Error(diff)
		}
	})
}
