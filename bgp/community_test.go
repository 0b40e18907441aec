package bgp

import "testing"

func TestParseCommunity(t *testing.T) {
	for text, want := range map[string]string{
		"64512:100": "64512:100", "0:0": "0:0", "65535:0": GracefulShutdown.String(),
		"64512:1:1": "64512:1:1", "4294967295:4294967295:0": "4294967295:4294967295:0",
	} {
		c, large, isLarge, err := ParseCommunity(text)
		got := c.String()
		if isLarge {
			got = large.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1:2:3:4", "65536:1", "1:65536", "1:-1", "1:+1", "01:1", "a:b", "4294967296:1:1", "no-export"} {
		if c, _, _, err := ParseCommunity(text); err == nil {
			t.Errorf("%q was taken for %s", text, c)
		}
	}
}
