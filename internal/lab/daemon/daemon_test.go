package daemon

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vipd/vipd/internal/lab"
	"github.com/vipd/vipd/internal/lab/labtest"
)

func TestKeepalivedState(t *testing.T) {
	tests := []struct {
		name string
		log  string
		want State
	}{
		{"nothing said yet", "Startup complete\n", Unready},
		{"a backup", "x: (vip) Entering BACKUP STATE\n", Ready},
		{"a backup from the start says so in other words", "x: (vip) Entering BACKUP STATE (init)\n", Ready},
		{"the last word counts", "x: (vip) Entering BACKUP STATE\nx: (vip) Entering MASTER STATE\n", Owner},
		{"a fault", "x: (vip) Entering MASTER STATE\nx: (vip) Entering FAULT STATE\n", Unready},
		{"another instance is none of ours", "x: (other) Entering MASTER STATE\n", Unready},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := keepalivedState(tt.log); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestVipdState(t *testing.T) {
	tests := []struct {
		name   string
		status string
		want   State
	}{
		{"no VIP at all", `{}`, Unready},
		{"an owner", `{"vips":[{"state":"owner"}]}`, Owner},
		{"a healthy backup", `{"vips":[{"state":"backup","healthy":true}]}`, Ready},
		{"an unhealthy backup", `{"vips":[{"state":"backup","healthy":false}]}`, Unready},
		{"a drained backup", `{"drained":true,"vips":[{"state":"backup","healthy":true}]}`, Unready},
		{"a fault", `{"vips":[{"state":"fault","healthy":true}]}`, Unready},
		{"owner of one VIP, backup for another", `{"vips":[{"state":"owner"},{"state":"backup","healthy":true}]}`, Ready},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var status Status
			if err := json.Unmarshal([]byte(tt.status), &status); err != nil {
				t.Fatal(err)
			}
			if got := vipdState(status); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func testService() Service {
	return Service{VIPs: []netip.Addr{lab.VIP4(), lab.VIP6()}, Port: 6443, CAFile: func(*lab.Host) string { return "/pki/ca.crt" }}
}

func TestKeepalivedConfig(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 2})
	k := Keepalived{
		Viplab:   "/bin/viplab",
		Interval: 10 * time.Millisecond,
		Peers:    func(*lab.Host) []netip.Addr { return []netip.Addr{l.Hosts[0].Addr4} },
	}
	want := `global_defs {
 router_id cp2
 vrrp_version 3
 script_user root
}
vrrp_script apiserver {
 script "/bin/viplab check --ca /pki/ca.crt https://127.0.0.1:6443/readyz"
 interval 1
 timeout 1
 rise 1
 fall 1
}
vrrp_instance vip {
 state BACKUP
 nopreempt
 interface eth0
 virtual_router_id 100
 priority 190
 advert_int 0.01
 unicast_peer {
  10.77.0.11
 }
 virtual_ipaddress {
  10.77.0.100/32
 }
 virtual_ipaddress_excluded {
  fd77::100/128
 }
 track_script {
  apiserver
 }
}
`
	if diff := cmp.Diff(want, k.config(l.Hosts[1], testService())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVipdConfig(t *testing.T) {
	l := labtest.New(t, lab.Options{Hosts: 1})
	h := l.Hosts[0]
	v := Vipd{Interval: 10 * time.Millisecond, Settings: func(*lab.Host) []string { return []string{"unhealthy_delay: 1s"} }}
	want := `node: cp1
vips:
  - addresses: ["10.77.0.100", "fd77::100"]
    port: 6443
    vrrp: {advert_interval: 10ms}
    health:
      - type: https
        name: apiserver
        url: https://127.0.0.1:6443/readyz
        liveness_url: https://127.0.0.1:6443/livez
        ca_file: /pki/ca.crt
    unhealthy_delay: 1s
control: {socket: ` + h.Dir() + `/vipd/vipd.sock}
state_dir: ` + h.Dir() + `/vipd/state
`
	if diff := cmp.Diff(want, v.config(h, testService())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
