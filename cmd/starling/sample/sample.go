// Package sample holds the vCard files that the demo imports: made-up people
// in the dialects that real programs write, one file for each version. Names
// and numbers belong to nobody.
package sample

import "embed"

// Files holds phone-2.1.vcf, laptop-3.0.vcf and tablet-4.0.vcf.
//
//go:embed *.vcf
var Files embed.FS

// Cards is how many contacts the three files hold together.
const Cards = 12
