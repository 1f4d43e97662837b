"""Attacks: from training data, a goal and a budget to fake profiles."""
