package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/doctor"
	"github.com/vipd/vipd/doctor/survey"
	"github.com/vipd/vipd/election/lease/etcd"
)

// defaultListen is three rounds of hellos.
const defaultListen = 3 * time.Second

func newDoctorCommand(g *globals) *cobra.Command {
	var asJSON bool
	var listen time.Duration
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find what breaks a VIP on this host, and name the mend",
		Long: "Find what breaks a VIP on this host, and name the mend: before the first start, before\n" +
			"kubeadm init, and when something is wrong. It changes nothing. What the daemon knows\n" +
			"better is asked of it, where it runs. Checks that could not be made are named; as root\n" +
			"all can be.",
		RunE: func(c *cobra.Command, _ []string) error {
			if listen <= 0 {
				return &exitError{exitUsage, fmt.Errorf("--listen: %s is no time to listen for; give one such as 3s", listen)}
			}
			etcd.Quiet()
			return g.doctor(c.Context(), listen, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().DurationVar(&listen, "listen", defaultListen, "how long to listen to others on the segment")
	return command
}

// doctor examines this host and tells what it found, in text and exit code.
func (g *globals) doctor(ctx context.Context, listen time.Duration, asJSON bool) error {
	report := doctor.Examine(g.look(ctx, listen))
	var err error
	if asJSON {
		err = writeJSON(g.stdout, report)
	} else {
		_, err = io.WriteString(g.stdout, g.doctorPage(report))
	}
	switch {
	case err != nil:
		return err
	case report.Count(doctor.Error) > 0:
		return &exitError{code: exitErrors}
	case report.Count(doctor.Warning) > 0:
		return &exitError{code: exitWarnings}
	}
	return nil
}

// lookAtHost gathers the facts of this host.
func (g *globals) lookAtHost(ctx context.Context, listen time.Duration) *doctor.Facts {
	client := g.client()
	defer client.Close()
	facts := survey.Look(ctx, survey.Options{
		Path: g.configPath, Root: "/", Listen: listen, DefaultRoute: g.defaultRoute,
		Status: client.Status,
	})
	return &facts
}
