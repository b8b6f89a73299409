package dataset

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxSide bounds a picture's side in settings and inputs.
const maxSide = 1 << 14

// imageSettings are the keys of --image and of `image:` in a data spec.
//
//	preset  raw (pixels 0 to 255), unit (0 to 1), signed (-1 to 1), imagenet (short side 256, centre, mean and deviation)
//	size    height,width; one number for both; default: the input's
//	resize  none (the default), short, stretch, letterbox
//	short   length of the short side after resize=short; default: just covers the size
//	crop    center (the default of resize=short), none
//	pad     value around a letterbox, 0 to 255; default 114
//	color   rgb, bgr, gray; default: rgb for inputs of three channels, gray for one
//	layout  nchw, nhwc; default: the input's
//	scale, mean, std   in the order of color: fed is (pixel*scale - mean)/std; one value or one per channel, a fraction may be written 1/255
type imageSettings struct {
	size      [2]int
	resize    string
	short     int
	crop      string
	pad       byte
	color     string
	layout    string
	scale     float64
	mean, std []float64
	scaled    bool // a key was given that decides values
}

// setting is one key with its values as written.
type setting struct {
	key    string
	values []string
	where  string // for messages: `--image size=0`, or file and line
}

// parseImage reads the settings of --image. A key given twice counts as given last; a preset is overruled by any
// other key wherever it stands.
func parseImage(list []string) (*imageSettings, error) {
	var settings []setting
	for _, kv := range list {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("reading --image %s: want KEY=VALUE", kv)
		}
		settings = append(settings, setting{key, strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }), "--image " + kv})
	}
	s, err := newImageSettings(settings)
	if err != nil {
		return nil, err
	}
	if !s.scaled {
		return nil, needSettings("reading --image: no preset and no scale, mean or std", "--image preset=")
	}
	return s, nil
}

func newImageSettings(list []setting) (*imageSettings, error) {
	s := &imageSettings{pad: 114, scale: 1, mean: []float64{0}, std: []float64{1}}
	given := map[string]string{}
	for _, presets := range []bool{true, false} {
		for _, set := range list {
			if (set.key == "preset") != presets {
				continue
			}
			if err := s.set(set); err != nil {
				return nil, usagef("reading %s: %v", set.where, err)
			}
			given[set.key] = set.where
		}
	}
	if s.resize == "" {
		s.resize = "none"
	}
	if s.crop == "" && s.resize == "short" {
		s.crop = "center"
	}
	if where, ok := given["short"]; ok && s.resize != "short" {
		return nil, usagef("reading %s: has a meaning with resize=short only", where)
	}
	if where, ok := given["pad"]; ok && s.resize != "letterbox" {
		return nil, usagef("reading %s: has a meaning with resize=letterbox only", where)
	}
	if s.color == "bgr" {
		s.reversePreset(given)
	}
	if where, ok := given["crop"]; ok && s.crop == "center" && (s.resize == "stretch" || s.resize == "letterbox") {
		return nil, usagef("reading %s: has no meaning with resize=%s", where, s.resize)
	}
	return s, nil
}

// reversePreset puts a preset's figures, which are for red, green, blue, into the order blue, green, red.
func (s *imageSettings) reversePreset(given map[string]string) {
	if _, ok := given["mean"]; !ok {
		slices.Reverse(s.mean)
	}
	if _, ok := given["std"]; !ok {
		slices.Reverse(s.std)
	}
}

func (s *imageSettings) set(set setting) (err error) {
	one := ""
	if len(set.values) == 1 {
		one = set.values[0]
	}
	switch set.key {
	case "preset":
		err = s.preset(one)
	case "size":
		err = s.setSize(set.values)
	case "resize":
		s.resize, err = choice(one, "short", "stretch", "letterbox", "none")
	case "short":
		s.short, err = whole(one, 1, maxSide)
	case "crop":
		s.crop, err = choice(one, "center", "none")
	case "pad":
		var v int
		v, err = whole(one, 0, 255)
		s.pad = byte(v)
	case "color":
		s.color, err = choice(one, "rgb", "bgr", "gray")
	case "layout":
		s.layout, err = choice(one, "nchw", "nhwc")
	case "scale":
		s.scale, err = number(one)
		s.scaled = true
	case "mean":
		s.mean, err = numbers(set.values)
		s.scaled = true
	case "std":
		s.std, err = numbers(set.values)
		for _, v := range s.std {
			if err == nil && v <= 0 {
				err = fmt.Errorf("want positive numbers, got %v", v)
			}
		}
		s.scaled = true
	default:
		err = fmt.Errorf("unknown key %q, want preset, size, resize, short, crop, pad, color, layout, scale, mean or std", set.key)
	}
	return err
}

func (s *imageSettings) preset(name string) error {
	s.scaled = true
	s.mean, s.std = []float64{0}, []float64{1}
	switch name {
	case "raw":
		s.scale = 1
	case "unit":
		s.scale = 1.0 / 255
	case "signed":
		s.scale, s.mean = 1/127.5, []float64{1}
	case "imagenet":
		// torchvision's ImageNet evaluation: Resize(256), CenterCrop(224), Normalize(mean, std).
		s.scale, s.mean, s.std = 1.0/255, []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
		s.resize, s.short, s.crop, s.size = "short", 256, "center", [2]int{224, 224}
	default:
		_, err := choice(name, "raw", "unit", "signed", "imagenet")
		return err
	}
	return nil
}

func (s *imageSettings) setSize(values []string) error {
	if len(values) == 1 {
		values = strings.Split(values[0], "x")
	}
	if len(values) == 1 {
		values = append(values, values[0])
	}
	if len(values) != 2 {
		return fmt.Errorf("want height,width")
	}
	for i, v := range values {
		n, err := whole(v, 1, maxSide)
		if err != nil {
			return err
		}
		s.size[i] = n
	}
	return nil
}

func choice(value string, of ...string) (string, error) {
	for _, v := range of {
		if v == value {
			return v, nil
		}
	}
	return "", fmt.Errorf("want one of %s, got %q", strings.Join(of, ", "), value)
}

func whole(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a whole number from %d to %d, got %q", least, most, value)
	}
	return n, nil
}

// number reads a finite number or a fraction such as 1/255.
func number(value string) (float64, error) {
	top, bottom, fraction := strings.Cut(value, "/")
	v, err := strconv.ParseFloat(top, 64)
	if fraction && err == nil {
		var d float64
		d, err = strconv.ParseFloat(bottom, 64)
		v /= d
	}
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("want a number, got %q", value)
	}
	return v, nil
}

func numbers(values []string) ([]float64, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("want numbers, got none")
	}
	list := make([]float64, len(values))
	for i, v := range values {
		var err error
		if list[i], err = number(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}
