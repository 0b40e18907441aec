package doctor

import "strings"

// judgeConfiguration looks at the file by itself and against this host.
func judgeConfiguration(f *Facts, v *verdict) {
	for _, problem := range f.Problems {
		v.found(ConfigInvalid, Error, f.Path, problem,
			"correct the file; 'vipd check' names file, line and key, 'vipd init --vip ADDRESS' writes a first one")
	}
	for _, problem := range f.Unfit {
		key, text := cutKey(problem, f.Path)
		v.found(ConfigUnfit, Error, key, text, "change "+key+" in "+f.Path+"; 'vipd check' tells whether it fits")
	}
	for _, warning := range f.Warnings {
		key, text := cutKey(warning, f.Path)
		v.found(ConfigWarning, Warning, key, text, "change "+key+" in "+f.Path+" unless it is meant, then 'vipd reload'")
	}
}

// cutKey parts "key: text"; without a key it is about the file.
func cutKey(line, path string) (key, text string) {
	key, text, ok := strings.Cut(line, ": ")
	if !ok {
		return path, line
	}
	return key, text
}

// judgeCompanions looks at files that the configuration names: keys, peers, the
// TLS of the metrics.
func judgeCompanions(f *Facts, v *verdict) {
	if f.Config == nil {
		v.cannot(noConfiguration)
	}
	for _, c := range f.Companions {
		switch c.ID {
		case KeyFile:
			v.found(KeyFile, Error, c.Key, c.Problem+"; the daemon does not start", "put the same key there on all nodes: openssl rand -base64 48 makes one")
		case PeersFile:
			v.found(PeersFile, Warning, c.Key, c.Problem+"; no adverts are sent to anyone before it is mended", "write one address of a node a line, never a VIP; the daemon follows the file")
		default:
			v.found(WebConfig, Warning, c.Key, c.Problem+"; there are no metrics", "correct the file; it is that of Prometheus' exporter-toolkit")
		}
	}
}
