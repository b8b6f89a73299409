package packing

import "strings"

// SniffBytes is how many bytes IsContainer looks at.
const SniffBytes = headerSize

// IsContainer reports whether head, the first bytes of a file, are the signature of a container of any version.
func IsContainer(head []byte) bool {
	return len(head) >= headerSize && strings.HasPrefix(string(head), signature[:versionAt]) &&
		string(head[versionAt+1:headerSize]) == signature[versionAt+1:]
}
