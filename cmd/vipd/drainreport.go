package main

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/agent"
)

// drainReport says, from the status after a drain, what is true now and what to
// do next.
func drainReport(s agent.Status, r agent.DrainRequest, result agent.DrainResult) string {
	var text strings.Builder
	switch result {
	case agent.DrainDone:
		fmt.Fprintln(&text, doneSentence(s, r))
	case agent.DrainReset:
		fmt.Fprintln(&text, doneSentence(s, r))
		fmt.Fprintln(&text, "Connections that were still open were ended; 'vipd history' counts them.")
	case agent.DrainNoSuccessor:
		fmt.Fprintln(&text, "Not drained: no healthy node serves instead; this node may hold the VIP.")
	case agent.DrainCancelled:
		fmt.Fprintln(&text, "Not drained: the drain was cancelled, and what had not moved was undone.")
	default:
		fmt.Fprintf(&text, "Not drained: %s.\n", result)
	}
	for i := range s.VIPs {
		if v := &s.VIPs[i]; r.VIP == "" || r.VIP == v.Name {
			fmt.Fprintf(&text, "  %s\n", whoServes(s.Node, v))
		}
	}
	fmt.Fprintln(&text, nextStep(s, r, result))
	return text.String()
}

func doneSentence(s agent.Status, r agent.DrainRequest) string {
	if r.VIP != "" {
		return fmt.Sprintf("Drained: %s takes %s no more until 'vipd undrain --vip %s' or a reboot.", s.Node, r.VIP, r.VIP)
	}
	return fmt.Sprintf("Drained: %s takes no VIP until 'vipd undrain' or a reboot.", s.Node)
}

func whoServes(node string, v *agent.VIPStatus) string {
	switch {
	case v.State == agent.StateOwner:
		return fmt.Sprintf("%s is served by this node, %s.", v.Name, node)
	case v.Owner != "":
		return fmt.Sprintf("%s is served by %s.", v.Name, v.Owner)
	}
	return fmt.Sprintf("%s is served by NOBODY that this node hears; here it is %s (%s).",
		v.Name, v.State, sentence(string(v.Reason), v.Detail))
}

func nextStep(s agent.Status, r agent.DrainRequest, result agent.DrainResult) string {
	switch result {
	case agent.DrainDone, agent.DrainReset:
		if held := stillHeld(s); len(held) > 0 {
			return fmt.Sprintf("Next: %s still answers for %s; 'vipd drain' gives up all.", s.Node, strings.Join(held, ", "))
		}
		return "Next: kubectl drain, kubeadm upgrade node, kubeadm reset or a reboot."
	case agent.DrainNoSuccessor:
		force := "vipd drain --force"
		if r.VIP != "" {
			force += " --vip " + r.VIP
		}
		return "Next: 'vipd status' on the other control-plane nodes shows why none is ready.\n" +
			"On the only or last node: '" + force + "' gives up all the same."
	case agent.DrainCancelled:
	}
	return "Next: 'vipd status' and 'vipd history' show what happened."
}

// stillHeld names the VIPs that this node answers for.
func stillHeld(s agent.Status) []string {
	var names []string
	for _, v := range s.VIPs {
		if v.State == agent.StateOwner {
			names = append(names, v.Name)
		}
	}
	return names
}
