package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Certificate is the API server's.
type Certificate struct {
	// Source is where it was seen: a URL or a file.
	Source   string
	NotAfter time.Time
	// Covers: clients that come by the VIP or the endpoint accept it.
	Covers bool
	Names  []string
}

// certificateNotice is how long before its end a certificate is worth a warning;
// kubeadm's live a year.
const certificateNotice = 30 * 24 * time.Hour

// judgeCertificates looks at what clients will be shown.
func judgeCertificates(f *Facts, v *verdict) {
	groups := v.groups(f)
	there := false
	for i := range groups {
		if c := groups[i].Certificate; c != nil {
			there = true
			judgeCertificate(f, v, &groups[i], c)
		}
	}
	if !there && f.Config != nil {
		v.cannot("no API server shows a certificate, and /etc/kubernetes/pki/apiserver.crt is not there or cannot be read")
	}
}

func judgeCertificate(f *Facts, v *verdict, g *Group, c *Certificate) {
	if !c.Covers {
		v.found(CertificateLacksVIP, Error, g.Name, fmt.Sprintf("%s names %s: neither %s nor %s", c.Source, strings.Join(c.Names, ", "), list(g.Addresses), g.Endpoint),
			"add it to certSANs ('vipd kubeadm' prints them), remove apiserver.crt and apiserver.key from /etc/kubernetes/pki, run 'kubeadm init phase certs apiserver', restart the API server")
	}
	left := c.NotAfter.Sub(f.Now)
	const renew = "vipd drain; kubeadm certs renew apiserver; restart the API server; vipd undrain"
	switch {
	case left <= 0:
		v.found(CertificateEnds, Error, g.Name, fmt.Sprintf("%s ended on %s", c.Source, c.NotAfter.UTC().Format(time.DateOnly)), renew)
	case left < certificateNotice:
		v.found(CertificateEnds, Warning, g.Name, fmt.Sprintf("%s ends on %s, in %d days", c.Source, c.NotAfter.UTC().Format(time.DateOnly), int(left/(24*time.Hour))), renew)
	}
}
