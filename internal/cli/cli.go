// Package cli is the command line of bq: flags, text, JSON, progress, files and exit status. It is the only place
// that prints, and holds all words for the user apart from error texts.
//
//	args -> arrange (flags by the commands' tables) -> urfave/cli -> a command -> result on stdout
//
// The result goes to stdout, all else to stderr. Exit status: 0 done, 1 error, 2 usage, 3 drift above a limit,
// 130 and 143 after SIGINT and SIGTERM.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
)

// Version is the program's version, stored in the files it makes.
const Version = "0.1.0"

// The exit statuses.
const (
	statusDone  = 0
	statusError = 1
	statusUsage = 2
	statusDrift = 3
)

// Main runs the command line args, without the program's name, and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := onSignal(cancel)
	defer stop()
	out := &resultWriter{w: stdout}
	s := &session{ctx: ctx, stdin: stdin, stdout: out, stderr: stderr}
	status := s.guarded(args)
	if status == statusDone && out.err != nil { // a full disk, a closed pipe: the result is not where it should be
		s.say("error", fmt.Sprintf("writing to stdout: %v", pathCause(out.err)))
		return statusError
	}
	return status
}

// guarded runs the command line. Files are mapped: one that shrinks while it is read makes a fault in memory, which
// is an error of the file here and not the end of the program.
func (s *session) guarded(args []string) (status int) {
	debug.SetPanicOnFault(true)
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if _, ok := v.(interface{ Addr() uintptr }); !ok {
			panic(v)
		}
		removeTemporaries()
		status = s.finish(errChanged)
	}()
	return s.run(args)
}

// errChanged stands for a fault in mapped memory.
var errChanged = errors.New("reading a file: it was changed while it was read")

// resultWriter remembers the first error of writing to stdout.
type resultWriter struct {
	w   io.Writer
	err error
}

// Write writes b unless an earlier write failed.
func (r *resultWriter) Write(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.w.Write(b)
	r.err = err
	return n, err
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ sig syscall.Signal }

func (e signalError) Error() string { return "stopped by " + e.sig.String() }

// onSignal ends the context at the first SIGINT, SIGTERM or SIGHUP, and the process at the second.
func onSignal(cancel context.CancelCauseFunc) (stop func()) {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case sig := <-c:
				cancel(signalError{sig.(syscall.Signal)})
				if !first {
					removeTemporaries()
					os.Exit(128 + int(sig.(syscall.Signal)))
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(c); close(done) }
}

// session is one run of the program.
type session struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	json, quiet    bool
	threads        int
	expert         expert // keys of bq.yaml that have no flag

	files   []string // inputs that were opened: models, their external data, samples
	spoolMu sync.Mutex
	spools  map[string]spooled // by the input's name
}

// run executes args and returns the exit status.
func (s *session) run(args []string) int {
	defer s.removeSpools()
	app := s.app()
	if len(args) == 2 && args[0] == "help" {
		if t, ok := findTopic(args[1]); ok {
			fmt.Fprint(s.stdout, t.text)
			return statusDone
		}
	}
	arranged, err := arrange(app, args)
	s.json = hasFlag(args, "--json")
	if err == nil {
		arranged, err = s.configure(app, arranged)
	}
	if err == nil {
		err = app.RunContext(s.ctx, append([]string{app.Name}, arranged...))
	}
	return s.finish(err)
}

// hasFlag reports whether the boolean flag stands among arguments, before "--".
func hasFlag(args []string, flag string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == flag || a == flag+"=true" {
			return true
		}
	}
	return false
}

// finish reports err and returns the exit status that belongs to it.
func (s *session) finish(err error) int {
	var sig signalError
	status, text, hint := explain(err)
	if cause := context.Cause(s.ctx); err != nil && errors.As(cause, &sig) {
		status, text, hint = 128+int(sig.sig), sig.Error(), ""
	}
	switch {
	case err == nil:
		return statusDone
	case text == "":
		return status
	case s.json:
		s.printJSON(errorRecord{Schema: "bq.error/1", Status: status, Error: text, Hint: hint})
		return status
	default:
		s.say("error", text)
		if hint != "" {
			s.say("hint", hint)
		}
		return status
	}
}

type errorRecord struct {
	Schema string `json:"schema"`
	Status int    `json:"status"`
	Error  string `json:"error"`
	Hint   string `json:"hint,omitempty"`
}

// say prints one line of the given kind (error, hint, warning, note) to stderr.
func (s *session) say(kind, text string) {
	fmt.Fprintf(s.stderr, "bq: %s: %s\n", kind, escape(text))
}

// note prints a note unless --quiet or --json is given.
func (s *session) note(format string, args ...any) {
	if !s.quiet {
		s.say("note", fmt.Sprintf(format, args...))
	}
}

func (s *session) warn(format string, args ...any) { s.say("warning", fmt.Sprintf(format, args...)) }

// printf prints result text to stdout unless --quiet is given.
func (s *session) printf(format string, args ...any) {
	if !s.quiet {
		fmt.Fprint(s.stdout, escapeLines(fmt.Sprintf(format, args...)))
	}
}

// escape makes text safe for one line of a terminal or of a CI log: control characters are escaped, and what a CI
// runner would take for a command (`::` at the start of a line, `##[` anywhere) gets a backslash.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	safe := strings.ReplaceAll(b.String(), "##[", `#\#[`)
	if strings.HasPrefix(strings.TrimLeft(safe, " "), "::") {
		safe = strings.Replace(safe, "::", `\::`, 1)
	}
	return safe
}

// escapeLines escapes each line of text.
func escapeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = escape(line)
	}
	return strings.Join(lines, "\n")
}
