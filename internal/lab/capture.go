package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Capture is a running or ended packet capture.
type Capture struct {
	// File is in pcap format.
	File string
	proc *Proc
}

// Capture starts capturing on the host's interface what matches a filter in the
// language of pcap-filter(7), or all when it is empty. At the switch it sees
// every frame that arrives, also those that a fault loses. It returns once the
// capture runs.
func (h *Host) Capture(ctx context.Context, filter string) (*Capture, error) {
	file, err := h.lab.createFile(h.Name, "capture", ".pcap")
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", h, err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("capture on %s: %w", h, err)
	}
	argv := []string{"tcpdump", "-Z", "root", "-n", "--immediate-mode", "-U", "-i", h.Interface, "-w", file.Name()}
	proc, err := h.Start("tcpdump", append(argv, strings.Fields(filter)...)...)
	if err != nil {
		return nil, err
	}
	if err := proc.AwaitLog(ctx, "listening on"); err != nil {
		return nil, errors.Join(err, proc.Kill())
	}
	return &Capture{File: file.Name(), proc: proc}, nil
}

// Stop ends the capture; the file is complete then.
func (c *Capture) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.proc.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if _, err := c.proc.Wait(ctx); err != nil {
		return errors.Join(err, c.proc.Kill())
	}
	return nil
}

// Frames returns one line of tshark's summary for each captured frame that matches a
// display filter, wireshark-filter(4); all when it is empty.
func (c *Capture) Frames(ctx context.Context, display string) ([]string, error) {
	return c.tshark(ctx, display)
}

// Malformed returns the frames of the given protocols (vrrp, arp, icmpv6, as
// wireshark-filter(4) names them) that tshark finds malformed or with a wrong
// checksum. A VRRPv3 advert over IPv4 may be summed with the pseudo-header
// (RFC 5798, as keepalived does) or without (RFC 9568): it is wrong only if it is
// wrong in both ways.
func (c *Capture) Malformed(ctx context.Context, protocols ...string) ([]string, error) {
	bad := fmt.Sprintf("(%s) && (_ws.malformed || ip.checksum.status == 0 || vrrp.checksum.status == 0 || icmpv6.checksum.status == 0)",
		strings.Join(protocols, " || "))
	withPseudoHeader, err := c.tshark(ctx, bad, "-o", "ip.check_checksum:TRUE", "-o", "vrrp.v3_checksum_as_in_v2:FALSE")
	if err != nil || len(withPseudoHeader) == 0 {
		return nil, err
	}
	without, err := c.tshark(ctx, bad, "-o", "ip.check_checksum:TRUE", "-o", "vrrp.v3_checksum_as_in_v2:TRUE")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(withPseudoHeader, func(frame string) bool {
		return !slices.ContainsFunc(without, func(other string) bool { return frameNumber(other) == frameNumber(frame) })
	}), nil
}

// frameNumber is the first word of a summary line.
func frameNumber(summary string) string { return strings.Fields(summary)[0] }

func (c *Capture) tshark(ctx context.Context, display string, options ...string) ([]string, error) {
	argv := append([]string{"tshark", "-n", "-r", c.File}, options...)
	if display != "" {
		argv = append(argv, "-Y", display)
	}
	out, err := c.proc.Host.Run(ctx, argv...)
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	frames := make([]string, 0, strings.Count(out, "\n"))
	for line := range strings.Lines(out) {
		frames = append(frames, strings.TrimSpace(line))
	}
	return frames, nil
}
