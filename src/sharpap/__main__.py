"""``python -m sharpap``."""

from sharpap.cli import main

main()
