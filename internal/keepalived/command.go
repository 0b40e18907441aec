package keepalived

import "strings"

// command is the argument vector of a script; nil, with a note, if a shell
// would be needed for it.
func (m *model) command(s Statement) []string {
	args := s.Words[1:]
	if len(args) == 1 {
		text := args[0]
		if sign := shellSyntax(text); sign != "" {
			m.note(s, "script %q is left out: it has %s for a shell, and vipd runs none; put it into an executable file and name that, or write command: [/bin/sh, -c, ...]", text, sign)
			return nil
		}
		var err error
		if args, err = arguments(text); err != nil {
			m.note(s, "script is left out: %v", err)
			return nil
		}
	}
	switch {
	case len(args) == 0 || args[0] == "":
		m.note(s, "script has no command; it is left out")
		return nil
	case !strings.HasPrefix(args[0], "/"):
		m.note(s, "script %q is left out: vipd looks for no programs; write the absolute path of %s", strings.Join(args, " "), args[0])
		return nil
	case strings.ContainsAny(strings.Join(args, ""), "\x00"):
		m.note(s, "script is left out: it holds a zero byte")
		return nil
	}
	return args
}

// shellSyntax is the first sign outside quotes that only a shell understands;
// empty if there is none.
func shellSyntax(text string) string {
	quote := rune(0)
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == '\'':
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == '$' || r == '`':
			return string(r)
		case quote == 0 && strings.ContainsRune("|&;<>()*?~\n", r):
			return "'" + string(r) + "'"
		}
	}
	return ""
}
