package invariants

import "strings"

// Identifiers are taken as they are: in the electronic form, upper case, without
// spaces. What only looks like one of their characters is not one.

// ibanLengths are the lengths of an IBAN by country (ISO 13616, SWIFT's registry
// of IBAN formats, release 100).
var ibanLengths = ibanTable(`
	AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
	EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26
	IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28
	NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25
	SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30`)

func ibanTable(entries string) map[string]int {
	table := map[string]int{}
	for _, entry := range strings.Fields(entries) {
		table[entry[:2]] = int(entry[2]-'0')*10 + int(entry[3]-'0')
	}
	return table
}

// ibanValid checks the country, its length and the check digits (ISO 13616).
func ibanValid(iban string) bool {
	if len(iban) < 5 || ibanLengths[iban[:2]] != len(iban) || !allDigits(iban[2:4]) {
		return false
	}
	// Check digits are 02 to 98: 00, 01 and 99 are congruent to others.
	if check := iban[2:4]; check == "00" || check == "01" || check == "99" {
		return false
	}
	return mod97(iban[4:]+iban[:4]) == 1
}

// leiValid checks the length and the check digits (ISO 17442).
func leiValid(lei string) bool {
	return len(lei) == 20 && allDigits(lei[18:]) && mod97(lei) == 1
}

// mod97 is that of ISO 7064, MOD 97-10, with letters as 10 to 35; -1 if there is
// another character.
func mod97(s string) int {
	rest := 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case 'A' <= c && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return -1
		}
	}
	return rest
}

// bicValid checks the form (ISO 9362:2022): four letters or digits, a country,
// two letters or digits, and three for a branch or none.
func bicValid(bic string) bool {
	if len(bic) != 8 && len(bic) != 11 {
		return false
	}
	for i := range len(bic) {
		letter := 'A' <= bic[i] && bic[i] <= 'Z'
		digit := '0' <= bic[i] && bic[i] <= '9'
		country := i == 4 || i == 5
		if !letter && (!digit || country) {
			return false
		}
	}
	return true
}
