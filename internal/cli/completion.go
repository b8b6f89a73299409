package cli

import (
	"strings"

	urfave "github.com/urfave/cli/v2"
)

func (s *session) completionCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "completion", Usage: "print a completion script for a shell", ArgsUsage: "bash|zsh|fish|powershell",
		Description: "source <(bq completion bash)\nbq completion zsh > \"${fpath[1]}/_bq\"\nbq completion fish > ~/.config/fish/completions/bq.fish",
	}, resultOutput, false, s.completion)
}

// completion prints a script made from the flag table, so that it needs no help from the program while typing.
func (s *session) completion(c *urfave.Context) error {
	if err := exactly(c, "one shell"); err != nil {
		return err
	}
	scripts := map[string]func(commands []completable) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion, "powershell": powershellCompletion}
	script := scripts[c.Args().First()]
	if script == nil {
		return usagef("reading arguments: want bash, zsh, fish or powershell, got %q", c.Args().First())
	}
	var list []completable
	for _, cmd := range c.App.VisibleCommands() {
		item := completable{name: cmd.Name, usage: cmd.Usage}
		for _, f := range cmd.VisibleFlags() {
			if f.Names()[0] != "help" { // the library adds it to the command that runs
				item.flags = append(item.flags, "--"+f.Names()[0])
			}
		}
		list = append(list, item)
	}
	s.printf("%s", script(list))
	return nil
}

// completable is a command as completion scripts need it.
type completable struct {
	name, usage string
	flags       []string
}

func names(list []completable) string {
	all := make([]string, len(list))
	for i, c := range list {
		all[i] = c.name
	}
	return strings.Join(append(all, "help"), " ")
}

// helpNames are the words that help takes: commands and topics.
func helpNames(list []completable) string {
	all := make([]string, 0, len(list)+len(topics)+1)
	for _, c := range list {
		all = append(all, c.name)
	}
	for _, t := range topics {
		all = append(all, t.name)
	}
	return strings.Join(append(all, "topics"), " ")
}

func bashCompletion(list []completable) string {
	var b strings.Builder
	b.WriteString("_bq() {\n  local cur=\"${COMP_WORDS[COMP_CWORD]}\"\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n")
	b.WriteString("    COMPREPLY=($(compgen -W \"" + names(list) + "\" -- \"$cur\"))\n    return\n  fi\n")
	b.WriteString("  if [ \"${COMP_WORDS[1]}\" = help ]; then\n    COMPREPLY=($(compgen -W \"" + helpNames(list) + "\" -- \"$cur\"))\n    return\n  fi\n")
	b.WriteString("  case \"$cur\" in -*) ;; *) COMPREPLY=(); return ;; esac\n  case \"${COMP_WORDS[1]}\" in\n")
	for _, c := range list {
		b.WriteString("    " + c.name + ") COMPREPLY=($(compgen -W \"" + strings.Join(c.flags, " ") + "\" -- \"$cur\")) ;;\n")
	}
	b.WriteString("  esac\n}\ncomplete -o default -F _bq bq\n")
	return b.String()
}

// zshCompletion can be read from a folder of $fpath, where the file is the body of the function, and by source.
func zshCompletion(list []completable) string {
	var b strings.Builder
	b.WriteString("#compdef bq\n_bq() {\n  if (( CURRENT == 2 )); then\n    compadd -- " + names(list) + "\n    return\n  fi\n")
	b.WriteString("  if [[ ${words[2]} == help ]]; then\n    compadd -- " + helpNames(list) + "\n    return\n  fi\n")
	b.WriteString("  if [[ ${words[CURRENT]} != -* ]]; then\n    _files\n    return\n  fi\n  case ${words[2]} in\n")
	for _, c := range list {
		b.WriteString("    " + c.name + ") compadd -- " + strings.Join(c.flags, " ") + " ;;\n")
	}
	b.WriteString("  esac\n}\nif [[ ${funcstack[1]} == _bq ]]; then _bq \"$@\"; else compdef _bq bq; fi\n")
	return b.String()
}

// fishCompletion goes by the word behind bq alone: fish's own __fish_seen_subcommand_from takes a file of a command's name for it.
func fishCompletion(list []completable) string {
	var b strings.Builder
	b.WriteString("function __bq_first\n  test (count (commandline -opc)) -eq 1\nend\n")
	b.WriteString("function __bq_is\n  set -l words (commandline -opc)\n  test (count $words) -ge 2; and test $words[2] = $argv[1]\nend\n")
	for _, c := range list {
		b.WriteString("complete -c bq -f -n __bq_first -a " + c.name + " -d '" + strings.ReplaceAll(c.usage, "'", "\\'") + "'\n")
		for _, f := range c.flags {
			b.WriteString("complete -c bq -n '__bq_is " + c.name + "' -l " + strings.TrimPrefix(f, "--") + "\n")
		}
	}
	b.WriteString("complete -c bq -f -n __bq_first -a help -d 'help of a command or topic'\n")
	b.WriteString("complete -c bq -f -n '__bq_is help' -a '" + helpNames(list) + "'\n")
	return b.String()
}

func powershellCompletion(list []completable) string {
	var b strings.Builder
	b.WriteString("Register-ArgumentCompleter -Native -CommandName bq -ScriptBlock {\n  param($word, $ast, $position)\n  $flags = @{\n")
	for _, c := range list {
		b.WriteString("    '" + c.name + "' = @('" + strings.Join(c.flags, "','") + "')\n")
	}
	b.WriteString("    'help' = @('" + strings.ReplaceAll(helpNames(list), " ", "','") + "')\n")
	b.WriteString("  }\n  $command = $ast.CommandElements[1].Value\n")
	b.WriteString("  $done = $word -eq '' -or $ast.CommandElements.Count -gt 2\n")
	b.WriteString("  $choices = if ($done -and $flags.ContainsKey(\"$command\")) { $flags[$command] } else { '" + names(list) + "' -split ' ' }\n")
	b.WriteString("  $choices | Where-Object { $_ -like \"$word*\" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }\n}\n")
	return b.String()
}
