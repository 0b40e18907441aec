package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/config"
)

// Etcd is the cluster's, as it answered this command.
type Etcd struct {
	// Silent is why it did not answer; Distrust: because of a certificate. Nothing else
	// is known then.
	Silent   string
	Distrust bool
	// Keyless is why vipd's keys cannot be read; empty: they can.
	Keyless string
	// Alarms are those that are raised.
	Alarms []string
	// Members are the members' addresses.
	Members []netip.Addr
	// ShownUntil is when the certificate ends that this host shows; zero: it shows none.
	ShownUntil time.Time
}

// judgeClusterEtcd looks whether etcd does what the configuration needs of it.
func judgeClusterEtcd(f *Facts, v *verdict) {
	if f.Config == nil {
		v.cannot(noConfiguration)
		return
	}
	if !f.Config.UsesEtcd() {
		v.needless("nothing in the configuration needs etcd")
		return
	}
	e, _ := seen(v, f.Etcd)
	if e == nil {
		return
	}
	where := strings.Join(f.Config.Etcd.Endpoints, ", ")
	if e.Silent != "" {
		judgeSilence(f, v, where, e)
		return
	}
	if e.Keyless != "" && elects(f) {
		v.found(EtcdUnreachable, Error, where, e.Keyless+"; no VIP with election: etcd has an owner for longer than its lease",
			"etcdctl endpoint status --cluster names members that do not answer; docs/etcd.md has what the certificate's user may need to be granted")
	}
	for _, alarm := range e.Alarms {
		judgeAlarm(f, v, where, alarm)
	}
	if f.Config.FollowsMembers() && f.Links.Missing == "" && !slices.ContainsFunc(e.Members, f.isOwn) {
		v.found(EtcdStranger, Warning, where, "this host has no address of a member of etcd ("+list(e.Members)+"), so the members do not hear its adverts and hellos",
			"kubeadm join; if it left the cluster, stop vipd here; if etcd is on other hosts, write the nodes' addresses into the list of peers")
	}
	const renew = "kubeadm certs renew healthcheck-client, or issue etcd.cert_file anew; vipd needs no restart"
	switch left := e.ShownUntil.Sub(f.Now); {
	case e.ShownUntil.IsZero():
	case left <= 0:
		v.found(EtcdCertificate, Error, f.Config.Etcd.CertFile, "it ended on "+e.ShownUntil.UTC().Format(time.DateOnly), renew)
	case left < certificateNotice:
		v.found(EtcdCertificate, Warning, f.Config.Etcd.CertFile, fmt.Sprintf("it ends on %s, in %d days; etcd refuses it then", e.ShownUntil.UTC().Format(time.DateOnly), int(left/(24*time.Hour))), renew)
	}
}

func judgeSilence(f *Facts, v *verdict, where string, e *Etcd) {
	severity, before := weight(f), ""
	if !f.Initialised {
		severity, before = Info, "before kubeadm has run that is normal: "
	}
	if e.Distrust {
		v.found(EtcdCertificate, weight(f), where, e.Silent, "mend the file that is named; renewed ones are used at once, without a restart")
		return
	}
	v.found(EtcdUnreachable, severity, where, before+e.Silent, "crictl ps -a --name etcd; crictl logs ID; is etcd.endpoints right?")
}

func judgeAlarm(f *Facts, v *verdict, where, alarm string) {
	evidence, fix := "the alarm "+alarm+" is raised", "etcdctl alarm list; etcd's documentation has what to do"
	if alarm == "NOSPACE" {
		evidence += ": etcd has used up its quota and refuses to write"
		fix = "etcdctl compact REVISION; etcdctl defrag --cluster; etcdctl alarm disarm (docs/etcd.md)"
	}
	v.found(EtcdAlarm, weight(f), where, evidence, fix)
}

// elects: etcd decides who owns a VIP.
func elects(f *Facts) bool {
	return slices.ContainsFunc(f.Config.VIPs, func(v config.VIP) bool { return v.Election == config.ElectionEtcd })
}

// weight is how much it matters that etcd does not answer: where it elects the VIP goes,
// where it tells the peers they stay as they were.
func weight(f *Facts) Severity {
	if elects(f) {
		return Error
	}
	return Warning
}

// isOwn tells whether an address is this host's, and no VIP.
func (f *Facts) isOwn(addr netip.Addr) bool {
	return !f.isVIP(addr) && !addr.IsLoopback() && slices.ContainsFunc(f.Links.Value, func(l Link) bool {
		return slices.ContainsFunc(l.Addresses, func(a Address) bool { return a.Prefix.Addr() == addr })
	})
}
