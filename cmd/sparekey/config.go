package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
	"github.com/adrg/xdg"
)

// A config is what a device's person has set once. Each setting is taken from
// the flag, else the environment, else the file, else its default.
type config struct {
	Relay        string   `toml:"relay"`         // where links lead, https://relay.example
	Relays       []string `toml:"relays"`        // hosts that receive contacts without asking
	AllowPrivate bool     `toml:"allow_private"` // relays on private addresses may be contacted
	Name         string   `toml:"name"`          // what this device is called over there; empty: nothing
	Paths        string   `toml:"paths"`         // kinds of path, lan,relay
	Home         string   `toml:"home"`
	KeyFile      string   `toml:"vault_key_file"`
}

// loadConfig reads a config file. Only a path that was asked for must exist.
func loadConfig(path string) (config, error) {
	asked := path != ""
	if !asked {
		path = filepath.Join(xdg.ConfigHome, "sparekey", "config.toml")
	}
	var c config
	meta, err := toml.DecodeFile(path, &c)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !asked:
		return config{}, nil
	case err != nil:
		return config{}, fail(exitUsage, "config", fmt.Sprintf("the config file %s can't be read: %v", path, err), "mend it, or give another one with --config").because(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return config{}, fail(exitUsage, "config", fmt.Sprintf("the config file %s has a key that sparekey doesn't know: %s", path, unknown[0]), "take it out; known are relay, relays, allow_private, name, paths, home, vault_key_file")
	}
	return c, nil
}

// first returns the first of the values that isn't empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// settle fills a config in from flags, environment and defaults.
func (c config) settle(home string) config {
	c.Home = first(home, os.Getenv("SPAREKEY_HOME"), c.Home, filepath.Join(xdg.DataHome, "sparekey"))
	c.Relay = first(os.Getenv("SPAREKEY_RELAY"), c.Relay)
	c.Paths = first(os.Getenv("SPAREKEY_PATHS"), c.Paths)
	c.KeyFile = first(os.Getenv("SPAREKEY_VAULT_KEY_FILE"), c.KeyFile)
	return c
}
