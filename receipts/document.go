package receipts

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// DecodeDocument decodes a document in canonical form into a struct whose json
// tags are its closed schema: a member with omitempty is absent where it does
// not apply, and never empty; any other is always there. It is how signed
// documents outside of a chain are read. The error is one of *SyntaxError,
// *CanonicalError, *UnknownMemberError and *FieldError.
func DecodeDocument(data []byte, into any) error {
	members, err := decodeCanonical(data)
	if err != nil {
		return err
	}
	return decodeClosed(data, members, into)
}

// EncodeDocument writes, in canonical form, a struct that DecodeDocument reads. A
// json.RawMessage in it must be in canonical form itself.
func EncodeDocument(document any) []byte {
	return appendValue(nil, reflect.Indirect(reflect.ValueOf(document)))
}

func appendValue(dst []byte, v reflect.Value) []byte {
	switch v := v.Interface().(type) {
	case time.Time:
		dst = append(dst, '"')
		return append(v.UTC().AppendFormat(dst, timeLayout), '"')
	case json.RawMessage:
		return append(dst, v...)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(dst, v.Elem())
	case reflect.Struct:
		return appendObject(dst, v)
	case reflect.Slice:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, v.Index(i))
		}
		return append(dst, ']')
	case reflect.String:
		return appendString(dst, v.String())
	case reflect.Int64, reflect.Bool:
		return fmt.Append(dst, v.Interface())
	}
	panic(fmt.Sprintf("receipts: a document with a %s", v.Type()))
}

func appendObject(dst []byte, v reflect.Value) []byte {
	fields := make(map[string]reflect.Value)
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if option == "" || !v.Field(i).IsZero() {
			fields[name] = v.Field(i)
		}
	}
	dst = append(dst, '{')
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		dst = appendValue(appendName(dst, name), fields[name])
	}
	return append(dst, '}')
}
