"""Interactions in: readers, splits, target pools, the dataset catalogue and a synthetic generator."""
