"""Configuration: names to classes, TOML to objects, with errors that suggest the nearest valid name."""
