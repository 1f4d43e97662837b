"""Datasets by name: where their files are found, how they are checked, prepared and split."""
