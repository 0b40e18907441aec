package health

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// kubeconfig is what the current context of a kubeconfig file names
// (kubernetes.io/docs/reference/config-api/kubeconfig.v1).
type kubeconfig struct {
	ca, cert, key, token source
}

func (k kubeconfig) inputs() inputs {
	return inputs{ca: input{source: k.ca}, cert: input{source: k.cert}, key: input{source: k.key}, token: input{source: k.token}}
}

// kubeconfigFile is the part of the file that matters here.
type kubeconfigFile struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct {
			Cluster string
			User    string
		}
	}
	Clusters []struct {
		Name    string
		Cluster kubeconfigCluster
	}
	Users []struct {
		Name string
		User kubeconfigUser
	}
}

type kubeconfigCluster struct {
	CAFile string `yaml:"certificate-authority"`
	CAData string `yaml:"certificate-authority-data"`
}

type kubeconfigUser struct {
	CertFile  string `yaml:"client-certificate"`
	CertData  string `yaml:"client-certificate-data"`
	KeyFile   string `yaml:"client-key"`
	KeyData   string `yaml:"client-key-data"`
	Token     string
	TokenFile string `yaml:"tokenFile"`
	Exec      *struct {
		Command string
	}
	AuthProvider *struct {
		Name string
	} `yaml:"auth-provider"`
}

func parseKubeconfig(path string, raw []byte) (kubeconfig, error) {
	var file kubeconfigFile
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return kubeconfig{}, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	k, err := file.resolve(path)
	if err != nil {
		return kubeconfig{}, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return k, nil
}

func (f *kubeconfigFile) resolve(path string) (kubeconfig, error) {
	cluster, user, err := f.current()
	if err != nil {
		return kubeconfig{}, err
	}
	if user.Exec != nil || user.AuthProvider != nil {
		return kubeconfig{}, errors.New("its user gets credentials from a plugin, which a check cannot run; use a client certificate or a token")
	}
	k := kubeconfig{token: source{name: path + ": token", text: []byte(user.Token)}}
	for _, entry := range []struct {
		into       *source
		key        string
		file, data string
	}{
		{&k.ca, "certificate-authority", cluster.CAFile, cluster.CAData},
		{&k.cert, "client-certificate", user.CertFile, user.CertData},
		{&k.key, "client-key", user.KeyFile, user.KeyData},
	} {
		if *entry.into, err = newSource(path, entry.key, entry.file, entry.data); err != nil {
			return kubeconfig{}, err
		}
	}
	if user.TokenFile != "" {
		// client-go too prefers the file to the text: it may rotate.
		k.token = fileSource(relativeTo(path, user.TokenFile))
	}
	return k, nil
}

// newSource takes the data where there are both, as client-go does.
func newSource(path, key, file, data string) (source, error) {
	if data != "" {
		text, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return source{}, fmt.Errorf("%s-data: %w", key, err)
		}
		return source{name: path + ": " + key + "-data", text: text}, nil
	}
	if file != "" {
		return fileSource(relativeTo(path, file)), nil
	}
	return source{}, nil
}

// relativeTo resolves a path as kubectl does: from the kubeconfig's directory.
func relativeTo(kubeconfig, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(kubeconfig), path)
}

func (f *kubeconfigFile) current() (kubeconfigCluster, kubeconfigUser, error) {
	for _, context := range f.Contexts {
		if context.Name != f.CurrentContext {
			continue
		}
		cluster, err := f.cluster(context.Context.Cluster)
		if err != nil {
			return kubeconfigCluster{}, kubeconfigUser{}, err
		}
		user, err := f.user(context.Context.User)
		return cluster, user, err
	}
	return kubeconfigCluster{}, kubeconfigUser{}, fmt.Errorf("current-context %q is not among its contexts", f.CurrentContext)
}

func (f *kubeconfigFile) cluster(name string) (kubeconfigCluster, error) {
	for _, c := range f.Clusters {
		if c.Name == name {
			return c.Cluster, nil
		}
	}
	return kubeconfigCluster{}, fmt.Errorf("cluster %q of the current context is not among its clusters", name)
}

func (f *kubeconfigFile) user(name string) (kubeconfigUser, error) {
	for _, u := range f.Users {
		if u.Name == name {
			return u.User, nil
		}
	}
	return kubeconfigUser{}, fmt.Errorf("user %q of the current context is not among its users", name)
}
