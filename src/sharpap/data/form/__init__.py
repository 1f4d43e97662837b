"""How a file is written down, found out before it is read, and whether it is safe to open."""
