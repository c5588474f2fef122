package strictyaml

import "strings"

// suggestion names the known key that s is nearest to, where one is near, and
// all of them otherwise.
func suggestion(s string, known []string) string {
	nearest, least := "", 3
	for _, k := range known {
		if d := distance(s, k); d < least && 3*d <= len(k) {
			nearest, least = k, d
		}
	}
	if nearest == "" {
		return " (known here: " + strings.Join(known, ", ") + ")"
	}
	return " (did you mean " + nearest + "?)"
}

// distance is the Levenshtein distance of a and b in bytes; for strings of very
// different length it is at least the difference.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 3 || d < -3 {
		return max(d, -d)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
