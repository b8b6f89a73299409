package dataset

import "sync"

// maxUnpacked bounds the bytes of one array that cannot be read in place (compressed, or in Fortran order) and those
// of all such arrays held at once.
const maxUnpacked = 1 << 30

// cache holds unpacked arrays, least recently used first out. An array is unpacked once however many ask for it at
// the same time.
type cache struct {
	mu      sync.Mutex
	entries map[string]*unpacked
	order   []string // keys, least recently used first
	bytes   int64
	limit   int64
}

type unpacked struct {
	size int64
	once sync.Once
	data []byte
	err  error
}

func newCache(limit int64) *cache { return &cache{entries: map[string]*unpacked{}, limit: limit} }

// get returns what load gave for key. size is the number of bytes load will return, at most the cache's limit.
func (c *cache) get(key string, size int64, load func() ([]byte, error)) ([]byte, error) {
	e := c.entry(key, size)
	e.once.Do(func() { e.data, e.err = load() })
	return e.data, e.err
}

func (c *cache) entry(key string, size int64) *unpacked {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.touch(key)
		return e
	}
	for c.bytes+size > c.limit && len(c.order) > 0 {
		oldest := c.order[0]
		c.bytes -= c.entries[oldest].size
		delete(c.entries, oldest)
		c.order = c.order[1:]
	}
	e := &unpacked{size: size}
	c.entries[key], c.order, c.bytes = e, append(c.order, key), c.bytes+size
	return e
}

// touch makes key the most recently used.
func (c *cache) touch(key string) {
	for i, k := range c.order {
		if k == key {
			copy(c.order[i:], c.order[i+1:])
			c.order[len(c.order)-1] = key
			return
		}
	}
}
