package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newCompletionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "completion {bash|zsh|fish|powershell}",
		Short: "Print a script that completes commands and flags in a shell",
		Long: "Print a script that completes commands and flags in a shell. To load it:\n\n" +
			"  bash        vipd completion bash > /etc/bash_completion.d/vipd\n" +
			"  zsh         vipd completion zsh > \"${fpath[1]}/_vipd\"\n" +
			"  fish        vipd completion fish > ~/.config/fish/completions/vipd.fish\n" +
			"  powershell  vipd completion powershell | Out-String | Invoke-Expression",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(c *cobra.Command, args []string) error {
			return writeCompletion(c.Root(), args[0], g.stdout)
		},
	}
}

func writeCompletion(root *cobra.Command, shell string, w io.Writer) error {
	const withDescriptions = true
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, withDescriptions)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, withDescriptions)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return fmt.Errorf("no completion for the shell %s", shell)
}
