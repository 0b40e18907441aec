package setup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/vipd/vipd/config"
)

// clusterConfiguration are the fields of kubeadm's that the fragment has
// (kubeadm-config.v1beta4).
type clusterConfiguration struct {
	APIVersion           string `yaml:"apiVersion"`
	Kind                 string `yaml:"kind"`
	ControlPlaneEndpoint string `yaml:"controlPlaneEndpoint"`
	APIServer            struct {
		CertSANs []string `yaml:"certSANs"`
	} `yaml:"apiServer"`
}

func TestClusterConfiguration(t *testing.T) {
	tests := []struct {
		name, vip string
		endpoint  string
		names     []string
		note      string
	}{
		{"the VIP as endpoint: kubeadm adds it", "addresses: [192.0.2.10]", "192.0.2.10:6443", nil, ""},
		{"the second family has to be added", `addresses: [192.0.2.10, "2001:db8::10"]`, "192.0.2.10:6443", []string{"2001:db8::10"}, ""},
		{"an IPv6 endpoint stands in brackets", `addresses: ["2001:db8::10", 192.0.2.10]`, "[2001:db8::10]:6443", []string{"192.0.2.10"}, ""},
		{"the second address as endpoint, written at length", `addresses: [192.0.2.10, "2001:db8::10"], endpoint: "[2001:0db8::10]:6443"`, "[2001:0db8::10]:6443", []string{"192.0.2.10"}, ""},
		{"a name as endpoint: kubeadm adds no address", `addresses: [192.0.2.10], endpoint: "k8s.example.com:6443"`, "k8s.example.com:6443", []string{"192.0.2.10"}, ""},
		{"kubeadm takes lower case only", `addresses: [192.0.2.10], endpoint: "K8s.Example.com:6443"`, "k8s.example.com:6443", []string{"192.0.2.10"}, ""},
		{"another port of the API servers", "addresses: [192.0.2.10], port: 8443", "192.0.2.10:8443", nil, "localAPIEndpoint.bindPort"},
		{"another port of the endpoint only", `addresses: [192.0.2.10], endpoint: "192.0.2.10:443"`, "192.0.2.10:443", nil, "port 443 and the VIP serves port 6443"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := config.Parse("vipd.yaml", []byte("node: cp1\nvips: [{"+test.vip+"}]"))
			if err != nil {
				t.Fatal(err)
			}
			file, notes, err := ClusterConfiguration(c.VIPs[0])
			if err != nil {
				t.Fatal(err)
			}
			want := clusterConfiguration{APIVersion: "kubeadm.k8s.io/v1beta4", Kind: "ClusterConfiguration", ControlPlaneEndpoint: test.endpoint}
			want.APIServer.CertSANs = test.names
			var got clusterConfiguration
			decoder := yaml.NewDecoder(strings.NewReader(string(file)))
			decoder.KnownFields(true)
			if err := decoder.Decode(&got); err != nil {
				t.Fatalf("%v\n%s", err, file)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want -, got +:\n%s\nof:\n%s", diff, file)
			}
			if strings.Contains(string(file), "apiServer") != (test.names != nil) {
				t.Errorf("an empty section:\n%s", file)
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, test.note) || (test.note == "") != (all == "") {
				t.Errorf("notes %q, want %q", all, test.note)
			}
		})
	}
}
