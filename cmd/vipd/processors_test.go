package main

import (
	"testing"

	"github.com/vipd/vipd/config"
)

func TestProcessors(t *testing.T) {
	for _, row := range []struct {
		name, vip string
		want      int
	}{
		{"the default: one does all", "{addresses: [192.0.2.10]}", 1},
		{"adverts each 50 ms can wait for a goroutine to be interrupted", "{addresses: [192.0.2.10], vrrp: {advert_interval: 50ms}}", 1},
		{"adverts each 40 ms cannot", "{addresses: [192.0.2.10], vrrp: {advert_interval: 40ms}}", 2},
		{"a check that starts a program holds one", "{addresses: [192.0.2.10], health: [{type: exec, command: [/bin/true]}]}", 2},
		{"so does a notify command", "{addresses: [192.0.2.10], notify: [/bin/true]}", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := config.Parse("vipd.yaml", []byte("vips: ["+row.vip+"]"))
			if err != nil {
				t.Fatal(err)
			}
			if got := processors(c); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}
