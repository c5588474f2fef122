package peers

import "strings"

// mend makes JSON of tokens with white space between them, the way a capable
// model would: names and values alternate in an object, commas stand between
// items, words get quotes, and what is left open is closed at the end.
func mend(skeleton string) []string {
	var out []string
	var open []byte // brackets
	value := false  // a value comes next, where the innermost is an object
	put := func(token string) {
		inObject := len(open) > 0 && open[len(open)-1] == '{'
		if last := lastOf(out); !value && last != "" && last != "{" && last != "[" {
			out = append(out, ",")
		}
		out = append(out, token)
		if inObject && !value {
			out = append(out, ":")
		}
		value = inObject && !value
	}
	for _, token := range strings.Fields(skeleton) {
		switch {
		case token == "{" || token == "[":
			put(token)
			open, value = append(open, token[0]), false
		case token == "}" || token == "]":
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			out, value = append(out, token), false
		case strings.ContainsAny(token[:1], ",:=>;()"):
		default:
			put(quoted(token))
		}
	}
	for i := len(open) - 1; i >= 0; i-- {
		out = append(out, map[byte]string{'{': "}", '[': "]"}[open[i]])
	}
	return out
}

func lastOf(tokens []string) string {
	if len(tokens) == 0 {
		return ""
	}
	return tokens[len(tokens)-1]
}

// quoted puts a word into double quotes, and leaves numbers alone.
func quoted(token string) string {
	if c := token[0]; c >= '0' && c <= '9' {
		return token
	}
	return `"` + strings.Trim(token, `"'`) + `"`
}
