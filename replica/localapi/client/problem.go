package client

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
)

// statuses are the HTTP statuses of the codes, which are also all codes.
var statuses = map[Code]int{
	CodeInternal:     http.StatusInternalServerError,
	CodeBadRequest:   http.StatusBadRequest,
	CodeNotFound:     http.StatusNotFound,
	CodeInUse:        http.StatusConflict,
	CodeUnlock:       http.StatusForbidden,
	CodeLinkFailed:   http.StatusUnprocessableEntity,
	CodeDamaged:      http.StatusInternalServerError,
	CodeDiskFull:     http.StatusInsufficientStorage,
	CodeWrongAccount: http.StatusConflict,
	CodeUnreachable:  http.StatusServiceUnavailable,
	CodePermission:   http.StatusForbidden,
	CodeTooLarge:     http.StatusRequestEntityTooLarge,
	CodeNotMember:    http.StatusForbidden,
	CodeExists:       http.StatusConflict,
	CodeRateLimited:  http.StatusTooManyRequests,
	CodeKeyReused:    http.StatusUnprocessableEntity,
}

// Codes returns all codes, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(statuses)) }

// Status returns the HTTP status that goes with a code, 500 for one that this
// version does not know.
func (c Code) Status() int { return cmp.Or(statuses[c], http.StatusInternalServerError) }

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is the body of every answer that is not a success: a problem
// document of RFC 9457 with our code. A program branches on Code, not on
// Status: a method that is not allowed and a field that is not known are both
// a bad request.
type Problem struct {
	Type   string `json:"type"`  // always "about:blank": Code says more
	Title  string `json:"title"` // the phrase of the status
	Status int    `json:"status"`
	Detail string `json:"detail"` // Error.Message
	Code   Code   `json:"code"`
}

// ProblemOf describes err. An error without a code is an internal one.
func ProblemOf(err error) Problem {
	code := CodeOf(err)
	return Problem{
		Type:   "about:blank",
		Title:  http.StatusText(code.Status()),
		Status: code.Status(),
		Detail: err.Error(),
		Code:   code,
	}
}

// Err returns the failure that p describes.
func (p Problem) Err() *Error {
	return &Error{Code: cmp.Or(p.Code, CodeInternal), Message: cmp.Or(p.Detail, p.Title, "the daemon gave no reason")}
}
