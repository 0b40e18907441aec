package fabric

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vipd/vipd/bgp/bfd"
)

func TestWordsSayWhenSilenceWasNoticed(t *testing.T) {
	router, host := netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.11")
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	said := func(ms int, from netip.Addr, state bfd.State) word {
		to := host
		if from == host {
			to = router
		}
		return word{at(ms), from, to, state}
	}
	words := []word{
		said(0, host, bfd.Up), said(10, router, bfd.Up), said(100, host, bfd.Up), said(200, router, bfd.Up),
		said(400, router, bfd.Down), said(1400, router, bfd.Down), said(1500, host, bfd.Init), said(1600, host, bfd.Up),
	}
	d, down, ok := silence(words, host, router, at(150))
	if d != 300*time.Millisecond || !down.Equal(at(400)) || !ok {
		t.Errorf("silent for %v, down at %v, %v", d, down, ok)
	}
	if _, _, ok := silence(words[3:], host, router, at(150)); ok {
		t.Error("silence of one that was not heard yet")
	}
	if up, ok := upAgain(words, host, at(400)); !up.Equal(at(1600)) || !ok {
		t.Errorf("up at %v, %v", up, ok)
	}
	if n := lost(words, func(word) bool { return false }); n != 1 {
		t.Errorf("lost %d times", n)
	}
	if n := lost(words, func(w word) bool { return w.from == router }); n != 0 {
		t.Errorf("lost %d times without an excuse", n)
	}
	if gap := longestGap(words, host); gap != 1400*time.Millisecond {
		t.Errorf("the longest gap is %v", gap)
	}
}
