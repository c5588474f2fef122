package httpapi

import "github.com/google/uuid"

// previousUUID is the UUID right before another in their order.
func previousUUID(text string) (string, error) {
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil || id.String() != text {
		return "", errNoUUID
	}
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id.String(), nil
}
