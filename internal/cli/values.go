package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bq/convert"
)

// wholeNumber reads a decimal integer flag within [lo, hi].
func wholeNumber(flag, value string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < lo || n > hi {
		return 0, usagef("reading %s: want a whole number from %d to %d, got %q", flag, lo, hi, value)
	}
	return n, nil
}

// fraction reads a share such as 0.99 or 99%. A bare number above one is refused.
func fraction(flag, value string) (float64, error) {
	number, percent := strings.CutSuffix(value, "%")
	v, err := decimal(flag, number)
	if err != nil {
		return 0, err
	}
	if percent {
		v /= 100
	}
	switch {
	case v > 1 && !percent:
		return 0, usagef("reading %s: %s is above 1, write %s%%", flag, value, number)
	case v > 1:
		return 0, usagef("reading %s: want at most 100%%, got %q", flag, value)
	}
	return v, nil
}

// decimal reads a number that is finite and not negative.
func decimal(flag, value string) (float64, error) {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || math.Signbit(v) {
		return 0, usagef("reading %s: want a finite number not below 0, got %q", flag, value)
	}
	return v, nil
}

// group reads --group: channel, tensor, or weights per block.
func group(value string) (convert.Group, error) {
	switch value {
	case "channel":
		return convert.Group{}, nil
	case "tensor":
		return convert.Group{PerTensor: true}, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < minBlock || n > maxBlock {
		return convert.Group{}, usagef("reading --group: want channel, tensor or %d to %d weights, got %q", minBlock, maxBlock, value)
	}
	return convert.Group{Block: n}, nil
}

// Blocks of fewer weights spend more on scales than they save; longer ones differ from channels too little.
const (
	minBlock = 16
	maxBlock = 1024
)

// bitsOf reads GLOB=N, split at the last "=".
func bitsOf(value string) (convert.BitsOf, error) {
	i := strings.LastIndexByte(value, '=')
	if i <= 0 {
		return convert.BitsOf{}, usagef("reading --bits-of: want GLOB=N, got %q", value)
	}
	n, err := wholeNumber("--bits-of", value[i+1:], 1, 8)
	return convert.BitsOf{Glob: value[:i], Bits: n}, err
}

// thousands writes n with commas: 1,094,229.
func thousands[T int | int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// plural writes a count with its noun: 1 tensor, 20 tensors.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// shapeText writes a shape as [64 32 3 3].
func shapeText[T int | int64](shape []T) string { return fmt.Sprint(shape) }

// decibels writes dB with one decimal; equal tensors have none to write.
func decibels(v float64) string {
	if math.IsInf(v, 1) {
		return "exact"
	}
	if v-v != 0 {
		return "not finite"
	}
	return fmt.Sprintf("%.1f dB", v)
}

// positive reads a number above 0 and at most limit.
func positive(flag, value string, limit float64) (float64, error) {
	v, err := decimal(flag, value)
	if err == nil && (v == 0 || v > limit) {
		err = usagef("reading %s: want a number above 0 and at most %g, got %q", flag, limit, value)
	}
	return v, err
}

// sizeUnits are the units of sizes (cli.md, section 1): powers of ten, and of two.
var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// byteSize reads a size such as 1200000, 1.2MB or 1.2MiB, in bytes.
func byteSize(flag, value string) (float64, error) {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(value, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v*u.bytes >= 1 && v*u.bytes <= math.MaxInt64/2) {
			break
		}
		return math.Floor(v * u.bytes), nil
	}
	return 0, usagef("reading %s: want a size such as 90000, 1.2MB or 1.5MiB, got %q", flag, value)
}
