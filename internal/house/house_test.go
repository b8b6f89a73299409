package house

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestImportsPointUpward(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "bq/...").Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		allowed, known := Rooms[fields[0]]
		if !known {
			t.Errorf("%s is missing from the table of rooms", fields[0])
		}
		found[fields[0]] = true
		for _, imported := range fields[1:] {
			ours := imported == "bq" || strings.HasPrefix(imported, "bq/")
			if ours && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s, may import %v", fields[0], imported, allowed)
			}
		}
	}
	for room := range Rooms {
		if !found[room] {
			t.Errorf("%s stands in the table of rooms and does not exist", room)
		}
	}
}

func TestConvertAndVerifyNeverMeet(t *testing.T) {
	if slices.Contains(Rooms["bq/convert"], "bq/verify") || slices.Contains(Rooms["bq/verify"], "bq/convert") {
		t.Error("convert and verify may not import each other")
	}
	for _, room := range []string{"bq/convert", "bq/packing", "bq/balance"} {
		if slices.Contains(Rooms["bq/verify"], room) {
			t.Errorf("verify may not import %s: it judges models, not containers", room)
		}
	}
}
