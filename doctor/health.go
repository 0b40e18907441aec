package doctor

import (
	"fmt"

	"github.com/vipd/vipd/health/counter"
)

// Probe is what one health check came to when this command made it.
type Probe struct {
	Check string
	// Ready is the outcome; Reason says what is wrong.
	Ready  counter.Outcome
	Reason string
	// Missing is why it was not made.
	Missing string
}

// judgeHealth looks whether the health checks can do their work.
func judgeHealth(f *Facts, v *verdict) {
	groups := v.groups(f)
	for i := range groups {
		for _, p := range groups[i].Probes {
			if p.Missing != "" {
				v.cannot(p.Missing)
				continue
			}
			judgeProbe(f, v, fmt.Sprintf("%s/%s", groups[i].Name, p.Check), p)
		}
	}
}

func judgeProbe(f *Facts, v *verdict, subject string, p Probe) {
	severity, before := Warning, ""
	if !f.Initialised {
		severity, before = Info, "before kubeadm has run that is normal: "
	}
	switch p.Ready {
	case counter.OK, counter.Unasked:
	case counter.Unauthorised:
		v.found(ProbeUnauthorised, Warning, subject, p.Reason+"; the server counts as healthy while it answers",
			"give the check credentials (vips[].health[].kubeconfig, or cert_file and key_file with vipd-keys.conf), or let anonymous users see /readyz and /livez")
	case counter.Untrusted:
		v.found(ProbeUntrusted, Error, subject, p.Reason, "set vips[].health[].ca_file to the CA that signed the API server's certificate (/etc/kubernetes/pki/ca.crt)")
	case counter.Unconfigured:
		if f.Initialised {
			severity = Error
		}
		v.found(ProbeUnconfigured, severity, subject, before+p.Reason, "put the file there or correct vips[].health[]")
	case counter.Refused, counter.Unreachable:
		v.found(APIServerDown, severity, subject, before+p.Reason, "crictl ps -a --name kube-apiserver; crictl logs ID; is url right?")
	case counter.NotReady, counter.ServerError, counter.Timeout:
		v.found(APIServerNotReady, Warning, subject, p.Reason, "kubectl get --raw '/readyz?verbose' names what fails; etcd is the most common")
	}
}
