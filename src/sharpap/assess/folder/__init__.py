"""The results folder: written, and read back without trust."""
