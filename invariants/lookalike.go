package invariants

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// lookAlike tells whether two different strings can be taken for each other by
// somebody who reads them. It is a reason to refuse, never to take the one for
// the other: identifiers are compared byte for byte.
func lookAlike(a, b string) bool {
	return a != b && skeleton(a) == skeleton(b)
}

// skeleton maps a string to one that all its look-alikes share, after the idea
// of UTS #39, section 4: compatibility forms (full width, ligatures, letters of
// mathematics) are folded, marks that do not show are dropped, and letters of
// Cyrillic and Greek, and digits, become the Latin letter that they look like.
func skeleton(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKC.String(s) {
		if invisible(r) {
			continue
		}
		if latin, ok := confusables[r]; ok {
			r = latin
		}
		b.WriteRune(r)
	}
	return b.String()
}

func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// confusables are the letters and digits that a Latin font draws alike, of
// UTS #39's table.
var confusables = confusableTable(map[rune]string{
	'l': "I1|ΙІӀ׀ا١۱ⅼ∣ǀ", 'O': "0ΟОՕ০୦〇Ө", 'o': "οоօσ", 'a': "аα", 'A': "АΑ", 'B': "ВΒ", 'C': "СϹ", 'c': "сϲ", 'E': "ЕΕ", 'e': "еҽ",
	'H': "НΗ", 'h': "һ", 'i': "іι", 'J': "Ј", 'j': "јϳ", 'K': "КΚ", 'k': "к", 'M': "МΜ", 'N': "Ν", 'P': "РΡ", 'p': "рρ",
	'S': "Ѕ", 's': "ѕ", 'T': "ТΤ", 'X': "ХΧ", 'x': "хχ×", 'Y': "УΥҮ", 'y': "уγү", 'Z': "Ζ", 'v': "νѵ", 'w': "ѡԝ", 'd': "ԁ", 'q': "ԛ",
	'-': "‐‑‒–—−", '\'': "’‘`´", ' ': "\u00a0\u2009",
})

func confusableTable(byLetter map[rune]string) map[rune]rune {
	table := map[rune]rune{}
	for letter, alike := range byLetter {
		for _, r := range alike {
			table[r] = letter
		}
	}
	return table
}
