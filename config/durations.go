package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is the durations that a key takes: low to high in whole steps.
type span struct {
	low, high time.Duration
	// step is 0 when every duration will do.
	step time.Duration
	// orNone takes zero too.
	orNone bool
}

// String is the span as advice.
func (s span) String() string {
	text := fmt.Sprintf("use %s to %s", formatDuration(s.low), formatDuration(s.high))
	if s.orNone {
		text = "use 0s, or " + strings.TrimPrefix(text, "use ")
	}
	if s.step > 0 {
		text += " in steps of " + formatDuration(s.step)
	}
	return text
}

// judge says what is wrong with d, which stands in the file as text.
func (s span) judge(d time.Duration, text string) error {
	switch {
	case d == 0 && s.orNone:
		return nil
	case d < s.low || d > s.high:
		return fmt.Errorf("%s is out of range; %s", quote(text), s)
	case s.step > 0 && d%s.step != 0:
		return fmt.Errorf("%s is not a multiple of %s; %s", quote(text), formatDuration(s.step), s)
	}
	return nil
}

// duration is a time with a unit, such as 100ms.
func duration(within span) kind[time.Duration] {
	return kind[time.Duration]{
		parse: func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s)
			switch {
			case err != nil && isNumber(s):
				return 0, fmt.Errorf("%s has no unit; write %ss for seconds", quote(s), s)
			case err != nil:
				return 0, fmt.Errorf("%s is no duration; write a number and a unit, such as 100ms, 3s or 10m", quote(s))
			}
			return d, within.judge(d, s)
		},
		format: formatDuration,
		tag:    "!!str",
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && madeOf(s, ".")
}

// formatDuration is d without the zero parts that time.Duration writes: 10m,
// not 10m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
