"""Attacks whose profiles a trained generator makes out of genuine ones."""

from sharpap.attacks.generators.aush import AUSH
from sharpap.attacks.generators.goat import GOAT
from sharpap.attacks.generators.gsagan import GSAGAN
from sharpap.attacks.generators.legup import LegUP

__all__ = ["AUSH", "GOAT", "GSAGAN", "LegUP"]
