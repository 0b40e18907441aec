package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"
)

// hostPort accepts host:port with a number for the port.
func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return fmt.Errorf("%s is not host:port", quote(s))
	}
	if err := tcpPort(port); err != nil {
		return err
	}
	return hostOrAddress(host)
}

// listenAddress accepts host:port, and :port for every address of the node.
func listenAddress(s string) error {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		return tcpPort(port)
	}
	return hostPort(s)
}

func tcpPort(s string) error {
	if _, err := decimal(s, 1, 65535); err != nil {
		return fmt.Errorf("port %w", err)
	}
	return nil
}

func hostOrAddress(s string) error {
	if isAddress(s) && printable(s) {
		return nil
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r != '.' && !unicode.IsDigit(r) }) {
		return hostName(s)
	}
	// Digits and dots are a misspelt address, not a name.
	return fmt.Errorf("%s is no address", quote(s))
}

// webURL accepts a URL that a probe can ask for.
func webURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%s is no URL: %w", quote(s), plainCause(err))
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("%s is no URL; write https://host:port/path", quote(s))
	case u.User != nil:
		return errors.New("a URL with a password would be shown in the status; use cert_file and key_file, or kubeconfig")
	case u.Fragment != "":
		return fmt.Errorf("%s has a part after '#', which is never sent", quote(s))
	case !printable(s):
		return fmt.Errorf("%s holds a character that cannot be printed", quote(s))
	}
	if u.Port() != "" {
		if err := tcpPort(u.Port()); err != nil {
			return err
		}
	}
	return hostOrAddress(u.Hostname())
}

// plainCause is what url.Parse found, without the URL, which the caller says.
func plainCause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
