package survey

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"

	"github.com/vipd/vipd/config"
	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/health"
	"github.com/vipd/vipd/health/counter"
)

// certificateFile is kubeadm's.
const certificateFile = "/etc/kubernetes/pki/apiserver.crt"

// probe makes each check of a group once.
func (s *survey) probe(ctx context.Context, g *doctor.Group) {
	for _, check := range g.Health {
		if check.Type == config.CheckExec {
			g.Probes = append(g.Probes, s.toldOf(g, check))
			continue
		}
		result, err := once(ctx, check, health.Endpoint{VIPs: g.Addresses, Address: g.Endpoint})
		if err != nil {
			g.Probes = append(g.Probes, doctor.Probe{Check: check.Name, Missing: err.Error()})
			continue
		}
		g.Probes = append(g.Probes, doctor.Probe{Check: check.Name, Ready: result.Ready, Reason: result.Reason})
		if c := result.Certificate; c != nil && g.Certificate == nil {
			g.Certificate = &doctor.Certificate{Source: "the certificate that " + check.URL + " shows", NotAfter: c.NotAfter, Covers: c.Covers(), Names: c.Names}
		}
	}
	if g.Certificate == nil {
		g.Certificate = s.certificateOnDisk(g)
	}
}

// toldOf is the probe of a program: it is the operator's, and is run by the daemon
// without privileges, so this command does not run it but takes the daemon's word.
func (s *survey) toldOf(g *doctor.Group, check config.Check) doctor.Probe {
	p := doctor.Probe{Check: check.Name, Missing: "check " + check.Name + " runs a program, which only the daemon does, and it does not run"}
	for _, v := range s.facts.Status.Value.VIPs {
		for _, c := range v.Health {
			if v.Name == g.Name && c.Name == check.Name {
				p = doctor.Probe{Check: check.Name, Ready: counter.OK, Reason: c.Error}
				if !c.Healthy {
					p.Ready = counter.NotReady
				}
			}
		}
	}
	return p
}

// once makes a check a single time.
func once(ctx context.Context, check config.Check, endpoint health.Endpoint) (health.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first *health.Result
	runner, err := health.New(check, endpoint, func(r health.Result) {
		if first == nil {
			first = &r
		}
		cancel()
	})
	if err == nil {
		err = runner.Run(ctx)
	}
	if err != nil {
		return health.Result{}, err
	}
	if first == nil {
		return health.Result{}, context.Cause(ctx)
	}
	return *first, nil
}

// certificateOnDisk is kubeadm's, where no server shows one.
func (s *survey) certificateOnDisk(g *doctor.Group) *doctor.Certificate {
	block, _ := pem.Decode([]byte(s.root.read(certificateFile)))
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	c := &doctor.Certificate{Source: certificateFile, NotAfter: leaf.NotAfter, Names: append([]string{}, leaf.DNSNames...)}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.Covers = coversAll(leaf, g.Addresses) || leaf.VerifyHostname(hostOf(g.Endpoint)) == nil
	return c
}

func coversAll(leaf *x509.Certificate, vips []netip.Addr) bool {
	for _, vip := range vips {
		if leaf.VerifyHostname(vip.String()) != nil {
			return false
		}
	}
	return true
}

func hostOf(endpoint string) string {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return endpoint
	}
	return host
}
