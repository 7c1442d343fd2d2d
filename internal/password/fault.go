package password

import (
	"errors"
	"strconv"
	"time"

	"sallyport/internal/fault"
)

// retryBusy is when a caller who found the pool full may try again: the queue
// in front of them is worked off in about that time.
const retryBusy = 2 * time.Second

// Fault turns what Check and a Pool refuse with into the fault that a caller
// may learn of; any other error stays as it is.
func Fault(err error) error {
	if errors.Is(err, ErrBusy) {
		return &fault.Error{Code: fault.Busy, RetryAfter: retryBusy, Err: err}
	}
	weak, ok := errors.AsType[*Weak](err)
	if !ok {
		return err
	}
	f := &fault.Error{Field: "password", Err: weak} // who can name all the rules does
	switch weak.Rule {
	case TooShort:
		f.Code, f.Params = fault.PasswordTooShort, []string{strconv.Itoa(weak.Min)}
	case TooLong:
		f.Code, f.Params = fault.PasswordTooLong, []string{strconv.Itoa(weak.Max)}
	case NoUppercase:
		f.Code = fault.PasswordNeedsUppercase
	case NoLowercase:
		f.Code = fault.PasswordNeedsLowercase
	case NoDigit:
		f.Code = fault.PasswordNeedsDigit
	case NoSymbol:
		f.Code = fault.PasswordNeedsSymbol
	default:
		f.Code = fault.PasswordCommon
	}
	return f
}
