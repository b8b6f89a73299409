package cli

import (
	"errors"
	"fmt"
	"strings"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/dataset"
)

// usageError says that the command line is wrong: status 2.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// hintError adds a way out to an error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// statusOnly ends the program with a status; what there is to say was said.
type statusOnly int

func (e statusOnly) Error() string { return fmt.Sprintf("status %d", int(e)) }

// explain returns exit status, text and hint of an error; no text where nothing is left to say.
func explain(err error) (status int, text, hint string) {
	if err == nil {
		return statusDone, "", ""
	}
	var (
		only    statusOnly
		usage   *usageError
		hinted  *hintError
		noMatch *convert.NoMatchError
		data    *dataset.UsageError
		output  *compare.NoOutputError
		reach   *convert.ReachError
		nan     *dataset.NaNError
		label   *compare.LabelError
		value   *convert.NonFiniteError
	)
	status, text = statusError, err.Error()
	var fault interface{ Addr() uintptr }
	switch {
	case errors.As(err, &fault):
		text = errChanged.Error()
	case errors.As(err, &only):
		return int(only), "", ""
	case errors.As(err, &usage):
		status, hint = statusUsage, usage.hint
	case errors.As(err, &data):
		status, hint = statusUsage, data.Hint
	case errors.As(err, &output):
		status, text, hint = statusUsage, "reading --output-kind: "+output.Error(), output.Hint()
	case errors.As(err, &nan), errors.As(err, &value):
		hint = "mend the sample, or leave it out"
	case errors.As(err, &label):
		hint = "labels count classes from 0, -1 for a row without one"
	case errors.As(err, &reach) && reach.Kind == convert.BudgetDrift:
		status = statusDrift
	case errors.As(err, &noMatch):
		status = statusUsage
		if len(noMatch.Nearest) > 0 {
			hint = "nearest: " + strings.Join(noMatch.Nearest, ", ")
		}
	}
	if errors.As(err, &hinted) {
		hint = hinted.hint
	}
	return status, text, hint
}
