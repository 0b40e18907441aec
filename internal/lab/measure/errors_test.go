package measure_test

import "fmt"

// errTooFew is a condition that does not hold yet.
type errTooFew int

func (n errTooFew) Error() string { return fmt.Sprintf("only %d", int(n)) }
