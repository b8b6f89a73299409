package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A data digest is the SHA-256 of the file where the data are one .npy or .npz file. Otherwise it is the SHA-256 of a
// text that has a line per file, as sha256sum prints it (digest, two blanks, path inside the data with slashes), in
// byte order of the paths, and behind them lines with the settings that decide what is fed.

// digestFiles returns the digest of files under root and settings lines.
func digestFiles(root string, files []string, settings ...string) (string, error) {
	text := sha256.New()
	for _, name := range files {
		sum, err := digestFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(text, "%s  %s\n", sum, filepath.ToSlash(name))
	}
	for _, line := range settings {
		fmt.Fprintf(text, "%s\n", line)
	}
	return hex.EncodeToString(text.Sum(nil)), nil
}

// below returns files as paths under root.
func below(root string, files []string) []string {
	paths := make([]string, len(files))
	for i, name := range files {
		paths[i] = filepath.Join(root, name)
	}
	return paths
}

// digestFile returns the SHA-256 of a file in hexadecimal.
func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// digestText returns the digest of settings alone.
func digestText(lines ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
	return hex.EncodeToString(sum[:])
}
