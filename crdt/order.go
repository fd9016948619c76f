package crdt

import "strings"

// orderDigits are the digits of an order, in the order of their bytes.
const orderDigits = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// MaxOrder is the length in bytes of the longest order that counts.
const MaxOrder = 1024

// Order is a place in a list: a fraction between 0 and 1 whose digits are
// compared as bytes. It ends in the writer that chose it, so that two devices
// which put two things into one gap at the same time choose two places.
// A move is a new Order in a StampRegister or AddWinsSet.
type Order = string

// ValidOrder says whether s can be an Order: 1 to MaxOrder digits of which
// the last is not the smallest, so that something fits before it.
func ValidOrder(s string) bool {
	if s == "" || len(s) > MaxOrder || s[len(s)-1] == orderDigits[0] {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(orderDigits, s[i]) < 0 {
			return false
		}
	}
	return true
}

// Between returns an order after a and before b that ends in w. An empty a
// is the beginning, an empty b the end; so is whatever is not an Order, and
// b if it is not after a.
func Between(a, b Order, w Writer) Order {
	if !ValidOrder(a) {
		a = ""
	}
	if !ValidOrder(b) || b <= a {
		b = ""
	}
	return gap(a, b) + w.String()
}

// gap returns digits g with a < g, and g less than b and not a prefix of it,
// so that whatever follows g stays between.
func gap(a, b Order) string {
	var g []byte
	for i := 0; ; i++ {
		low, high := digit(a, i), len(orderDigits)
		if b != "" {
			high = digit(b, i)
		}
		if next := low + step(a, b, low, high); next > low && next < high {
			return string(append(g, orderDigits[next]))
		}
		g = append(g, orderDigits[low])
		if low < high {
			b = "" // g is below b from here on
		}
	}
}

// step is how far above low the next digit goes: to the middle of a closed
// gap, but next to the neighbour at either end of the list, so that orders
// stay short when things are appended or put in front.
func step(a, b Order, low, high int) int {
	switch {
	case a != "" && b == "":
		return 1
	case a == "" && b != "":
		return high - low - 1
	default:
		return (high - low) / 2
	}
}

// digit returns the value of a digit, 0 behind the last.
func digit(s string, i int) int {
	if i < len(s) {
		return strings.IndexByte(orderDigits, s[i])
	}
	return 0
}
