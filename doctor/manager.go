package doctor

import (
	"fmt"
	"net/netip"
	"path"
)

// Manager is a program that configures an interface.
type Manager struct {
	Interface string
	// NetworkManager: it is NetworkManager; else systemd-networkd.
	NetworkManager bool
	// File is networkd's .network file.
	File string
	// Keeps: it leaves addresses of others alone.
	Keeps bool
}

// Mention is a place in a file that configures the network where a VIP stands.
type Mention struct {
	File string
	Line int
	VIP  netip.Addr
}

// judgeManagers looks at who else manages the interfaces of the VIPs.
func judgeManagers(f *Facts, v *verdict) {
	groups := v.groups(f)
	for _, m := range f.Managers {
		switch {
		case !isSeat(groups, m.Interface):
		case m.NetworkManager:
			v.found(NetworkManagerManages, Info, m.Interface, "NetworkManager manages it; it leaves addresses that it did not add alone while a connection is up",
				"vipd drain before 'nmcli connection up' on it")
		case !m.Keeps:
			v.found(NetworkdManages, Warning, m.Interface, fmt.Sprintf("systemd-networkd manages it by %s, and removes addresses that it did not put there when it configures it anew; vipd puts its own back", m.File),
				fmt.Sprintf("install -D -m 644 /usr/share/vipd/vipd-networkd.conf /etc/systemd/network/%s.d/vipd.conf && networkctl reload", path.Base(m.File)))
		}
	}
	mentions, _ := seen(v, f.Mentions)
	for _, m := range mentions {
		v.found(VIPInNetworkConfig, Error, m.VIP.String(), fmt.Sprintf("%s:%d gives it to this host for good, whoever owns it", m.File, m.Line),
			"take it out of that file, and off the interface; vipd puts it there while this node owns it")
	}
}

func isSeat(groups []Group, name string) bool {
	for i := range groups {
		if groups[i].Link == name && !groups[i].Announce.Routed() {
			return true
		}
	}
	return false
}
