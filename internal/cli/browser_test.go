package cli

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browserTimeout bounds one start of the browser.
const browserTimeout = time.Minute

// chromium runs a headless browser on a page and returns what it logs.
func chromium(t *testing.T, browser, page string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), browserTimeout)
	defer cancel()
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--no-first-run",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir()}, flags...)
	cmd := exec.CommandContext(ctx, browser, append(args, "file://"+page)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err := cmd.Run()
	if err != nil && exec.CommandContext(ctx, browser, append(args, "about:blank")...).Run() != nil {
		t.Skipf("skipped: chromium does not run here, not even on an empty page: %v; what the report holds is tested without it", err)
	}
	if err != nil {
		t.Fatalf("showing %s: %v\n%s", page, err, &errs)
	}
	return errs.String()
}

// asked finds requests of a page in the browser's log of its network; what the browser asks for itself has no site.
var asked = regexp.MustCompile(`\{site=file://[^}]*\}","url":"https?:[^"]*`)

// In a real browser the reports of verify and convert draw themselves in both schemes and at two widths, say nothing on the console
// (where a request that the page's policy refuses would be told), and ask the network for nothing.
func TestReportsInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("skipped: there is no chromium to show the reports; what they hold is tested without")
	}
	dir := t.TempDir()
	verified, converted := filepath.Join(dir, "drift.html"), filepath.Join(dir, "made.html")
	model, container, data := testModel(t, "digits", "--bits", "3", "--act-bits", "8", "--report", converted,
		"--data", filepath.Join("..", "..", "testdata", "digits.calib.npz"), "--samples", "24")
	runMain(t, statusDrift, "verify", model, container, "--data", data, "--samples", "64", "--max-kl", "0", "--report", verified, "-q")
	// a page that asks the network, so that the search below is known to find one that does
	bad, net := filepath.Join(dir, "bad.html"), filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`<!DOCTYPE html><img src="http://127.0.0.1:9/x.png">`), 0o644); err != nil {
		t.Fatal(err)
	}
	chromium(t, browser, bad, "--log-net-log="+net, "--screenshot="+filepath.Join(dir, "bad.png"))
	if asked.Find(readFile(t, net)) == nil {
		t.Error("a request of a page is not found in the log")
	}
	for _, c := range []struct {
		report, name, width string
		light               bool
	}{
		{verified, "verify, phone light", "390", true}, {verified, "verify, phone dark", "390", false},
		{verified, "verify, desk light", "1100", true}, {verified, "verify, desk dark", "1100", false},
		{converted, "convert, phone dark", "390", false}, {converted, "convert, desk light", "1100", true},
	} {
		showReport(t, browser, c.report, c.name, c.width, c.light)
	}
}

// showReport looks at one report at one width, in pixels, and in one scheme.
func showReport(t *testing.T, browser, report, name, width string, light bool) {
	t.Helper()
	dir := t.TempDir()
	shot, net := filepath.Join(dir, "shot.png"), filepath.Join(dir, "net.json")
	scheme := "--blink-settings=preferredColorScheme=0"
	if light {
		scheme = "--blink-settings=preferredColorScheme=1"
	}
	log := chromium(t, browser, report, scheme, "--window-size="+width+",3000", "--screenshot="+shot, "--log-net-log="+net)
	if strings.Contains(log, "CONSOLE") {
		t.Errorf("%s: the console says %s", name, log)
	}
	if request := asked.Find(readFile(t, net)); request != nil {
		t.Errorf("%s: the page asks the network: %s", name, request)
	}
	img, err := png.Decode(bytes.NewReader(readFile(t, shot)))
	if err != nil {
		t.Fatal(err)
	}
	checkShot(t, name, img, light)
}

// checkShot wants the background of the scheme at the page's corner, and neither an empty page nor one that is wider
// than the window: its right edge shows background alone.
func checkShot(t *testing.T, name string, img image.Image, light bool) {
	want := color.RGBA{0x12, 0x15, 0x18, 0xff}
	if light {
		want = color.RGBA{0xf4, 0xf5, 0xf7, 0xff}
	}
	size := img.Bounds().Max
	drawn := 0
	for y := range size.Y {
		for _, x := range []int{0, size.X - 1} {
			if got := color.RGBAModel.Convert(img.At(x, y)); got != want {
				t.Fatalf("%s: %v at %d, %d, want %v", name, got, x, y, want)
			}
		}
		for x := 0; x < size.X; x += 3 {
			if color.RGBAModel.Convert(img.At(x, y)) != want {
				drawn++
			}
		}
	}
	if share := float64(drawn) / float64(size.X/3*size.Y); share < 0.3 {
		t.Errorf("%s: only %.2f of the page is drawn", name, share)
	}
}
